"""Pictures: spectra of a matrix, of a tensor, of a checkpoint; components; a core."""

from tdecomp.plot._components import components
from tdecomp.plot._core import core
from tdecomp.plot._mode_spectra import mode_spectra
from tdecomp.plot._spectra import spectra
from tdecomp.plot._spectrum import spectrum

__all__ = ["components", "core", "mode_spectra", "spectra", "spectrum"]
