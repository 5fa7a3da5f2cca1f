"""Large matrices of known spectrum, built in seconds."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np

RANK = 50
FULL = os.environ.get("TDECOMP_BENCH") == "full"
SHAPES = ((5000, 5000), (20000, 1000)) if FULL else ((400, 400),)
TARGETS = {"fast": 1e-12, "slow": 1e-4, "floor": 1e-9}


class Problem(NamedTuple):
    """A matrix to be approximated with rank `RANK`, and the excess error that is allowed."""

    m: int
    n: int
    kind: str
    target: float

    @property
    def name(self) -> str:
        """The shape, the spectrum and the target."""
        return f"{self.m}x{self.n} {self.kind} {self.target:.0e}"

    @property
    def matrix_name(self) -> str:
        """The shape and the spectrum."""
        return f"{self.m}x{self.n}-{self.kind}"

    @property
    def spectrum(self) -> np.ndarray:
        """The singular values."""
        return spectrum(self.kind, min(self.m, self.n))

    @property
    def optimum(self) -> float:
        """The least Frobenius error of any matrix of rank `RANK`."""
        return float(np.linalg.norm(self.spectrum[RANK:]))

    def matrix(self) -> np.ndarray:
        """Build the matrix."""
        return mixed(self.m, self.n, self.spectrum)

    def excess(self, a: np.ndarray, usv: tuple[np.ndarray, ...]) -> float:
        """Return by what factor, less one, the error of an approximation exceeds the least."""
        u, s, vh = usv
        return float(np.linalg.norm(a - (u * s) @ vh)) / self.optimum - 1.0


def problems(shapes: tuple[tuple[int, int], ...] = SHAPES) -> dict[str, Problem]:
    """Return the problems by name: three spectra in each shape, one of them to full accuracy."""
    found = [Problem(*shape, kind, target) for shape in shapes for kind, target in TARGETS.items()]
    found += [Problem(m, n, "slow", 1e-13) for m, n in shapes if m > n]
    return {problem.name: problem for problem in found}


def spectrum(kind: str, n: int) -> np.ndarray:
    """Return a decade in 12 values; or 1/i; or `RANK` values above the spectrum of noise."""
    i = np.arange(n)
    if kind == "fast":
        return np.maximum(10.0 ** (-i / 12), 1e-15)
    if kind == "slow":
        return 1.0 / (1 + i)
    signal = np.where(i < RANK, 1 - 0.5 * i / RANK, 0.0)
    return signal + 0.05 * np.sqrt(1 - i / n)


def mixed(m: int, n: int, s: np.ndarray) -> np.ndarray:
    """Return an ``m x n`` matrix, ``m >= n``, with the singular values `s`.

    The singular vectors are rows of two cosine transforms with random signs and a random order:
    as incoherent as random ones, at the price of a few transforms.
    """
    rng = np.random.default_rng(0)
    left, right = (
        (rng.permutation(k), rng.choice([-1.0, 1.0], k), rng.choice([-1.0, 1.0], k))
        for k in (m, n)
    )
    diagonal = np.zeros((m, n))
    diagonal[np.arange(n), np.arange(n)] = s
    half = np.ascontiguousarray(_mix(diagonal, *left).T)
    return np.ascontiguousarray(_mix(half, *right).T)


def _mix(a: np.ndarray, order: np.ndarray, outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Multiply by an orthogonal matrix: signs, transform, signs, transform, signs, order."""
    from scipy.fft import dct

    first = dct(outer[:, None] * a[order], axis=0, norm="ortho")
    return outer[:, None] * dct(inner[:, None] * first, axis=0, norm="ortho")
