"""A function of a box: asked in batches of points, checked, and counted."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat
import numpy as np
import numpy.typing as npt

from tdecomp._shim import host
from tdecomp._typing import Array
from tdecomp._xp import as_floating, device, namespace
from tdecomp.chebyshev._domain import from_unit
from tdecomp.tt._sampler import ExhaustedError

Points = npt.NDArray[np.float64]
Values = npt.NDArray[Any]

# Points handed over at a time, and those of a grid, which stay in the cache.
_BATCH, _CACHED = 1 << 17, 1 << 15
# By what factor values are to be below the largest number.
_HEADROOM = 2.0**20


class Sampler:
    """The values of a callable on the host, at points of the unit box.

    The callable is given one array for each variable, all of one axis, in the library, real dtype
    and device of `like`. One that takes numbers only is called point by point, and says so.

    Attributes
    ----------
    evaluations : int
        How many values were asked for.
    largest : float
        The largest magnitude among them.
    held : int
        How many of those that may be asked for are held back.
    """

    def __init__(self, f: Callable[..., Any], domain: Points, like: Array, limit: int) -> None:
        self.f = f
        self.domain = domain
        self.like = like
        self._real = host(like).dtype
        self.limit = limit
        self.evaluations = 0
        self.largest = 0.0
        self.held = 0
        self._tried = False

    @property
    def d(self) -> int:
        """The number of variables."""
        return int(self.domain.shape[0])

    def __call__(self, t: Points) -> Values:
        """Return the values at points (..., d), in the shape of their leading axes."""
        flat = t.reshape(-1, self.d)
        self._granted(flat.shape[0])
        if not flat.size:
            return np.empty(t.shape[:-1])
        x = from_unit(flat, self.domain, namespace(flat))
        columns = [np.ascontiguousarray(column) for column in x.T]
        parts = [
            self._batch([column[s : s + _BATCH] for column in columns])
            for s in range(0, x.shape[0], _BATCH)
        ]
        return np.concatenate(parts).reshape(t.shape[:-1])

    def on_grid(self, axes: Sequence[Points]) -> Values:
        """Return the values at all combinations of points of each variable."""
        sizes = tuple(axis.size for axis in axes)
        self._granted(math.prod(sizes))
        x = [
            from_unit(axis[:, None], self.domain[k : k + 1], namespace(axis))[:, 0]
            for k, axis in enumerate(axes)
        ]
        # The last variables run within a batch, the same in all of them.
        split = self.d - 1
        while split > 0 and math.prod(sizes[split - 1 :]) <= _CACHED:
            split -= 1
        outer, inner = _combined(x[:split]), _combined(x[split:])
        repeats, count = math.prod(sizes[split:]), math.prod(sizes[:split])
        rows = max(1, _CACHED // repeats)
        again = [np.tile(column, rows) for column in inner]
        parts = []
        for start in range(0, count, rows):
            stop = min(start + rows, count)
            slow = [np.repeat(column[start:stop], repeats) for column in outer]
            # A copy, since what is given away may be written to.
            fast = [column[: (stop - start) * repeats].copy() for column in again]
            parts.append(self._batch(slow + fast))
        return np.concatenate(parts).reshape(sizes)

    def _granted(self, count: int) -> None:
        """Refuse what would exceed the limit."""
        if self.evaluations + count > self.limit - self.held:
            raise ExhaustedError

    def _batch(self, x: list[Points]) -> Values:
        """Ask for one batch and refuse what is not one finite number for each point."""
        values = self._asked(x)
        if values.ndim == 0:
            values = np.broadcast_to(values, x[0].shape)
        if values.shape != x[0].shape:
            raise ValueError(
                f"f must return one value for each of {x[0].size} points, or one for all, got "
                f"shape {values.shape}"
            )
        bad = ~np.isfinite(values)
        if np.any(bad):
            row = int(np.argmax(bad))
            raise ValueError(f"f returned {values[row]} at {_named(x, row)}; it must be finite")
        sizes = np.abs(values)
        row = int(np.argmax(sizes))
        most = float(np.finfo(values.dtype).max) / _HEADROOM
        if sizes[row] > most:
            raise ValueError(
                f"f returned {values[row]} at {_named(x, row)}; sums of values above {most:.1e} "
                f"overflow: divide f by a constant"
            )
        self.evaluations += values.size
        self.largest = max(self.largest, float(sizes[row]))
        return values

    def _asked(self, x: list[Points]) -> Values:
        """Return what the callable says, on the host; the first time, see if it takes arrays."""
        if self._tried:
            return self._host(self.f(*self._coordinates(x)))
        self._tried = True
        try:
            return self._host(self.f(*self._coordinates(x)))
        except (TypeError, ValueError) as error:
            try:
                complex(self.f(*(float(column[0]) for column in x)))
            except Exception:
                raise error from None
        warnings.warn(
            "f takes numbers, but no arrays: it is called point by point, which is slow; write it "
            "in operations of the array library",
            stacklevel=4,
        )
        single = self.f
        self.f = lambda *arrays: np.asarray(
            [single(*point) for point in zip(*(a.tolist() for a in arrays), strict=True)]
        )
        return self._host(self.f(*self._coordinates(x)))

    def _coordinates(self, x: list[Points]) -> list[Array]:
        """Return one array for each variable, in the library of the callable."""
        xp = namespace(self.like)
        return [
            xp.asarray(column, dtype=self.like.dtype, device=device(self.like)) for column in x
        ]

    def _host(self, values: Any) -> Values:
        """Return values of any library, or a number, as an array of NumPy.

        Whole numbers get the precision of points, and no value has more.
        """
        if isinstance(values, np.generic) or not array_api_compat.is_array_api_obj(values):
            values = np.asarray(values)
        xp = namespace(values)
        whole = xp.isdtype(values.dtype, ("bool", "integral"))
        found = host(values if whole else as_floating(values, xp, name="f(...)"))
        most = np.result_type(self._real, np.complex64 if found.dtype.kind == "c" else self._real)
        return found.astype(most) if whole or found.itemsize > most.itemsize else found


def _combined(axes: list[Points]) -> list[Points]:
    """Return all combinations, a column for each variable, the last one fastest."""
    return [column.reshape(-1) for column in np.meshgrid(*axes, indexing="ij")]


def _named(x: list[Points], row: int) -> str:
    """Return a point in words."""
    return "(" + ", ".join(f"{column[row]:.17g}" for column in x) + ")"
