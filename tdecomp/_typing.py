"""Names for the types that the array-API standard leaves unnamed."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""An array of any library that follows the array-API standard."""

Namespace: TypeAlias = Any
"""The module that holds an array's functions, as ``array_namespace`` returns it."""

DType: TypeAlias = Any
Device: TypeAlias = Any

Seed: TypeAlias = "int | np.random.Generator | None"
"""What ``rng=`` accepts."""


class Format(Protocol):
    """What every low-rank format offers: enough to measure it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that the format stands for."""

    @property
    def modes(self) -> int:
        """How many trailing axes form one tensor; the axes before them are a batch."""

    def to_array(self, region: slice | None = None) -> Array:
        """Return the array, or the slab of it that `region` cuts from the first of the modes."""
