"""Ridges in the unit of what is solved with, however small that is."""

from __future__ import annotations

from tdecomp.completion._penalties import CRUSHING


def in_unit_of(size: float, ridge: float) -> tuple[float, float]:
    """Return the ridge of numbers multiplied with a column over `size`, and what they are over.

    That is the size, but for a ridge beside which nothing else counts: solutions are then in
    proportion to its inverse, so that they are found with a smaller one and divided by the rest.
    """
    shift = ridge / size / size
    return (shift, size) if shift <= CRUSHING else (CRUSHING, ridge / size / CRUSHING)
