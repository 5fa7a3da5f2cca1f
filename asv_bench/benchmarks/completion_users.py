"""What is done around a completed matrix: implicit feedback, newcomers, look-ups, best columns.

Floors: a sweep of implicit feedback over ``nnz`` entries at rank ``k`` makes ``nnz k^2`` fused
multiplications and additions on both sides together for the lower halves of the normal equations,
``(m + n) k^3 / 6`` for their Cholesky factors and ``3 (m + n) k^2`` for what all rows share.
Folding rows in costs half of a sweep twice, the second time as a correction. The best columns cost
``m n k`` to form and the reading of ``m n`` numbers to choose from.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy.sparse

import tdecomp as td
from tdecomp import completion

from ._problems import FULL

SHAPE, NNZ, RANK = ((20_000, 10_000), 1_000_000, 32) if FULL else ((600, 400), 6_000, 8)
ALPHA, RIDGE, SWEEPS = 10.0, 0.1, 4


def plays() -> scipy.sparse.csr_array:
    """Draw how often whom has heard what."""
    rng = np.random.default_rng(0)
    places = [rng.integers(0, size, NNZ) for size in SHAPE]
    drawn = scipy.sparse.coo_array((np.ones(NNZ, np.float32), tuple(places)), shape=SHAPE)
    return drawn.tocsr()


def sweep(x: scipy.sparse.csr_array) -> float:
    """Return the seconds of a sweep of ours."""
    seconds: list[float] = []
    completion.implicit_als(
        x, rank=RANK, alpha=ALPHA, regularization=RIDGE, max_iter=SWEEPS, tol=-1, rng=0,
        callback=lambda progress: seconds.append(progress.elapsed),
    )  # fmt: skip
    return float(np.median(np.diff(seconds)))


def peer_sweep(x: scipy.sparse.csr_array) -> float:
    """Return the seconds of a sweep of the package implicit, by Cholesky factors as ours."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=RANK, regularization=RIDGE, alpha=ALPHA, iterations=SWEEPS, use_cg=False,
        use_gpu=False, num_threads=2, random_state=0,
    )  # fmt: skip
    seconds: list[float] = []
    users = scipy.sparse.csr_matrix(x)
    model.fit(users, show_progress=False, callback=lambda *_: seconds.append(time.perf_counter()))
    return float(np.median(np.diff(seconds)))


class Implicit:
    """Implicit feedback by alternating least squares."""

    def setup(self) -> None:
        """Draw the data, and compile."""
        self.x = plays()
        sweep(self.x)

    def track_seconds_of_a_sweep(self) -> float:
        """One sweep."""
        return sweep(self.x)

    def track_relative_error(self) -> float:
        """The error after four sweeps: that no speed is bought with it."""
        return completion.implicit_als(
            self.x, rank=RANK, alpha=ALPHA, regularization=RIDGE, max_iter=SWEEPS, rng=0
        ).error

    def peakmem_sweeps(self) -> None:
        """The most memory of four sweeps."""
        sweep(self.x)


class ImplicitPeer:
    """The same beside the package implicit."""

    def setup(self) -> None:
        """Draw the data, and compile."""
        if find_spec("implicit") is None:
            raise NotImplementedError("implicit is not installed")
        self.x = plays()
        sweep(self.x)

    def track_ratio_to_implicit(self) -> float:
        """Seconds of the package implicit over ours."""
        return peer_sweep(self.x) / sweep(self.x)


def model() -> td.LowRank:
    """Draw factors of the plays, in the precision of the package implicit."""
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((size, RANK)).astype(np.float32) for size in SHAPE)
    return td.LowRank(left / RANK**0.5, right.T)


def peer_model(z: td.LowRank) -> Any:
    """Return the same model of the package implicit, what all rows share made beforehand."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from implicit.als import AlternatingLeastSquares

    peer = AlternatingLeastSquares(
        factors=RANK, regularization=RIDGE, use_gpu=False, num_threads=2
    )
    peer.user_factors, peer.item_factors = z.left, np.ascontiguousarray(z.right.T)
    _ = peer.YtY
    return peer


def best_of(call: Callable[[], object], times: int = 5) -> float:
    """Return the seconds of the fastest of some calls."""
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


class Newcomers:
    """Rows folded into a fit to what was done, zeros too."""

    params = ((1, SHAPE[0] // 20, SHAPE[0]),)
    param_names = ("rows",)

    def setup(self, rows: int) -> None:
        """Draw a model and who comes, and compile."""
        self.z, self.x = model(), plays()[:rows]
        self.folded()

    def folded(self) -> td.Completion:
        """Fold all rows in."""
        return completion.fold_in(self.z, self.x, alpha=ALPHA, regularization=RIDGE)

    def time_fold_in(self, rows: int) -> None:
        """All rows at once."""
        self.folded()

    def peakmem_fold_in(self, rows: int) -> None:
        """The most memory that takes."""
        self.folded()


class NewcomersPeer(Newcomers):
    """The same beside ``recalculate_user`` of the package implicit."""

    def setup(self, rows: int) -> None:
        """Draw a model and who comes, and compile."""
        if find_spec("implicit") is None:
            raise NotImplementedError("implicit is not installed")
        super().setup(rows)
        self.peer, self.users = peer_model(self.z), scipy.sparse.csr_matrix(self.x)
        self.users.data = 1 + ALPHA * self.users.data  # its values are whole weights

    def recalculated(self) -> np.ndarray:
        """Let the peer do it."""
        return self.peer.recalculate_user(np.arange(self.users.shape[0]), self.users)

    def track_ratio_to_implicit(self, rows: int) -> float:
        """Seconds of the package implicit over ours."""
        return best_of(self.recalculated) / best_of(self.folded)

    def track_difference(self, rows: int) -> float:
        """By how much its rows differ from ours, beside ours."""
        own = self.folded().left
        return float(np.linalg.norm(self.recalculated() - own) / np.linalg.norm(own))


class LookUps:
    """What a completed matrix is asked."""

    def setup(self) -> None:
        """Draw factors and places."""
        rng = np.random.default_rng(0)
        (m, n), count = SHAPE, NNZ
        self.z = td.LowRank(rng.standard_normal((m, RANK)), rng.standard_normal((RANK, n)))
        self.places = [rng.integers(0, size, count) for size in SHAPE]
        self.x = plays()

    def time_predict(self) -> None:
        """Entries at a list of places."""
        completion.predict(self.z, *self.places)

    def time_top_n(self) -> None:
        """The ten best columns of a thousand rows, those seen left out."""
        completion.top_n(self.z, 10, rows=np.arange(min(1000, SHAPE[0])), exclude=self.x)

    def peakmem_top_n(self) -> None:
        """The most memory that takes."""
        completion.top_n(self.z, 10, rows=np.arange(min(1000, SHAPE[0])), exclude=self.x)
