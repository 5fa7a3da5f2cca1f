"""Adapters are exact at the start, hold the most that they can, and are as large as asked."""

import itertools

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp import compress
from tdecomp.kronecker import KroneckerSum, kronecker_svd, suggest_shapes
from tdecomp.linalg import elbow_rank, energy_rank
from tdecomp.testing import gaussian, matrix

SHAPES = ((4, 3), (3, 5))
M, N = 12, 15
METHODS = {
    "soka": lambda w, **size: compress.soka(w, SHAPES, **size),
    "pissa": compress.pissa,
}
TERMS, COST = 12, 12 + 15  # of either: the most terms, and what one takes


def rearranged(w, shapes=SHAPES):
    (m1, n1), (m2, n2) = shapes
    return w.reshape(m1, m2, n1, n2).transpose(0, 2, 1, 3).reshape(m1 * n1, m2 * n2)


def arranged(r, shapes=SHAPES):
    (m1, n1), (m2, n2) = shapes
    return r.reshape(m1, n1, m2, n2).transpose(0, 2, 1, 3).reshape(m1 * m2, n1 * n2)


def of_spectrum(method, s):
    """A weight whose spectrum, in the sense of the method, is given."""
    r = matrix(12, 15, np.asarray(s, dtype=float))
    return arranged(r) if method == "soka" else r


def divisors(n):
    return [d for d in range(1, n + 1) if n % d == 0]


def energy(adapted, w):
    """The part of the squared norm that the adapter holds."""
    return 1 - (np.linalg.norm(adapted.residual) / np.linalg.norm(w)) ** 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rank", [1, 5, 12])
@pytest.mark.when_compiled(rank=5)
def test_nothing_has_changed_at_the_start(xp, dtype, method, rank):
    w = gaussian((M, N), dtype=dtype)
    adapted = METHODS[method](xp.asarray(w), rank=rank)
    unit = np.finfo(dtype).eps * np.linalg.norm(w)
    assert np.linalg.norm(xp.to_numpy(adapted.to_array()) - w) <= 2 * unit
    assert np.linalg.norm(xp.to_numpy(adapted.to_array(slice(2, 7))) - w[2:7]) <= 2 * unit
    assert adapted.residual.dtype == adapted.dtype == xp.asarray(w).dtype
    assert (adapted.shape, adapted.rank, adapted.modes) == ((M, N), rank, 2)
    assert float(td.relative_error(xp.asarray(w), adapted)) <= 2 * np.finfo(dtype).eps
    x = gaussian((N, 4), rng=1, dtype=dtype)
    for sides in (x, x[:, 0]):
        gap = np.linalg.norm(xp.to_numpy(adapted @ xp.asarray(sides)) - w @ sides)
        assert gap <= 4 * unit * np.linalg.norm(sides)


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 999), rank=st.integers(1, 11))
def test_the_residual_is_the_tail(method, seed, rank):
    w = gaussian((M, N), rng=seed)
    s = np.linalg.svd(rearranged(w) if method == "soka" else w, compute_uv=False)
    residual = METHODS[method](w, rank=rank).residual
    assert np.linalg.norm(residual) == pytest.approx(np.linalg.norm(s[rank:]), rel=1e-12)


@pytest.mark.parametrize("rank", [1, 3])
def test_no_other_sum_of_so_many_products_holds_more(rank):
    w = arranged(gaussian((12, 15), rng=3) @ np.diag(0.8 ** np.arange(15.0)))
    best = np.linalg.norm(compress.soka(w, SHAPES, rank=rank).residual)
    ended = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        r, v = rearranged(w), rng.standard_normal((15, rank))
        for _ in range(seed):  # from a random start to a converged one
            u = np.linalg.lstsq(v, r.T)[0].T
            v = np.linalg.lstsq(u, r)[0].T
        u = np.linalg.lstsq(v, r.T)[0].T
        ended.append(np.linalg.norm(r - u @ v.T))
        assert best <= ended[-1] * (1 + 1e-13)
    assert ended[0] > 1.05 * best
    assert ended[-1] < 1.01 * best


