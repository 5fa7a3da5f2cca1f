"""Pictures: spectra of a matrix, of a tensor, of a checkpoint; components; a core; functions."""

from tdecomp.plot._coefficient_decay import coefficient_decay
from tdecomp.plot._components import components
from tdecomp.plot._core import core
from tdecomp.plot._isosurface import isosurface
from tdecomp.plot._mode_spectra import mode_spectra
from tdecomp.plot._slices import slices
from tdecomp.plot._spectra import spectra
from tdecomp.plot._spectrum import spectrum

__all__ = [
    "coefficient_decay",
    "components",
    "core",
    "isosurface",
    "mode_spectra",
    "slices",
    "spectra",
    "spectrum",
]
