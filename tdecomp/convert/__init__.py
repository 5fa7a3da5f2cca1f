"""From one format to another: exactly where there is a way, within a tolerance, never densely."""

from tdecomp.convert._to_cp import to_cp
from tdecomp.convert._to_svd import to_svd
from tdecomp.convert._to_tt import to_tt
from tdecomp.convert._to_tucker import to_tucker

__all__ = ["to_cp", "to_svd", "to_tt", "to_tucker"]
