"""Functions of functions: those of their values, or refused."""

import numpy as np
import pytest

from tdecomp import Status
from tdecomp.chebyshev import (
    UnresolvedError,
    add,
    chebyshev_tucker,
    compose,
    evaluate,
    integrate,
    multiply,
    norm,
    scale,
)

BOX = np.array([[0.0, 1.0], [-1.0, 1.0]])
F = chebyshev_tucker(lambda x, y: 2 + x * y, BOX).tensor
G = chebyshev_tucker(lambda x, y: np.cos(x - y), BOX).tensor


def inside(count=300):
    u = np.random.default_rng(0).uniform(size=(count, 2))
    return BOX[:, 0] + (BOX[:, 1] - BOX[:, 0]) * u


@pytest.mark.parametrize("op", [np.exp, np.sqrt, lambda v: 1 / v, lambda v: np.exp(1j * v)])
def test_values_are_those_of_values(op):
    fit = compose(op, F)
    assert fit.status is Status.CONVERGED
    assert fit.tensor.domain.tolist() == BOX.tolist()
    x = inside()
    expected = op(2 + x[:, 0] * x[:, 1])
    assert np.abs(evaluate(fit.tensor, x) - expected).max() <= 1e-11 * np.abs(expected).max()


def test_a_product_is_a_composition_of_two():
    direct, sampled = multiply(F, G), compose(np.multiply, F, G).tensor
    assert float(norm(add(direct, scale(sampled, -1)))) <= 1e-11 * float(norm(direct))
    inverse = compose(lambda a, b: a / b, direct, F, rtol=1e-9, rng=1)
    assert float(norm(add(inverse.tensor, scale(G, -1)))) <= 1e-9 * float(norm(G))
    assert compose(np.exp, F, rank=1).tensor.rank == (1, 1)


def test_values_stay_in_their_library():
    torch = pytest.importorskip("torch")
    f = chebyshev_tucker(lambda x, y: x + y, BOX, like=torch.empty(0, dtype=torch.float64)).tensor
    found = compose(lambda v: torch.sin(v) ** 2, f).tensor
    assert isinstance(found.core, torch.Tensor)
    assert found.domain.dtype == torch.float64
    antiderivative = [1 / 2 * (s**2 / 2 + np.cos(2 * s) / 4) for s in (2.0, 0.0, 1.0, -1.0)]
    total = antiderivative[0] - antiderivative[2] - antiderivative[1] + antiderivative[3]
    assert float(integrate(found)) == pytest.approx(total, rel=1e-10)


def test_what_is_not_smooth_is_refused():
    shifted = chebyshev_tucker(lambda x: x - 0.3, [(-1, 1)]).tensor
    with pytest.raises(UnresolvedError):
        compose(np.abs, shifted, max_evals=5000)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: compose(2, F), TypeError, "op must be callable"),
        (lambda: compose(np.exp), ValueError, "functions is empty"),
        (lambda: compose(np.exp, F.core), TypeError, r"functions\[0\] must be"),
        (lambda: compose(np.add, F, F._replace(domain=2 * BOX)), ValueError, "one box"),
        (lambda: compose(lambda v: v[:2], F), ValueError, "one value for each"),
        (
            lambda: compose(lambda v: 1 / v, scale(F, 0)),
            ValueError,
            r"f returned inf at \(0, -1\)",
        ),
        (lambda: compose(np.exp, F, max_evals=0), ValueError, "max_evals"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
