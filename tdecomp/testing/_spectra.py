"""Descending spectra, each hard for a reason of its own."""

from __future__ import annotations

import numpy as np

from tdecomp._errors import check_choice, check_count

SPECTRA = ("flat", "geometric", "polynomial", "step", "near-ties", "deficient", "zero")
"""The kinds of `spectrum`."""


def spectrum(kind: str, n: int, /, *, condition: float = 1e8) -> np.ndarray:
    r"""Return `n` descending singular values, the first of them 1.

    Parameters
    ----------
    kind : str
        One of `SPECTRA`.

        - ``'flat'``: all 1, so that no basis is preferred;
        - ``'geometric'``: from 1 to ``1 / condition`` in equal ratios;
        - ``'polynomial'``: :math:`1 / i`, which truncation hardly ever ends;
        - ``'step'``: a first half of 1, a second of ``1 / condition``;
        - ``'near-ties'``: pairs :math:`1 / i` that agree to four units of rounding;
        - ``'deficient'``: a geometric first half, then exact zeros;
        - ``'zero'``: nothing else.
    n : int
        How many values, at least 0.
    condition : float
        The ratio of the largest to the smallest value that is not zero, where one is free.

    Returns
    -------
    ndarray, shape (n,)
        The values, in float64.

    Raises
    ------
    ValueError
        If `kind` is unknown or `n` is negative.

    Examples
    --------
    >>> from tdecomp.testing import spectrum
    >>> spectrum("geometric", 3, condition=100.0)
    array([1.  , 0.1 , 0.01])
    """
    check_choice(kind, SPECTRA, name="kind")
    index = np.arange(check_count(n, name="n"), dtype=float)
    half = (n + 1) // 2
    if kind == "geometric":
        return condition ** (-index / max(n - 1, 1))
    if kind == "polynomial":
        return 1.0 / (index + 1.0)
    if kind == "step":
        return np.where(index < half, 1.0, 1.0 / condition)
    if kind == "near-ties":
        return (1.0 - 4.0 * np.finfo(float).eps * (index % 2)) / (index // 2 + 1.0)
    if kind == "deficient":
        return np.where(index < half, condition ** (-index / max(half - 1, 1)), 0.0)
    return np.full(n, float(kind == "flat"))


def resolve(values: str | np.ndarray, n: int) -> np.ndarray:
    """Return the spectrum that a name or an array means, checked to fit `n` places."""
    if isinstance(values, str):
        return spectrum(values, n)
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or values.size > n:
        raise ValueError(f"s must be a vector of at most {n} values, got shape {values.shape}")
    return values
