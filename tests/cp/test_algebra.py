"""The algebra of CP decompositions equals that of the tensors."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import cp
from tdecomp.cp import CP
from tdecomp.ops import mode_product
from tdecomp.testing import gaussian

EPS = np.finfo(float).eps
SHAPE, RANK = (4, 3, 5), 4
DTYPES = ("float32", "float64", "complex64", "complex128")
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple)
cases = st.tuples(shapes, st.integers(1, 5), st.sampled_from(DTYPES), st.integers(0, 9))


def component_norms(x):
    return np.abs(x.weights) * np.prod([np.linalg.norm(f, axis=0) for f in x.factors], axis=0)


def on(backend, x):
    return CP(backend.asarray(x.weights), tuple(map(backend.asarray, x.factors)))


@given(case=cases)
def test_norms_and_inner_products_are_those_of_the_tensors(case, random_cp, dense):
    shape, rank, dtype, seed = case
    a, b = (random_cp(shape, rank + k, dtype=dtype, seed=seed + 50 * k) for k in range(2))
    x, y = dense(a), dense(b)
    unit = np.finfo(dtype).eps * 20 * len(shape)
    total = component_norms(a).sum()
    assert cp.norm(a).dtype == np.zeros(0, dtype).real.dtype
    assert abs(cp.norm(a) - np.linalg.norm(x)) <= unit * total
    assert abs(cp.inner(a, b) - np.vdot(x, y)) <= 2 * unit * total * component_norms(b).sum()


def exact_square(x):
    """The squared norm in rational arithmetic."""
    weights = [Fraction(float(w)) for w in x.weights]
    factors = [[[Fraction(float(v)) for v in row] for row in factor] for factor in x.factors]
    total = Fraction(0)
    for r, s in product(range(x.rank), repeat=2):
        term = weights[r] * weights[s]
        for factor in factors:
            term *= sum(row[r] * row[s] for row in factor)
        total += term
    return total


def root(value):
    """The square root of a rational number, to double precision even where that is tiny."""
    shift = 2**400
    return float(Fraction(math.isqrt(int(value * shift * shift)), shift))


@pytest.mark.parametrize("gap", [1e-1, 1e-3, 1e-5, 1e-7, 1e-10, 1e-13])
@pytest.mark.parametrize("modes", [2, 3, 5])
def test_the_norm_of_what_cancels_keeps_its_digits(gap, modes):
    factors = [gaussian((6, 3), rng=k) for k in range(modes)]
    near = [f[:, :1] * (1 + gap * k) + gap * gaussian((6, 1), rng=90 + k)
            for k, f in enumerate(factors)]  # fmt: skip
    x = CP(np.array([1.0, gap, 0.0, -1.0]),
           tuple(np.hstack([f, n]) for f, n in zip(factors, near, strict=True)))  # fmt: skip
    true = root(exact_square(x))
    total = component_norms(x).sum()
    assert true <= 30 * gap * total
    # Eps of the components, not of their squares.
    assert abs(float(cp.norm(x)) - true) <= 20 * modes * EPS * total
    other = CP(np.ones(1), tuple(f[:, 1:2] for f in factors))
    sum_ = cp.add(x, other)
    polar = (exact_square(sum_) - exact_square(x) - exact_square(other)) / 2
    bound = 40 * modes * EPS * component_norms(other).sum() * total
    assert abs(float(cp.inner(x, other)) - float(polar)) <= bound


def test_the_inner_product_of_two_small_differences_keeps_their_scale():
    factors = [gaussian((6, 2), rng=k) for k in range(3)]
    gap = 1e-9
    near = [f + gap * gaussian((6, 2), rng=9 + k) for k, f in enumerate(factors)]
    a, b = (CP(np.array([1.0, -1.0]),
               tuple(np.stack([f[:, r], n[:, r]], axis=1)
                     for f, n in zip(factors, near, strict=True))) for r in range(2))  # fmt: skip
    polar = (exact_square(cp.add(a, b)) - exact_square(a) - exact_square(b)) / 2
    sizes = [component_norms(x).sum() for x in (a, b)]
    bound = sizes[0] * float(cp.norm(b)) + float(cp.norm(a)) * sizes[1]
    assert abs(float(cp.inner(a, b)) - float(polar)) <= 100 * EPS * bound
    assert bound <= 1e-6 * sizes[0] * sizes[1]


def test_a_tensor_less_itself_has_norm_zero_to_rounding(random_cp):
    x = random_cp((7, 6, 5, 4), 9, dtype="complex128")
    nothing = cp.add(x, x._replace(weights=-x.weights))
    assert float(cp.norm(nothing)) <= 100 * EPS * component_norms(x).sum()


def test_many_rows_are_compressed_in_blocks(monkeypatch, random_cp, dense):
    from tdecomp.cp import _algebra_norm

    monkeypatch.setattr(_algebra_norm, "_BLOCK_ENTRIES", 100)
    x = random_cp((9, 8, 7, 6), 4)
    x = cp.add(x, CP(-x.weights, tuple(f + 1e-6 * i for i, f in enumerate(x.factors))))
    assert float(cp.norm(x)) == pytest.approx(np.linalg.norm(dense(x)), rel=1e-8)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_scales(scale, random_cp):
    x = random_cp(SHAPE, RANK)
    big = CP(x.weights * scale, x.factors)
    assert float(cp.norm(big)) / scale == pytest.approx(float(cp.norm(x)))
    # Factors whose product is moderate, though no partial product of squares is.
    first, second, third = x.factors
    wild = CP(x.weights, (first * scale, second / scale, third))
    assert float(cp.norm(wild)) == pytest.approx(float(cp.norm(x)))
    weights, factors = cp.normalise(wild)
    assert np.allclose(weights, cp.normalise(x).weights)
    assert all(np.allclose(np.linalg.norm(f, axis=0), 1) for f in factors)
    tiny = CP(x.weights, (first * 1e-160, second * 1e-160, third))
    assert float(cp.norm(tiny)) == 0.0 or float(cp.norm(tiny)) < 1e-300


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.when_compiled(dtype="complex64")
def test_every_function_on_every_backend(xp, dtype, random_cp, dense):
    a, b = random_cp(SHAPE, RANK, dtype=dtype), random_cp(SHAPE, 2, dtype=dtype, seed=7)
    x, y, eps = dense(a), dense(b), np.finfo(dtype).eps
    one, two = on(xp, a), on(xp, b)
    slack = 300 * eps * component_norms(a).sum() * max(1, component_norms(b).sum())
    matrix = gaussian((2, 3), rng=1, dtype=dtype)
    indices = np.array([[3, 2, 4], [0, 0, 0], [-1, 1, -5]])
    pairs = [
        (cp.norm(one), np.linalg.norm(x)),
        (cp.inner(one, two), np.vdot(x, y)),
        (cp.add(one, two, one).to_array(), 2 * x + y),
        (cp.evaluate(one, xp.asarray(indices)), x[tuple(indices.T)]),
        (cp.section(one, (slice(None), 1, [4, 0])).to_array(), x[:, 1][:, [4, 0]]),
        (cp.mode_product(one, xp.asarray(matrix), -2).to_array(), mode_product(x, matrix, 1)),
        (cp.normalise(one).to_array(), x),
        (cp.permute(one, [3, 1, 0, 2]).to_array(), x),
        (cp.align(one, two).to_array(), x),
    ]
    for result, true in pairs:
        got = xp.to_numpy(result)
        assert np.all(np.abs(got - true) <= slack)
        assert got.dtype in (np.dtype(dtype), np.zeros(0, dtype).real.dtype)
    assert cp.normalise(one).factors[0].dtype == one.dtype


def test_functions_compile(xp, random_cp, dense):
    for name in ("norm", "inner", "normalise", "congruence"):
        xp.requires(f"cp.{name}", "jit")
    a, b = random_cp(SHAPE, RANK), random_cp(SHAPE, 2, seed=7)
    one, two = on(xp, a), on(xp, b)
    assert float(xp.jit(cp.norm)(one)) == pytest.approx(np.linalg.norm(dense(a)))
    assert float(xp.jit(cp.inner)(one, two)) == pytest.approx(np.vdot(dense(a), dense(b)))
    np.testing.assert_allclose(
        xp.to_numpy(xp.jit(cp.normalise)(one).to_array()), dense(a), atol=1e-12
    )
    np.testing.assert_allclose(
        xp.to_numpy(xp.jit(cp.congruence)(one, two)), cp.congruence(a, b), atol=1e-14
    )


@pytest.mark.parametrize("name", ["norm", "inner"])
def test_gradients_equal_finite_differences(xp, name, random_cp):
    xp.requires(f"cp.{name}", "grad")
    x = random_cp(SHAPE, RANK)
    other = random_cp(SHAPE, 2, seed=7)

    def loss(matrix, backend):
        factors = (matrix, *map(backend.asarray, x.factors[1:]))
        y = CP(backend.asarray(x.weights), factors)
        return cp.norm(y) if name == "norm" else cp.inner(y, on(backend, other))

    direction = gaussian((4, RANK), rng=5)
    ends = [float(loss(x.factors[0] + s * 1e-5 * direction, np)) for s in (1, -1)]
    slope = (ends[0] - ends[1]) / 2e-5
    if xp.name == "jax":
        import jax

        gradient = np.asarray(jax.grad(lambda m: loss(m, xp))(xp.asarray(x.factors[0])))
    else:
        matrix = xp.asarray(x.factors[0]).requires_grad_()
        loss(matrix, xp).backward()
        gradient = matrix.grad.cpu().numpy()
    assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-7)


def test_single_entries_in_blocks(monkeypatch, random_cp, dense):
    from tdecomp.cp import _algebra

    monkeypatch.setattr(_algebra, "_BLOCK_ENTRIES", 20)
    x = random_cp(SHAPE, RANK)
    indices = np.stack(np.unravel_index(np.arange(60), SHAPE), axis=1)
    np.testing.assert_allclose(cp.evaluate(x, indices), dense(x).ravel(), atol=1e-13)
    assert cp.evaluate(x, np.zeros((0, 3), int)).shape == (0,)


def test_real_and_complex_decompositions_mix(xp, random_cp, dense):
    a, b = random_cp(SHAPE, 2), random_cp(SHAPE, 3, dtype="complex128", seed=9)
    one, two = on(xp, a), on(xp, b)
    assert complex(cp.inner(one, two)) == pytest.approx(np.vdot(dense(a), dense(b)))
    both = cp.add(one, two)
    np.testing.assert_allclose(xp.to_numpy(both.to_array()), dense(a) + dense(b), atol=1e-13)
    weights = xp.asarray(np.array([1j, 2.0]))
    complex_weights = CP(weights, one.factors)
    assert float(cp.norm(complex_weights)) == pytest.approx(
        np.linalg.norm(dense(CP(np.array([1j, 2.0]), a.factors)))
    )


def test_zero_tensors():
    nothing = CP(np.zeros(2), (np.zeros((3, 2)), np.ones((4, 2))))
    assert float(cp.norm(nothing)) == 0.0
    assert float(cp.inner(nothing, nothing)) == 0.0
    weights, factors = cp.normalise(nothing)
    assert np.array_equal(weights, [0.0, 0.0])
    assert np.array_equal(factors[0], nothing.factors[0])


def test_forms_of_input_and_tensorly(random_cp, dense):
    x = random_cp(SHAPE, 2)
    true = np.linalg.norm(dense(x))
    lists = (x.weights.tolist(), [f.tolist() for f in x.factors])
    assert float(cp.norm(lists)) == pytest.approx(true)
    swapped = CP(x.weights.astype(">f8"), tuple(np.asfortranarray(f) for f in x.factors))
    assert float(cp.norm(swapped)) == pytest.approx(true)
    ones = np.linalg.norm(dense(x._replace(weights=np.ones(2))))
    assert float(cp.norm((None, x.factors))) == pytest.approx(ones)
    integers = CP(np.array([1, 2]), (np.array([[1, 0], [0, 1]]), np.array([[True, False]] * 2)))
    assert cp.normalise(integers).dtype == np.float64
    half = CP(x.weights.astype("f2"), tuple(f.astype("f2") for f in x.factors))
    assert cp.normalise(half).dtype == np.float32
    tensorly = pytest.importorskip("tensorly")
    theirs = tensorly.cp_tensor.CPTensor((x.weights, list(x.factors)))
    assert float(cp.norm(theirs)) == pytest.approx(true)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (3, TypeError, "must be a CP"),
        ((np.ones(2), ()), ValueError, "no factors"),
        ((np.ones(2), [np.ones((3, 2)), np.ones((3, 3))]), ValueError, "one number of columns"),
        ((np.ones(3), [np.ones((3, 2))]), ValueError, "cp.weights must have 2 entries"),
        ((np.ones(2), [np.ones(2)]), ValueError, r"cp.factors\[0\] must have 2 dimensions"),
        ((np.ones(2), [np.full((3, 2), np.inf)]), ValueError, r"cp.factors\[0\] has 6 non-finite"),
        ((np.ones(2), [np.ones((0, 2))]), ValueError, r"cp.factors\[0\] is empty"),
    ],
)
def test_what_is_no_decomposition_is_refused(value, error, message):
    with pytest.raises(error, match=message):
        cp.norm(value)


def test_libraries_do_not_mix(random_cp):
    torch = pytest.importorskip("torch")
    x = random_cp(SHAPE, 2)
    theirs = CP(torch.ones(2), tuple(torch.ones(n, 2) for n in SHAPE))
    for mixed in (
        lambda: cp.inner(x, theirs),
        lambda: cp.add(x, theirs),
        lambda: cp.mode_product(x, theirs.factors[0], 0),
    ):
        with pytest.raises(TypeError, match="one library"):
            mixed()


def test_arguments_that_do_not_fit_are_refused(random_cp):
    x = random_cp(SHAPE, 2)
    refusals = [
        (cp.add, "nothing to add"),
        (lambda: cp.add(x, random_cp((4, 3), 2)), r"cps\[0\] and cps\[1\] must stand"),
        (lambda: cp.inner(x, random_cp((4, 3, 6), 2)), "a and b must stand"),
        (lambda: cp.evaluate(x, [[0, 0]]), r"indices must have shape \(m, 3\)"),
        (lambda: cp.evaluate(x, [[0, 3, 0]]), r"indices\[:, 1\] has an index outside"),
        (lambda: cp.section(x, (0, 0, 0)), "keeps no mode"),
        (lambda: cp.mode_product(x, np.ones((2, 4)), 1), "matrix must have 3 columns"),
        (lambda: cp.mode_product(x, np.ones((2, 4)), 3), "mode must lie between"),
        (lambda: cp.permute(x, [2]), "order has an index outside"),
        (lambda: cp.permute(x, []), "the length of order"),
    ]
    for call, message in refusals:
        with pytest.raises(ValueError, match=message):
            call()