@pytest.mark.parametrize("method", METHODS)
def test_both_factors_carry_the_root(xp, method):
    s = 0.5 ** np.arange(12.0)
    adapter = METHODS[method](xp.asarray(of_spectrum(method, s)), rank=4).adapter
    left, right = (xp.to_numpy(f) for f in adapter[:2])
    if method == "pissa":
        left = left.T
    left, right = left.reshape(4, -1), right.reshape(4, -1)
    for side in (left, right):
        assert np.allclose(side @ side.T, np.diag(s[:4]), atol=1e-12)
    top = np.take_along_axis(left, np.abs(left).argmax(axis=1)[:, None], axis=1)
    assert np.all(top > 0)


@given(data=st.data())
def test_the_number_of_parameters_is_that_of_the_factors(data):
    (m1, n1, m2, n2) = (data.draw(st.integers(1, 5)) for _ in range(4))
    rank = data.draw(st.integers(1, min(m1 * n1, m2 * n2)))
    w = gaussian((m1 * m2, n1 * n2), rng=data.draw(st.integers(0, 99)))
    adapted = compress.soka(w, ((m1, n1), (m2, n2)), rank=rank)
    sizes = sum(f.size for f in adapted.adapter.factors)
    assert adapted.n_parameters == rank * (m1 * n1 + m2 * n2) == sizes
    assert td.n_parameters(adapted) == sizes + w.size
    rank = min(rank, *w.shape)
    other = compress.pissa(w, rank=rank)
    assert other.n_parameters == rank * sum(w.shape) == td.n_parameters(other.adapter)


@given(seed=st.integers(0, 99), rank=st.integers(1, 12))
def test_outer_products_are_the_kronecker_products_of_columns_with_rows(seed, rank):
    w = gaussian((M, N), rng=seed)
    outer = compress.pissa(w, rank=rank)
    kronecker = compress.soka(w, ((M, 1), (1, N)), rank=rank)
    assert outer.n_parameters == kronecker.n_parameters
    assert np.allclose(outer.residual, kronecker.residual, atol=1e-12)


@given(seed=st.integers(0, 99))
def test_the_order_of_rows_and_columns_matters_to_kronecker_products_alone(seed):
    rng = np.random.default_rng(seed)
    w = np.kron(rng.standard_normal((4, 3)), rng.standard_normal((3, 5)))
    shuffled = w[rng.permutation(M), :][:, rng.permutation(N)]
    assert energy(compress.soka(w, SHAPES, rank=1), w) == pytest.approx(1)
    assert energy(compress.soka(shuffled, SHAPES, rank=1), w) < 1 - 1e-3
    one, other = (energy(compress.pissa(x, rank=1), w) for x in (w, shuffled))
    assert one == pytest.approx(other)


