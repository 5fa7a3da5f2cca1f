"""Every option is refused in one sentence: its name, what is legal, what was found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import ToleranceError
from tdecomp._errors import (
    check_choice,
    check_count,
    check_number,
    check_rank,
    check_reachable,
    check_rtol,
    check_target,
    nonfinite,
)

NOT_INTS = [2.5, 2.0, True, False, "2", None, [2], np.float64(2), np.bool_(True), 1 + 0j, {}]


@given(limit=st.integers(1, 50), data=st.data())
def test_a_legal_rank_comes_back_as_an_int(limit, data):
    rank = data.draw(st.integers(1, limit))
    kind = data.draw(st.sampled_from([int, np.int8, np.int64, np.uint16, np.array]))
    found = check_rank(kind(rank), limit)
    assert found == rank
    assert type(found) is int


@given(limit=st.integers(1, 50), beyond=st.integers(1, 10**30))
def test_an_illegal_rank_is_told_the_range(limit, beyond):
    for rank in (1 - beyond, limit + beyond):
        with pytest.raises(ValueError, match=f"an int between 1 and {limit}, got {rank}$"):
            check_rank(rank, limit)


def test_without_a_limit_any_positive_rank_is_legal():
    assert check_rank(10**12) == 10**12
    with pytest.raises(ValueError, match="an int >= 1, got 0"):
        check_rank(0)


@pytest.mark.parametrize("rank", NOT_INTS)
def test_a_rank_is_never_anything_but_an_int(rank):
    with pytest.raises(TypeError, match=r"^ranks\[1\] must be an int.*pass rtol="):
        check_rank(rank, 3, name="ranks[1]")


@pytest.mark.parametrize("value", NOT_INTS)
def test_a_count_is_never_anything_but_an_int(value):
    with pytest.raises(TypeError, match="block must be an int >= 1, got"):
        check_count(value, name="block", least=1)


@given(least=st.integers(-5, 5), value=st.integers(-50, 50))
def test_a_count_has_a_least_value(least, value):
    if value >= least:
        assert check_count(np.int16(value), name="n", least=least) == value
        return
    with pytest.raises(ValueError, match=f"n must be an int >= {least}, got {value}"):
        check_count(value, name="n", least=least)


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_legal_tolerance_comes_back_as_a_float(rtol):
    assert check_rtol(rtol) == rtol
    assert check_rtol(np.float64(rtol)) == rtol
    assert type(check_rtol(np.float64(rtol))) is float


def test_a_tolerance_may_be_an_array_of_any_library(xp):
    assert check_rtol(xp.asarray(np.array(0.25))) == 0.25


@pytest.mark.parametrize("rtol", [0, 1, 0.0, 1.0, -0.5, 2, float("nan"), float("inf")])
def test_a_tolerance_lies_between_zero_and_one(rtol):
    with pytest.raises(ValueError, match=r"rtol is a relative error .* between 0 and 1, got"):
        check_rtol(rtol)


@pytest.mark.parametrize("rtol", ["0.1", None, [0.1, 0.2], 0.1j, {}, True, b"1"])
def test_a_tolerance_is_a_number(rtol):
    with pytest.raises(TypeError, match="rtol must be a number between 0 and 1, got"):
        check_rtol(rtol)


def test_a_number_has_no_bounds():
    assert check_number(np.float32(-2.5), name="tol") == -2.5
    with pytest.raises(TypeError, match="tol must be a number, got 'x'"):
        check_number("x", name="tol")


def test_an_unreachable_tolerance_names_the_reachable_one():
    check_reachable(1e-3, 1e-3, dtype="float32")
    with pytest.raises(ToleranceError, match=r"float32.*rtol >= 0\.001.*rank=") as info:
        check_reachable(1e-9, 1e-3, dtype="float32")
    assert info.value.reachable == 1e-3
    assert isinstance(info.value, ValueError)


def test_a_target_is_a_rank_or_a_tolerance_or_both():
    assert check_target(2, None, 3) == (2, None)
    assert check_target(None, 0.5, 3) == (None, 0.5)
    assert check_target(3, 0.5, 3) == (3, 0.5)
    with pytest.raises(ValueError, match=r"pass rank= \(an int between 1 and 3\) or rtol="):
        check_target(None, None, 3)


@pytest.mark.parametrize("value", ["c", None, 1, ("a",), b"a"])
def test_a_choice_is_one_of_the_list(value):
    assert check_choice("b", ("a", "b"), name="method") == "b"
    with pytest.raises(ValueError, match="method must be one of 'a', 'b', got"):
        check_choice(value, ("a", "b"), name="method")


def test_an_unhashable_choice_is_refused_alike(xp):
    for value in ([], {}, xp.asarray(np.ones(2))):
        with pytest.raises((TypeError, ValueError), match="method must be one of"):
            check_choice(value, ("a", "b"), name="method")


@given(shape=st.lists(st.integers(1, 6), max_size=5).map(tuple), data=st.data())
def test_a_flat_index_is_unravelled(shape, data):
    first = data.draw(st.integers(0, int(np.prod(shape)) - 1))
    index = ", ".join(map(str, np.unravel_index(first, shape)))
    where = f"x[{index}]" if shape else "x"
    assert f"the first at {where};" in str(nonfinite(shape, first, 3, name="x"))
