"""A function on a grid: asked in batches, checked, counted, and never twice for one fibre."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tdecomp._shim import host
from tdecomp._typing import Array, Namespace
from tdecomp._xp import as_floating, device, namespace

# Rows of indices handed over at a time.
_BATCH = 1 << 17


class ExhaustedError(Exception):
    """The limit of evaluations came first."""


class Sampler:
    """The values of a callable on the host, and how many of them were asked for.

    The callable is given indices in the library and on the device of `like`. A fibre, all entries
    along one mode, is asked for once and remembered.
    """

    def __init__(
        self, f: Callable[[Array], Any], shape: Sequence[int], like: Array, limit: int
    ) -> None:
        self.f = f
        self.shape = tuple(shape)
        self.like = like
        self.limit = limit
        self.evaluations = 0
        self.known: list[dict[bytes, int]] = [{} for _ in shape]
        self.fibres: list[Array] = [np.empty((0, n), dtype=np.float32) for n in shape]

    @property
    def xp(self) -> Namespace:
        """The namespace of the host's arrays."""
        return namespace()

    def at(self, index: np.ndarray) -> Array:
        """Return the values at rows of indices, batch by batch."""
        if self.evaluations + index.shape[0] > self.limit:
            raise ExhaustedError
        parts = [self._batch(index[s : s + _BATCH]) for s in range(0, index.shape[0], _BATCH)]
        self.evaluations += index.shape[0]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _batch(self, index: np.ndarray) -> Array:
        """Ask for one batch and refuse what is not one finite number for each row."""
        xp = namespace(self.like)
        values = self.f(xp.asarray(index, device=device(self.like)))
        if not hasattr(values, "dtype"):
            values = xp.asarray(np.asarray(values), device=device(self.like))
        namespace(values, self.like)
        values = as_floating(values, xp, name="f(indices)")
        if tuple(values.shape) != (index.shape[0],):
            raise ValueError(
                f"f must return one value for each of {index.shape[0]} rows of indices, got shape "
                f"{tuple(values.shape)}"
            )
        values = host(values)
        bad = ~np.isfinite(values)
        if np.any(bad):
            row = int(np.argmax(bad))
            where = ", ".join(map(str, index[row].tolist()))
            raise ValueError(f"f returned {values[row]} at index ({where}); it must be finite")
        return values

    def back(self, array: Array) -> Array:
        """Return a host array in the library and on the device of `like`."""
        return namespace(self.like).asarray(array, device=device(self.like))

    def block(self, mode: int, left: np.ndarray, right: np.ndarray) -> Array:
        """Return the fibres along `mode` between all pairs of a left and a right part.

        The result has shape (left parts, size of the mode, right parts).
        """
        known = self.known[mode]
        keys = [a + b for a in map(bytes, left) for b in map(bytes, right)]
        missing = [place for place, key in enumerate(keys) if key not in known]
        n = self.shape[mode]
        if missing:
            i, j = np.divmod(np.asarray(missing), right.shape[0])
            rows = np.repeat(np.concatenate([left[i], right[j]], axis=1), n, axis=0)
            middle = np.tile(np.arange(n), len(missing))
            index = np.insert(rows, mode, middle, axis=1)
            values = self.at(index).reshape(len(missing), n)
            for row, place in enumerate(missing, start=len(known)):
                known[keys[place]] = row
            old = self.fibres[mode]
            self.fibres[mode] = np.concatenate([old, values]) if len(old) else values
        block = np.take(self.fibres[mode], [known[key] for key in keys], axis=0)
        return block.reshape(left.shape[0], right.shape[0], n).transpose(0, 2, 1)


def random_points(rng: np.random.Generator, shape: Sequence[int], count: int) -> np.ndarray:
    """Draw points of a grid; all of them, each once, where there are no more than `count`."""
    if math.prod(shape) <= count:
        return np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), axis=1)
    return np.stack([rng.integers(0, n, size=count) for n in shape], axis=1)
