"""Pictures of spectra: of one matrix, of a compressed checkpoint."""

from tdecomp.plot._spectra import spectra
from tdecomp.plot._spectrum import spectrum

__all__ = ["spectra", "spectrum"]