def test_by_default_a_term_takes_the_fewest_numbers():
    for m, n in itertools.product((1, 7, 12, 16, 30), repeat=2):
        adapter = compress.soka(np.ones((m, n)), rank=1).adapter
        splits = [p * q for p in divisors(m) for q in divisors(n)]
        assert adapter.n_parameters == min(k + m * n // k for k in splits)
    assert compress.soka(np.ones((384, 384)), rank=1).adapter.shapes == ((16, 24), (24, 16))
    for m, n in ((384, 1536), (384, 384), (12, 18), (8, 30)):
        suggested = suggest_shapes(m, n, limit=1)[0]
        assert compress.soka(np.ones((m, n)), rank=1).adapter.shapes == suggested.shapes
    # Of primes only columns and rows are left.
    assert compress.soka(np.ones((7, 13)), rank=1).adapter.shapes in (
        ((7, 1), (1, 13)),
        ((1, 13), (7, 1)),
    )


class TestSize:
    """How many terms: clip(min of what is asked for, from min_rank up)."""

    # Nine tenths of the energy in one value, an elbow after four.
    S = (10.0, 3.0, 2.0, 1.5, *(1e-3 * 0.9**k for k in range(8)))

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("part", [0.5, 0.9, 0.97, 0.9999])
    @pytest.mark.when_compiled(part=0.97)
    def test_the_energy_is_held_by_the_fewest_terms(self, xp, method, part):
        w = of_spectrum(method, self.S)
        adapted = METHODS[method](xp.asarray(w), energy=part)
        assert adapted.rank == energy_rank(np.array(self.S), energy=part)
        adapted = adapted._replace(residual=xp.to_numpy(adapted.residual))
        assert energy(adapted, w) >= part
        if adapted.rank > 1:
            assert energy(METHODS[method](w, rank=adapted.rank - 1), w) < part

    @pytest.mark.parametrize("method", METHODS)
    def test_the_elbow_is_that_of_the_spectrum(self, xp, method):
        w = xp.asarray(of_spectrum(method, self.S))
        assert METHODS[method](w, elbow=True).rank == elbow_rank(np.array(self.S)) == 4

    @pytest.mark.parametrize("method", METHODS)
    def test_the_smallest_wish_wins(self, method):
        w = of_spectrum(method, self.S)
        for rank, part, elbow, floor in itertools.product(
            (None, 1, 3, 12), (None, 0.9, 0.97, 0.999999), (False, True), (1, 3)
        ):
            wishes = [
                *([] if rank is None else [rank]),
                *([] if part is None else [energy_rank(np.array(self.S), energy=part)]),
                *([4] if elbow else []),
            ]
            if not wishes or (rank is not None and floor > rank):
                continue
            found = METHODS[method](w, rank=rank, energy=part, elbow=elbow, min_rank=floor).rank
            assert found == max(floor, min(wishes))

    @pytest.mark.parametrize("method", METHODS)
    def test_a_budget_is_used_up_to_less_than_a_term(self, method):
        w = gaussian((M, N))
        for budget in (COST, 100, 200, 10_000):
            adapted = METHODS[method](w, n_parameters=budget)
            assert adapted.n_parameters <= budget
            full = adapted.rank == TERMS
            assert full or adapted.n_parameters + COST > budget
        assert METHODS[method](w, n_parameters=100, rank=2).rank == 2
        assert METHODS[method](w, n_parameters=100, rank=9).rank == 100 // COST

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
    def test_the_scale_changes_nothing(self, method, scale):
        w = of_spectrum(method, self.S)
        for size in ({"energy": 0.97}, {"elbow": True}):
            plain, scaled = (METHODS[method](x, **size) for x in (w, w * scale))
            assert plain.rank == scaled.rank
            assert np.allclose(scaled.residual / scale, plain.residual, atol=1e-12)

    @pytest.mark.parametrize("method", METHODS)
    def test_zeros_are_held_by_one_term(self, xp, method):
        w = xp.asarray(np.zeros((M, N)))
        for size in ({"rank": 3}, {"energy": 0.9}, {"elbow": True}):
            adapted = METHODS[method](w, **size)
            assert adapted.rank == size.get("rank", 1)
            assert not np.any(xp.to_numpy(adapted.to_array()))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("narrow", [np.float16, ml_dtypes.bfloat16])
def test_of_half_precision_only_the_residual_stays_so(method, narrow):
    w = gaussian((M, N)).astype(narrow)
    adapted = METHODS[method](w, rank=2)
    assert adapted.residual.dtype == w.dtype
    assert adapted.dtype == adapted.to_array().dtype == np.float32
    gap = np.abs(adapted.to_array() - w.astype(np.float32))
    half = float(ml_dtypes.finfo(narrow).eps) / 2
    assert np.all(gap <= 1.01 * half * np.abs(adapted.residual.astype(float)) + 1e-5)
    # The factors are those of the same weights in single precision.
    single = METHODS[method](w.astype(np.float32), rank=2)
    assert np.array_equal(single.adapter.left, adapted.adapter.left)
    x = gaussian((N,), rng=1, dtype="float32")
    assert np.allclose(adapted @ x, adapted.to_array() @ x, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_lists_and_other_dtypes_are_multiplied_too(xp, method):
    w = gaussian((M, N), dtype="float32")
    adapted = METHODS[method](xp.asarray(w), rank=2)
    sides = np.ones((N, 2))
    for x in (sides.tolist(), [1.0] * N, xp.asarray(sides), xp.asarray(np.ones(N, int))):
        y = xp.to_numpy(adapted @ x)
        assert np.allclose(y, (w @ sides)[:, 0] if y.ndim == 1 else w @ sides, atol=1e-5)
    assert (adapted @ xp.asarray(sides[:, 0].astype("float32"))).dtype == xp.float32
    assert (adapted @ xp.asarray(sides)).dtype == xp.float64
    with pytest.raises(ValueError, match=r"x must have shape \(15,\) or \(\.\.\., 15, c\)"):
        adapted @ [1.0]
    with pytest.raises(TypeError, match=r"Adapted; pass x\.to_array\(\)"):
        adapted @ adapted


@pytest.mark.parametrize("method", METHODS)
def test_other_numbers_are_brought_to_floats(method):
    w = np.arange(180).reshape(M, N) % 7
    expected = METHODS[method](w.astype(float), rank=2)
    for same in (w, w.tolist(), np.asfortranarray(w), w.astype(">f8"), w.astype(np.int8)):
        adapted = METHODS[method](same, rank=2)
        assert adapted.residual.dtype == np.float64
        assert np.allclose(adapted.residual, expected.residual, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_it_compiles_and_differentiates(xp, method):
    w = of_spectrum(method, 0.6 ** np.arange(12.0))

    def residual(w):
        return METHODS[method](w, n_parameters=3 * COST).residual

    found = xp.to_numpy(xp.jit(residual)(xp.asarray(w)))
    assert np.allclose(found, residual(w), atol=1e-12)
    direction, h = gaussian((M, N), rng=1), 1e-6
    ahead, behind = (np.sum(residual(w + sign * h * direction) ** 2) for sign in (1, -1))
    if xp.name == "jax":
        import jax

        slope = xp.to_numpy(xp.jit(jax.grad(lambda w: xp.sum(residual(w) ** 2)))(xp.asarray(w)))
    elif xp.name == "torch":
        leaf = xp.asarray(w).requires_grad_()
        xp.sum(residual(leaf) ** 2).backward()
        slope = leaf.grad.cpu().numpy()
    else:
        return
    assert np.vdot(slope, direction) == pytest.approx((ahead - behind) / (2 * h), rel=1e-6)


def test_it_is_a_tuple_of_its_parts():
    adapted = compress.soka(gaussian((M, N)), SHAPES, rank=2)
    residual, adapter = adapted
    assert isinstance(adapter, KroneckerSum)
    assert np.array_equal(residual + adapter.to_array(), adapted.to_array())
    best = kronecker_svd(gaussian((M, N)), SHAPES, rank=2).tensor
    assert np.array_equal(best.left, adapter.left)
    with pytest.raises(TypeError):
        np.eye(M) @ adapted


class TestBadInput:
    """Refused in words that name the way out."""

    def test_shapes_that_do_not_divide(self, xp):
        w = xp.asarray(gaussian((M, N)))
        nearest = r"w has shape \(12, 15\); choose other shapes: .* divide it are \(6, 3\)"
        with pytest.raises(ValueError, match=nearest):
            compress.soka(w, ((5, 3), (3, 5)), rank=1)
        with pytest.raises(ValueError, match="two factors, got 3"):
            compress.soka(w, ((2, 3), (2, 5), (3, 1)), rank=1)
        with pytest.raises(ValueError, match="shapes must hold the shapes"):
            compress.soka(w, (4, 3), rank=1)

    @pytest.mark.parametrize("method", METHODS)
    def test_sizes(self, xp, method):
        w = xp.asarray(gaussian((M, N)))
        adapt = METHODS[method]
        with pytest.raises(ValueError, match=r"pass rank= .*between 1 and 12.*at least 27"):
            adapt(w)
        for rank in (0, -1, 13):
            with pytest.raises(ValueError, match=f"rank must be .* 1 and 12, got {rank}"):
                adapt(w, rank=rank)
        for rank in (2.5, True, "2"):
            with pytest.raises(TypeError, match="energy= or elbow=True"):
                adapt(w, rank=rank)
        with pytest.raises(ValueError, match="n_parameters must be an int >= 27, got 26"):
            adapt(w, n_parameters=26)
        with pytest.raises(TypeError, match=r"n_parameters must be an int >= 27, got 99\.5"):
            adapt(w, n_parameters=99.5)
        for part in (0.0, 1.0, 95):
            with pytest.raises(ValueError, match="energy must lie strictly between 0 and 1"):
                adapt(w, energy=part)
        with pytest.raises(ValueError, match="min_rank must be an int between 1 and 4, got 5"):
            adapt(w, energy=0.9, rank=4, min_rank=5)

    @pytest.mark.parametrize("method", METHODS)
    def test_weights(self, xp, method):
        w = gaussian((M, N))
        w[3, 4] = np.nan
        with pytest.raises(ValueError, match=r"w has 1 non-finite entries.*w\[3, 4\]"):
            METHODS[method](xp.asarray(w), rank=1)
        with pytest.raises(ValueError, match="w must have 2 dimensions"):
            METHODS[method](xp.asarray(w[0]), rank=1)
        with pytest.raises(ValueError, match="w is empty"):
            METHODS[method](xp.asarray(w[:0]), rank=1)
