"""Maps of measurements have the adjoint that they claim."""

import numpy as np
import pytest

from tdecomp.completion.robust import (
    EntryMeasurements,
    LinearMeasurements,
    MatrixMeasurements,
    RankOneMeasurements,
)
from tdecomp.completion.robust._packed import packed
from tdecomp.completion.robust._sensing import sensing
from tdecomp.testing import gaussian

M, N, P = 5, 4, 9
ROWS, COLUMNS = np.array([0, 1, 4, 1, 0, 2, 3, 3, 4]), np.array([3, 0, 1, 0, 2, 2, 2, 0, 0])


def maps(xp, dtype="float64"):
    """One map of each kind."""
    stack = gaussian((P, M, N), rng=1, dtype=dtype)
    matrices = MatrixMeasurements(xp.asarray(stack))
    return {
        "matrices": matrices,
        "entries": EntryMeasurements(xp.asarray(np.stack([ROWS, COLUMNS])), (M, N)),
        "rank one": RankOneMeasurements(
            xp.asarray(gaussian((P, M), rng=2, dtype=dtype)),
            xp.asarray(gaussian((P, N), rng=3, dtype=dtype)),
        ),
        "functions": LinearMeasurements(
            lambda x: matrices.measure(x, xp.asarray(np.eye(N, dtype=dtype))),
            matrices.adjoint,
            (M, N),
            P,
        ),
    }


KINDS = ("matrices", "entries", "rank one", "functions")


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_adjoint_is_the_adjoint(xp, kind, dtype):
    a = maps(xp, dtype)[kind]
    left, right = gaussian((M, 2), rng=4, dtype=dtype), gaussian((2, N), rng=5, dtype=dtype)
    values = gaussian((P,), rng=6, dtype=dtype)
    seen = xp.to_numpy(a.measure(xp.asarray(left), xp.asarray(right)))
    back = xp.to_numpy(a.adjoint(xp.asarray(values)))
    assert np.vdot(values, seen) == pytest.approx(np.vdot(back, left @ right), rel=1e-12)
    assert (a.shape, a.size) == ((M, N), P)


@pytest.mark.when_compiled(kind="entries")
@pytest.mark.parametrize("kind", KINDS)
def test_units_are_those_of_the_matrices(xp, kind):
    a = maps(xp)[kind]
    problem = sensing(xp.asarray(gaussian((P,))), a)
    adjoint = problem.operator.adjoint
    stack = [xp.to_numpy(adjoint(xp.asarray(np.eye(P)[i]))) for i in range(P)]
    energy = np.mean([np.sum(np.abs(x) ** 2) for x in stack]) / (M * N)
    exact = kind != "functions"  # which are probed
    assert problem.energy == pytest.approx(energy, rel=1e-12 if exact else 0.5)


def test_half_of_a_stack_measures_symmetric_matrices():
    stack, u = gaussian((7, 4, 4), rng=0), gaussian((4, 2), rng=1)
    whole = sensing(gaussian((7,), rng=2), stack)
    half, values = packed(whole), gaussian((7,), rng=3)
    seen, expected = (p.residual(u, u.T) for p in (half, whole))
    np.testing.assert_allclose(seen, expected, atol=1e-13)
    back, expected = (p.operator.adjoint(values) for p in (half, whole))
    np.testing.assert_allclose(back, (expected + expected.T) / 2, atol=1e-13)
    assert (half.operator.shape, half.operator.size) == ((4, 4), 7)
