"""The catalogue: named problems, tagged by what makes each of them hard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tdecomp._errors import check_count
from tdecomp._random import generator
from tdecomp._typing import Array, DType, Seed
from tdecomp.testing._matrices import graded
from tdecomp.testing._place import is_complex, limits, place
from tdecomp.testing._spectra import spectrum
from tdecomp.testing._tensors import tensor

# Far enough from the ends of the range for one factor of the size of the data, too near for two.
_MARGIN = 2.0**26


class Problem(NamedTuple):
    """Data with a known answer.

    Attributes
    ----------
    name : str
        What a test calls it.
    tags : frozenset of str
        What makes it hard: ``'ties'``, ``'near-ties'``, ``'decay'`` (slow), ``'conditioning'``,
        ``'gap'``, ``'deficient'``, ``'zero'``, ``'graded'``, ``'overflow'``, ``'underflow'``
        (of squares), ``'thin'`` (a mode of size 1).
    array : array
        The data.
    spectrum : ndarray, shape (k,)
        The singular values of every unfolding, descending, over `scale`.
    scale : float
        The scale of the data.
    """

    name: str
    tags: frozenset[str]
    array: Array
    spectrum: np.ndarray
    scale: float = 1.0


def problems(
    *, ndim: int = 2, rng: Seed = 0, dtype: DType = np.float64, like: Array | None = None
) -> Iterator[Problem]:
    """Yield the catalogue for one dtype: small, so that a test can afford all of it.

    Parameters
    ----------
    ndim : int
        Matrices (2), or tensors with that many modes.
    rng : int, numpy.random.Generator or None
        Where the numbers come from.
    dtype : dtype
        What NumPy arrays to yield.
    like : array, optional
        Whose library, dtype and device to take instead.

    Yields
    ------
    Problem
        The data, its name, its tags and its spectrum.

    Raises
    ------
    ValueError
        If `ndim` is less than 2.

    Examples
    --------
    >>> from tdecomp.testing import problems
    >>> [problem.name for problem in problems() if "ties" in problem.tags]
    ['flat', 'flat wide', 'step', 'zero']
    """
    check_count(ndim, name="ndim", least=2)
    draws = generator(rng)
    eps, tiny, huge = limits(dtype, like)
    kind = np.complex128 if is_complex(dtype, like) else np.float64
    tall, wide = (12, 7, *(6, 5, 4, 3)[: ndim - 2]), (7, *(8, 9, 8, 9)[: ndim - 2], 12)
    cases = (
        ("flat", "ties", tall, "flat", 1.0),
        ("flat wide", "ties", wide, "flat", 1.0),
        ("step", "ties gap conditioning", tall, "step", 1.0),
        ("near ties", "near-ties", tall, "near-ties", 1.0),
        ("polynomial", "decay", wide, "polynomial", 1.0),
        ("geometric", "conditioning", wide, "geometric", 1.0),
        ("deficient", "deficient conditioning", tall, "deficient", 1.0),
        ("zero", "zero deficient ties", wide, "zero", 1.0),
        ("huge", "overflow", tall, "polynomial", huge / _MARGIN),
        ("tiny", "underflow", wide, "polynomial", tiny * _MARGIN),
        ("one row", "thin", (1, *tall[1:]), "flat", 1.0),
        ("one column", "thin", (*wide[:-1], 1), "flat", 1.0),
        ("one entry", "thin", (1,) * ndim, "flat", 1.0),
    )
    for name, tags, shape, decay, scale in cases:
        s = spectrum(decay, min(shape), condition=eps**-0.75)
        values = tensor(shape, s, rng=draws, dtype=kind) * scale
        yield Problem(name, frozenset(tags.split()), place(values, dtype, like), s, scale)
    if ndim == 2:
        values = graded(*tall, condition=eps**-0.75, rng=draws, dtype=kind)
        s = np.linalg.svd(values, compute_uv=False)
        tagged = frozenset({"graded", "conditioning"})
        yield Problem("graded", tagged, place(values, dtype, like), s)
