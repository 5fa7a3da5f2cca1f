"""The functions of the catalogue: each once, of any shape, finite."""

import numpy as np
import pytest

from tdecomp.testing import functions


def test_numbers_ascend_and_formulas_differ():
    numbers = [row.number for row in functions()]
    assert numbers == sorted(set(numbers))
    assert len({row.formula for row in functions()}) == len(numbers) == 42


@pytest.mark.parametrize("row", functions(), ids=lambda row: str(row.number))
def test_values_are_finite_and_elementwise(row):
    x = np.random.default_rng(0).uniform(-1, 1, (3, 6, 4))
    values = row.f(*x)
    assert np.shape(values) == (6, 4)
    assert np.all(np.isfinite(values))
    assert np.allclose(row.f(*x[:, 2, 1]), values[2, 1], rtol=1e-12)


def test_some_values():
    values = {
        row.number: row.f(np.float64(0.5), np.float64(-0.25), np.float64(1.0))
        for row in functions()
    }
    assert values[33] == pytest.approx(100 * (0.5**2 + 0.9375**2) + 0.25 + 1.5625)
    assert values[20] == pytest.approx(((0.1) ** 2 + 0.0625) * (0.81 + 0.0625) - 1)
    assert values[22] == pytest.approx(abs(((0.5 - 0.25j) * np.exp(1j)) ** 2 - 1) ** 2)
    assert values[44] == pytest.approx(0.5 - 0.0625)
