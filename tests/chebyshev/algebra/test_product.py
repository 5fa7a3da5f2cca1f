"""Products: those of values, of the ranks that they have, with an error that is seen."""

import numpy as np
import pytest

from tdecomp import ToleranceError
from tdecomp.chebyshev import (
    ChebyshevTucker,
    add,
    chebyshev_tucker,
    evaluate,
    fix,
    gradient,
    inner,
    integrate,
    laplacian,
    multiply,
    norm,
    permute,
    restrict,
    scale,
)
from tdecomp.chebyshev._algebra import _product
from tdecomp.testing import gaussian


def function(rank, shape, xp=np, dtype="float64", seed=0):
    core = gaussian(rank, rng=seed, dtype=dtype)
    sizes = zip(shape, rank, strict=True)
    factors = [gaussian(s, rng=seed + k + 1, dtype=dtype) for k, s in enumerate(sizes)]
    box = np.array([[-1.0 - k, 2.0] for k in range(len(rank))], dtype=core.real.dtype)
    return ChebyshevTucker(xp.asarray(core), tuple(map(xp.asarray, factors)), xp.asarray(box))


def inside(f, count=300):
    box = np.array(f.domain)
    u = np.random.default_rng(0).uniform(size=(count, len(box)))
    return (box[:, 0] + (box[:, 1] - box[:, 0]) * u).astype(box.dtype)


def smooth(f, d=3, **options):
    return chebyshev_tucker(f, [(-1, 1)] * d, **options).tensor


RUNGE = smooth(lambda x, y, z: 1 / (1 + 4 * (x * x + y * y + z * z)))
WAVE = smooth(lambda x, y, z: np.cos(6 * (x + y * z)))


@pytest.mark.parametrize(
    ("rank", "shape"),
    [
        ((1,), (5,)),
        ((2, 2), (4, 3)),
        ((2, 3, 2), (3, 5, 4)),
        ((2, 1, 2, 2), (3, 2, 1, 4)),
    ],
)
@pytest.mark.when_compiled(dtype="float32", rank=(1,))
def test_products_are_those_of_values(xp, dtype, rank, shape):
    f, g = function(rank, shape, xp, dtype), function(rank, shape[::-1], xp, dtype, seed=9)
    found = multiply(f, g)
    assert found.dtype == f.dtype
    assert all(m <= a + b - 1 for m, a, b in zip(found.shape, f.shape, g.shape, strict=True))
    x = inside(function(rank, shape, dtype=dtype))
    values, one, other = (xp.to_numpy(evaluate(h, xp.asarray(x))) for h in (found, f, g))
    slack = 1000 * np.finfo(dtype).eps * np.abs(one).max() * np.abs(other).max()
    assert np.abs(values - one * other).max() <= slack


@pytest.mark.parametrize(
    ("f", "g", "h"),
    [
        (RUNGE, RUNGE, lambda x, y, z: (1 + 4 * (x * x + y * y + z * z)) ** -2),
        (WAVE, WAVE, lambda x, y, z: np.cos(6 * (x + y * z)) ** 2),
    ],
)
def test_products_have_the_ranks_of_their_functions(f, g, h):
    found = multiply(f, g)
    x = inside(f, 2000)
    expected = evaluate(f, x) * evaluate(g, x)
    assert np.abs(evaluate(found, x) - expected).max() <= 2e-13
    direct = smooth(h)
    assert max(found.rank) <= max(direct.rank) + 3
    assert max(found.rank) < max(f.rank) * max(g.rank) / 3


def test_integrals_of_products_are_inner_products():
    size = float(norm(RUNGE)) * float(norm(WAVE))
    assert abs(float(integrate(multiply(RUNGE, WAVE)) - inner(RUNGE, WAVE))) <= 1e-14 * size
    f = smooth(lambda x, y: np.exp(1j * x * y), 2)
    conjugate = f._replace(core=f.core.conj(), factors=tuple(v.conj() for v in f.factors))
    ones = multiply(f, conjugate, rtol=1e-11)
    assert ones.rank == (1, 1)
    assert complex(integrate(ones)) == pytest.approx(4, rel=1e-12)


def test_functions_that_do_not_meet_have_a_product_of_nothing():
    f, g = (smooth(lambda x, y, s=s: np.exp(-60 * ((x - s) ** 2 + y**2)), 2) for s in (-0.6, 0.6))
    found = multiply(f, g)
    assert found.rank == (1, 1)
    assert float(norm(found)) <= 1e-14
    with pytest.raises(ToleranceError, match="rounding alone"):
        multiply(f, g, rtol=1e-3)


