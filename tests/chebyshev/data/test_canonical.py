"""Sums of products become Tucker functions: exact, truncated in L2, whatever their number."""

import numpy as np
import pytest

from tdecomp._errors import ToleranceError
from tdecomp._xp import namespace
from tdecomp.chebyshev import evaluate, from_cp, from_grid
from tdecomp.chebyshev._data import _canonical
from tdecomp.chebyshev._data._canonical import canonical
from tdecomp.chebyshev._legendre import root
from tdecomp.chebyshev._points import points
from tdecomp.chebyshev._transform import coefficients
from tdecomp.cp import CP
from tdecomp.testing import gaussian

NUMPY = namespace(np.empty(0))
SIZES = (9, 6, 12)


def terms(count, sizes=SIZES, dtype="float64", decay=0.6):
    """Weights and coefficients of products of series that decay."""
    factors = [gaussian((m, count), rng=k, dtype=dtype) for k, m in enumerate(sizes)]
    falls = [decay ** np.arange(m)[:, None] for m in sizes]
    weights = gaussian((count,), rng=9, dtype=dtype)
    return weights, [(c * fall).astype(dtype) for c, fall in zip(factors, falls, strict=True)]


def in_l2(core, factors):
    """All coefficients of a Tucker function, scaled so that their norm is that of L2."""
    for k, factor in enumerate(factors):
        scaled = root(factor.shape[0]) @ factor
        core = np.moveaxis(np.tensordot(scaled, core, (1, k)), 0, k)
    return core


def dense(weights, factors):
    core = np.zeros((weights.size,) * len(factors), np.result_type(weights, *factors))
    core[(np.arange(weights.size),) * len(factors)] = weights
    return in_l2(core, factors)


@pytest.mark.when_compiled(count=20, dtype="complex128")
@pytest.mark.parametrize("count", [4, 20])
def test_the_sum_is_exact_and_factors_are_orthonormal(xp, count, dtype):
    weights, factors = terms(count, dtype=dtype)
    core, found = canonical(
        xp.asarray(weights),
        [xp.asarray(c) for c in factors],
        xp=namespace(xp.asarray(weights)),
    )
    core, found = xp.to_numpy(core), [xp.to_numpy(v) for v in found]
    assert core.dtype == dtype
    assert core.shape == tuple(min(m, count) for m in SIZES)
    expected, eps = dense(weights, factors), np.finfo(dtype).eps
    difference = np.linalg.norm(in_l2(core, found) - expected)
    assert difference <= 20 * eps * np.linalg.norm(expected)
    for v in found:
        scaled = root(v.shape[0]) @ v
        assert np.abs(scaled.conj().T @ scaled - np.eye(v.shape[1])).max() <= 20 * eps


@pytest.mark.parametrize("large", [1, 1 << 18])
def test_the_error_is_guaranteed_and_ranks_grow_as_it_falls(monkeypatch, large):
    monkeypatch.setattr(_canonical, "_LARGE", large)
    weights, factors = terms(50, (20, 16, 24))
    expected = dense(weights, factors)
    before = (0, 0, 0)
    for rtol in (0.3, 1e-2, 1e-4, 1e-12):
        core, found = canonical(weights, factors, rtol=rtol, xp=NUMPY)
        error = np.linalg.norm(in_l2(core, found) - expected)
        assert error <= rtol * np.linalg.norm(expected)
        assert all(a <= b for a, b in zip(before, core.shape, strict=True))
        before = core.shape
    assert before == (20, 16, 24)


def test_narrowed_sums_have_the_ranks_of_the_truncation(monkeypatch):
    weights, factors = terms(60, (20, 16, 24), decay=0.3)
    plain = canonical(weights, factors, rtol=1e-6, xp=NUMPY)
    monkeypatch.setattr(_canonical, "_LARGE", 1)
    narrowed = canonical(weights, factors, rtol=1e-6, xp=NUMPY)
    assert narrowed[0].shape == plain[0].shape
    assert canonical(weights, factors, rank=(2, 3, 2), xp=NUMPY)[0].shape == (2, 3, 2)
    monkeypatch.setattr(_canonical, "_TOO_LARGE", 1)
    with pytest.raises(ValueError, match=r"the sum needs a core of .* pass a larger rtol="):
        canonical(weights, factors, rtol=1e-6, xp=NUMPY)


def test_equal_products_are_one():
    weights, factors = terms(1)
    many = [np.repeat(c, 5, axis=1) for c in factors]
    core, _ = canonical(np.repeat(weights, 5), many, rtol=1e-12, xp=NUMPY)
    assert core.shape == (1, 1, 1)
    once, _ = canonical(weights, factors, rtol=1e-12, xp=NUMPY)
    assert abs(core.item()) == pytest.approx(5 * abs(once.item()))


def test_sums_that_cancel_are_as_exact_as_their_terms_allow():
    _, factors = terms(2)
    pair = [np.concatenate([c[:, :1], c[:, :1]], axis=1) for c in factors]
    pair[0][0, 1] += 1e-9
    opposite = np.array([1.0, -1.0])
    with pytest.raises(ToleranceError, match="rounding alone") as caught:
        canonical(opposite, pair, rtol=1e-8, xp=NUMPY)
    assert 1e-8 < caught.value.reachable < 1e-3
    core, _ = canonical(opposite, pair, rtol=1e-3, xp=NUMPY)
    assert core.shape == (1, 1, 1)


