"""Changes of entries leave exactly what building anew gives, at the cost of paths to the roots."""

import numpy as np
import pytest
from scipy import stats

from tdecomp.completion.sampling import LengthSquaredMatrix, LengthSquaredVector, _trees


def leaves(held):
    """Return the leaves of a vector."""
    rows = held._matrix._trees.rows
    first = int(rows.starts[0] + rows.sizes[0])
    return rows.heap[first : first + held.shape[0]]


def test_a_million_changes_leave_every_sum_as_if_built_anew():
    rng = np.random.default_rng(0)
    a = rng.uniform(1, 2, (3, 700))
    held = LengthSquaredMatrix(a)
    for _ in range(100):
        rows, columns = rng.integers(0, 3, 10_000), rng.integers(0, 700, 10_000)
        held.update(rows, columns, 10.0 ** rng.uniform(-9, 9, 10_000))
    for i, j, value in zip(range(3), (5, 699, 0), (1e9, 0.0, 1e-9), strict=True):
        held.update(i, j, value)
    held.update(*np.divmod(np.arange(2100), 700), a.ravel())
    anew = LengthSquaredMatrix(a)
    assert held._trees.unit == anew._trees.unit
    np.testing.assert_array_equal(held._trees.rows.heap, anew._trees.rows.heap)
    np.testing.assert_array_equal(held._trees.top.heap, anew._trees.top.heap)


@pytest.mark.parametrize("together", [False, True])
def test_what_becomes_zero_costs_no_more_than_other_changes(together, monkeypatch):
    held = LengthSquaredMatrix(np.asarray([[0.0, 3.0, 0.0], [0.0, 0.0, 0.0], [4.0, 0.0, 0.0]]))
    for whole in ("_rescaled", "_settled"):
        monkeypatch.setattr(_trees, whole, lambda *_: pytest.fail("all was read"))
    index = (lambda i: [i]) if together else (lambda i: i)
    for value in (0.0, 5.0, 0.0):
        held.update(index(0), index(1), value)
    assert held.row_norms.tolist() == [0.0, 0.0, 4.0]
    held.update(index(2), index(0), 0.0)
    assert held.norm == 0.0
    held.update(index(1), index(2), -2.0)
    assert held.norm == 2.0
    assert [int(i[0]) for i in held.sample(1, rng=0)] == [1, 2]


def test_a_row_that_has_become_zero_is_in_nobodys_way():
    held = LengthSquaredMatrix(np.asarray([[1e300, 1e300], [1e-300, 0.0]]))
    held.update(0, [0, 1], 0.0)
    assert held.norm == 1e-300
    assert held.row_norms.tolist() == [0.0, 1e-300]
    assert set(held.sample_rows(9, rng=0).tolist()) == {1}


def test_rows_that_have_grown_do_not_settle_again_and_again(monkeypatch):
    held = LengthSquaredMatrix(np.ones((3, 2)))
    held.update([0, 1], [0, 0], 1.3 * 2.0**255)  # squares just in range, their sum is not
    monkeypatch.setattr(_trees, "_settled", lambda *_: pytest.fail("all was read"))
    held.update(2, 1, 2.0)
    held.update([1, 2], [1, 1], 3.0)
    assert held.norm == pytest.approx(1.3 * np.sqrt(2) * 2.0**255, rel=1e-15)


@pytest.mark.parametrize("one", [False, True])
def test_an_entry_has_a_chance_if_and_only_if_it_is_not_zero(one):
    x = LengthSquaredVector([1.0, 1e-200, 0.0, -5e-324])
    assert (leaves(x) > 0).tolist() == [True, True, False, True]
    x.update(2 if one else [2], 1e-250)
    x.update(1 if one else [1], 0.0)
    assert (leaves(x) > 0).tolist() == [True, False, True, True]
    x.update(0 if one else [0], -0.0)
    assert x.norm == 1e-250
    assert (leaves(x) > 0).tolist() == [False, False, True, True]


@pytest.mark.parametrize("way", ["built", "changed", "changed together"])
def test_magnitudes_of_complex_numbers_may_overflow(way):
    values = np.asarray([1.7e308 + 1.7e308j, -1.7e308j])
    x = LengthSquaredVector(values if way == "built" else np.ones(2, dtype=complex))
    if way == "changed":
        x.update(0, complex(values[0]))
        x.update(1, complex(values[1]))
    elif way == "changed together":
        x.update([0, 1], values)
    counts = np.bincount(x.sample(30_000, rng=0), minlength=2)
    assert stats.chisquare(counts, [20_000, 10_000]).pvalue > 1e-4
    assert x.norm == np.inf


@pytest.mark.parametrize("bad", [np.nan, -np.inf, np.float32("nan"), [np.nan, 1.0], 1e39])
def test_a_change_that_is_refused_changes_nothing(bad):
    x = LengthSquaredVector(np.asarray([3.0, 4.0], dtype="float32"))
    for index in ([0, 1], 0):
        with pytest.raises(ValueError, match="values"):
            x.update(index, bad)
    with pytest.raises(ValueError, match="must lie between -2 and 1"):
        x.update(-3, 1.0)
    with pytest.raises(ValueError, match=r"outside of -2 ... 1"):
        x.update([0, 2], 1.0)
    assert (x.norm, x.to_array().tolist()) == (5.0, [3.0, 4.0])


@pytest.mark.parametrize("kind", ["int8", "uint64"])
def test_few_bits_are_enough_for_an_index(kind):
    x = LengthSquaredVector(np.zeros(300))
    x.update(np.asarray([127, 100], dtype=kind), [3.0, 4.0])
    assert (x.norm, x[np.asarray([127], dtype=kind)].tolist()) == (5.0, [3.0])