def test_a_tolerance_is_kept():
    exact = multiply(RUNGE, WAVE)
    for rtol in (1e-2, 1e-5, 1e-9):
        found = multiply(RUNGE, WAVE, rtol=rtol)
        left = float(norm(add(found, scale(exact, -1))))
        assert left <= rtol * float(norm(exact))
        assert max(found.rank) < max(exact.rank)
        assert max(found.shape) < max(exact.shape)


def test_columns_that_are_missing_are_noticed(monkeypatch):
    exact = multiply(RUNGE, WAVE)
    monkeypatch.setattr(_product, "_NOISE", 1e9)
    again = multiply(RUNGE, WAVE)  # from all values
    assert float(norm(add(again, scale(exact, -1)))) <= 1e-13 * float(norm(exact))
    monkeypatch.setattr(_product, "_HUGE", 10)
    with pytest.raises(ToleranceError, match="largest values on a grid"):
        multiply(RUNGE, WAVE)


def test_few_points_more_than_columns_do_as_well(monkeypatch):
    exact = multiply(RUNGE, WAVE)
    monkeypatch.setattr(_product, "_LARGE", 10)
    again = multiply(RUNGE, WAVE)
    assert float(norm(add(again, scale(exact, -1)))) <= 1e-13 * float(norm(exact))


def test_scales_are_multiplied():
    f, g = scale(RUNGE, 2.0**-600), scale(WAVE, 2.0**700)
    found, plain = multiply(f, g), multiply(RUNGE, WAVE)
    assert found.rank == plain.rank
    assert float(norm(found)) == pytest.approx(2.0**100 * float(norm(plain)), rel=1e-13)
    nothing = multiply(scale(f, 0), g)
    assert nothing.rank == nothing.shape == (1, 1, 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: multiply(f, 2), TypeError, "g must be a ChebyshevTucker, got int"),
        (lambda f: multiply(f, f._replace(domain=2 * f.domain)), ValueError, "must have one box"),
        (lambda f: multiply(f, f, rtol=-1), ValueError, "rtol"),
        (lambda f: multiply(f, f, rtol=1e-17), ToleranceError, "rounding alone"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(RUNGE)


def test_where_ranks_cannot_depend_on_values_products_are_exact():
    torch = pytest.importorskip("torch")
    f = function((2, 2), (4, 3))
    factor = torch.tensor(f.factors[0], requires_grad=True)
    factors = (factor, torch.tensor(f.factors[1]))
    g = ChebyshevTucker(torch.tensor(f.core), factors, torch.tensor(f.domain))
    found = multiply(g, g)
    assert found.rank == (4, 4)
    x = inside(f)
    values = evaluate(found, torch.tensor(x))
    assert np.abs(values.detach().numpy() - evaluate(f, x) ** 2).max() <= 1e-12
    values.sum().backward()
    assert bool(torch.all(torch.isfinite(factor.grad)))
    with pytest.raises(ValueError, match="leave rtol out"):
        multiply(g, g, rtol=1e-3)


@pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
def test_programs_compile_and_gradients_are_differences(xp):
    """All of the algebra that ranks do not decide about, in one program."""
    f, g = function((2,), (4,)), function((2,), (3,), seed=9)
    f, g = (h._replace(domain=np.array([[-1.0, 2.0]])) for h in (f, g))
    x = np.array([[0.3], [1.1]])

    def total(core):
        like = (lambda a: a) if isinstance(core, np.ndarray) else xp.asarray
        one, other = (
            ChebyshevTucker(core * s, tuple(map(like, h.factors)), like(h.domain))
            for s, h in ((1, f), (2, g))
        )
        both = add(multiply(one, other), laplacian(one), restrict(other, [(-1, 2)]))
        slopes = gradient(permute(both, (0,)), like(x))
        value = fix(scale(both, 2), {0: 0.5})
        return norm(one) + inner(one, other) + slopes.sum() + value

    def plain(core):
        return float(total(core))

    found = float(xp.to_numpy(xp.jit(total)(xp.asarray(f.core))))
    assert found == pytest.approx(plain(f.core), rel=1e-12)
    slopes = [(plain(f.core + step) - plain(f.core - step)) / 2e-6 for step in 1e-6 * np.eye(2)]
    assert xp.gradient(total, f.core) == pytest.approx(np.array(slopes), rel=1e-7)
