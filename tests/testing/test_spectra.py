"""Spectra descend from 1 and are what their names say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp.testing import SPECTRA, assert_descending, spectrum

KINDS = st.sampled_from(SPECTRA)
SIZES = st.integers(1, 40)
CONDITIONS = st.floats(1.0, 1e15)


@given(kind=KINDS, n=SIZES, condition=CONDITIONS)
def test_they_descend_from_one(kind, n, condition):
    s = spectrum(kind, n, condition=condition)
    assert s.shape == (n,)
    assert s.dtype == np.float64
    assert_descending(s)
    assert s[0] == (0.0 if kind == "zero" else 1.0)


@pytest.mark.parametrize("kind", SPECTRA)
def test_there_may_be_none(kind):
    assert spectrum(kind, 0).shape == (0,)


@given(n=st.integers(2, 40), condition=CONDITIONS)
def test_the_condition_is_met(n, condition):
    for kind in ("geometric", "step"):
        s = spectrum(kind, n, condition=condition)
        assert s[0] / s[-1] == pytest.approx(condition)
    s = spectrum("deficient", n, condition=condition)
    kept = s[s > 0]
    assert kept.size == (n + 1) // 2
    assert kept[0] / kept[-1] == pytest.approx(condition if n > 2 else 1.0)


@given(n=st.integers(3, 40), condition=CONDITIONS)
def test_a_geometric_spectrum_has_one_ratio(n, condition):
    s = spectrum("geometric", n, condition=condition)
    np.testing.assert_allclose(s[1:] / s[:-1], s[1], rtol=1e-12)


def test_named_spectra():
    np.testing.assert_array_equal(spectrum("flat", 3), [1, 1, 1])
    np.testing.assert_array_equal(spectrum("zero", 3), [0, 0, 0])
    np.testing.assert_array_equal(spectrum("step", 3, condition=4.0), [1, 1, 0.25])
    np.testing.assert_array_equal(spectrum("polynomial", 4), [1, 1 / 2, 1 / 3, 1 / 4])


def test_near_ties_are_near_but_not_ties():
    s = spectrum("near-ties", 8)
    gaps = (s[:-1:2] - s[1::2]) / s[:-1:2]
    assert np.all(gaps > 0)
    assert np.all(gaps <= 5 * np.finfo(float).eps)


def test_other_names_and_numbers_are_refused():
    with pytest.raises(ValueError, match="kind must be one of 'flat', 'geometric'"):
        spectrum("steep", 3)
    with pytest.raises(ValueError, match="n must be an int >= 0"):
        spectrum("flat", -1)
    with pytest.raises(TypeError, match="n must be an int >= 0"):
        spectrum("flat", 2.0)