def test_any_scale_is_safe():
    weights, factors = terms(4)
    core, _ = canonical(weights, factors, rtol=1e-10, xp=NUMPY)
    scaled = [factors[0] * 2.0**-900, factors[1] * 2.0**800, factors[2]]
    moved, _ = canonical(weights * 2.0**200, scaled, rtol=1e-10, xp=NUMPY)
    assert np.array_equal(moved, core * 2.0**100)
    nothing, _ = canonical(0 * weights, factors, rtol=1e-10, xp=NUMPY)
    assert nothing.shape == (1, 1, 1)
    assert nothing.item() == 0


@pytest.mark.parametrize("xp", ["torch"], indirect=True)
def test_gradients_flow_past_tolerances(monkeypatch, xp):
    monkeypatch.setattr(_canonical, "_LARGE", 1)
    weights, factors = terms(3, (4, 5))

    def energy(w):
        core, _ = canonical(w, [xp.asarray(c) for c in factors], rtol=1e-9, xp=namespace(w))
        return (core * core).sum()

    known, _ = canonical(weights, factors, rtol=1e-9, xp=NUMPY)
    assert xp.gradient(energy, weights) @ weights == pytest.approx(2 * np.sum(known**2))


@pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
def test_programs_compile_and_have_gradients(xp):
    weights, factors = terms(3, (4, 5))

    def energy(w):
        core, _ = canonical(w, [xp.asarray(c) for c in factors], rank=2, xp=namespace(w))
        return (core * core).sum()

    value = float(xp.jit(energy)(xp.asarray(weights)))
    known, _ = canonical(weights, factors, rank=2, xp=NUMPY)
    assert value == pytest.approx(np.sum(known**2))
    slope = xp.gradient(energy, weights)
    # Homogeneous of the second degree.
    assert slope @ weights == pytest.approx(2 * value)


def columns(lines, widths=(0.5, 1.0, 2.0, 4.0)):
    """Gaussians of several widths in each variable."""
    return [np.exp(-((t[:, None] - 0.2 * k) ** 2) * np.array(widths)) for k, t in enumerate(lines)]


@pytest.mark.parametrize("xp", ["numpy-readonly", "array-api-strict", "torch"], indirect=True)
def test_a_sum_of_columns_is_its_dense_grid(xp):
    lines = [points(20), points(18), points(16)]
    cp = CP(np.array([1.0, -0.5, 0.3, 2.0]), tuple(columns(lines)))
    moved = CP(xp.asarray(cp.weights), tuple(map(xp.asarray, cp.factors)))
    f = from_cp(moved, (0, 1), rtol=1e-9)
    dense = from_grid(cp.to_array(), (0, 1), rtol=1e-9)
    assert f.rank == dense.rank
    assert np.linalg.norm(xp.to_numpy(f.to_array()) - cp.to_array()) <= 1e-8 * np.linalg.norm(
        cp.to_array()
    )
    assert xp.to_numpy(f.domain).tolist() == [[0, 1]] * 3
    series = CP(moved.weights, tuple(coefficients(c, namespace(c)) for c in moved.factors))
    again = from_cp(series, (0, 1), series=True, rtol=1e-9)
    assert np.abs(xp.to_numpy(again.core) - xp.to_numpy(f.core)).max() <= 1e-13


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_columns_at_any_points_become_series(dtype):
    x = np.linspace(0, 2, 60)
    cp = CP(np.array([1.0, -0.5, 0.3, 2.0]), tuple(columns([x - 1] * 3)))
    cp = cp._replace(factors=tuple(c.astype(dtype) for c in cp.factors))
    for f in (
        from_cp(cp, points=(x, x, x), rtol=1e-8),
        from_cp(cp, (0, 2), points="uniform", rtol=1e-8),
        from_cp(cp, (0, 2), points="uniform"),
    ):
        at = np.random.default_rng(0).uniform(0, 2, (50, 3))
        known = np.prod([c[...] for c in columns([p - 1 for p in at.T])], axis=0) @ cp.weights
        assert np.abs(evaluate(f, at) - known).max() <= 1e-7
        assert f.dtype == dtype
        assert max(f.rank) <= 4
    coarse = CP(np.ones(1), (np.exp(-200 * (x[::4, None] - 1) ** 2),))
    with pytest.raises(ToleranceError, match="values of variable 0 that are left out"):
        from_cp(coarse, points=(x[::4],), rtol=1e-6)


def test_single_precision_is_rounded_once():
    lines = [points(20)] * 3
    cp = CP(np.array([1.0, -0.5, 0.3, 2.0]), tuple(columns(lines)))
    narrow = CP(cp.weights.astype("f"), tuple(c.astype("f") for c in cp.factors))
    wide = CP(narrow.weights.astype("d"), tuple(c.astype("d") for c in narrow.factors))
    f, known = from_cp(narrow, rtol=1e-5), wide.to_array()
    assert f.dtype == np.float32
    assert np.linalg.norm(f.to_array() - known) <= 1e-5 * np.linalg.norm(known)
    assert from_cp(narrow).rank <= from_cp(wide, rtol=1e-7).rank
