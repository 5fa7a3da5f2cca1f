"""A function of a box: asked in batches of points, checked, and counted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
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

# Points handed over at a time.
_BATCH = 1 << 17


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
    """

    def __init__(self, f: Callable[..., Any], domain: Points, like: Array, limit: int) -> None:
        self.f = f
        self.domain = domain
        self.like = like
        self.limit = limit
        self.evaluations = 0
        self.largest = 0.0
        self._tried = False

    @property
    def d(self) -> int:
        """The number of variables."""
        return int(self.domain.shape[0])

    def __call__(self, t: Points) -> Values:
        """Return the values at points (..., d), in the shape of their leading axes."""
        flat = t.reshape(-1, self.d)
        if self.evaluations + flat.shape[0] > self.limit:
            raise ExhaustedError
        x = from_unit(flat, self.domain, namespace(flat))
        parts = [self._batch(x[s : s + _BATCH]) for s in range(0, x.shape[0], _BATCH)]
        self.evaluations += flat.shape[0]
        values = np.concatenate(parts) if parts else np.empty(0)
        if values.size:
            self.largest = max(self.largest, float(np.max(np.abs(values))))
        return values.reshape(t.shape[:-1])

    def _batch(self, x: Points) -> Values:
        """Ask for one batch and refuse what is not one finite number for each point."""
        values = self._asked(x)
        if values.ndim == 0:
            values = np.broadcast_to(values, x.shape[:1])
        if values.shape != x.shape[:1]:
            raise ValueError(
                f"f must return one value for each of {x.shape[0]} points, or one for all, got "
                f"shape {values.shape}"
            )
        bad = ~np.isfinite(values)
        if np.any(bad):
            row = int(np.argmax(bad))
            raise ValueError(f"f returned {values[row]} at {_named(x[row])}; it must be finite")
        return values

    def _asked(self, x: Points) -> Values:
        """Return what the callable says, on the host; the first time, see if it takes arrays."""
        if self._tried:
            return self._host(self.f(*self._coordinates(x)))
        self._tried = True
        try:
            return self._host(self.f(*self._coordinates(x)))
        except (TypeError, ValueError) as error:
            try:
                complex(self.f(*x[0].tolist()))
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

    def _coordinates(self, x: Points) -> list[Array]:
        """Return one array for each variable, in the library of the callable."""
        xp = namespace(self.like)
        columns = (np.ascontiguousarray(column) for column in x.T)
        return [
            xp.asarray(column, dtype=self.like.dtype, device=device(self.like))
            for column in columns
        ]

    def _host(self, values: Any) -> Values:
        """Return values of any library, or a number, as an array of NumPy."""
        if not array_api_compat.is_array_api_obj(values):
            values = np.asarray(values)
        return host(as_floating(values, namespace(values), name="f(...)"))


def _named(point: Points) -> str:
    """Return a point in words."""
    return "(" + ", ".join(f"{x:.17g}" for x in point.tolist()) + ")"
