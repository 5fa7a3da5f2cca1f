"""What the randomized SVD takes, and what it says of what it does not take."""

import numpy as np
import pytest

import tdecomp as td
from tdecomp.testing import matrix


def test_integers_booleans_and_narrow_floats(xp):
    a = np.random.default_rng(0).integers(-4, 5, size=(90, 80))
    for dtype, out in (("int32", None), ("bool", None), ("float16", "f4"), ("bfloat16", "f4")):
        if not hasattr(xp.namespace, dtype):
            continue
        values = a != 0 if dtype == "bool" else a
        fit = td.randomized_svd(xp.asarray(values, dtype), rank=5, power=1, rng=0)
        s = xp.to_numpy(fit.tensor.S)
        true = np.linalg.svd(values.astype(float), compute_uv=False)
        assert s[0] == pytest.approx(true[0], rel=0.05)
        assert out is None or s.dtype == np.dtype(out)


@pytest.mark.parametrize("options", [{"rank": 5}, {"rtol": 0.1}, {"rank": 5, "power": 1}])
@pytest.mark.parametrize("scale", [1.0, 1e200])
@pytest.mark.writable
def test_the_input_is_left_alone(xp, options, scale):
    a = matrix(90, 80, 0.7 ** np.arange(80.0)) * scale
    x = xp.asarray(a)
    td.randomized_svd(x, rng=0, **options)
    assert np.array_equal(xp.to_numpy(x), a)


FORMS = {
    "fortran": np.asfortranarray,
    "backwards": lambda a: a[::-1, ::-1],
    "big endian": lambda a: a.astype(">f8"),
    "rows apart": lambda a: np.repeat(a, 2, axis=0)[::2],
    "lists": lambda a: a.tolist(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_input_means_the_same_matrix(form):
    a = matrix(90, 80, 0.7 ** np.arange(80.0))
    fit = td.randomized_svd(FORMS[form](a), rank=5, rng=0)
    assert fit.tensor.dtype.isnative
    assert np.abs(fit.tensor.S - 0.7 ** np.arange(5.0)).max() <= 1e-4


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("shape", [(12, 80), (90, 80)])
def test_a_number_that_is_none_is_named(xp, bad, shape):
    a = np.ones(shape)
    a[3, 70] = bad
    with pytest.raises(ValueError, match=r"a has 1 non-finite entries .* first at a\[3, 70\]"):
        td.randomized_svd(xp.asarray(a), rank=2, rng=0)


@pytest.mark.parametrize(("shape", "message"), [
    ((), "must have 2 dim"), ((9,), "must have 2 dim"), ((2, 3, 4), "must have 2 dim"),
    ((0, 3), "a is empty"), ((3, 0), "a is empty"),
])  # fmt: skip
def test_only_matrices_are_taken(xp, shape, message):
    with pytest.raises(ValueError, match=message):
        td.randomized_svd(xp.asarray(np.ones(shape)), rank=1)


@pytest.mark.parametrize(("options", "message"), [
    ({}, "pass rank="),
    ({"rank": 0}, "rank must be an int between 1 and 80, got 0"),
    ({"rank": 81}, "rank must be an int between 1 and 80, got 81"),
    ({"rtol": 0}, "rtol is a relative error"),
    ({"rtol": 1}, "rtol is a relative error"),
    ({"rtol": float("nan")}, "rtol is a relative error"),
    ({"rtol": 1e-17}, "cannot be guaranteed in .*float64"),
    ({"rank": 3, "oversample": -1}, "oversample must be an int >= 0"),
    ({"rank": 3, "power": -1}, "power must be an int >= 0"),
    ({"rank": 3, "max_iter": 1}, "max_iter must be an int >= 2"),
    ({"rank": 3, "method": "magic"}, "method must be one of 'krylov'"),
    ({"rank": 3, "sketch": "magic"}, "sketch must be one of 'gaussian'"),
    ({"rank": 3, "rng": -1}, "rng must be an int >= 0"),
    ({"rank": 3, "tol": float("nan")}, "tol must be"),
    ({"rank": 3, "tol": -1.0}, "tol must be"),
    ({"rtol": 0.1, "method": "single-pass"}, "single-pass"),
    ({"rank": 8, "rtol": 0.1, "method": "single-pass"}, "single-pass"),
])  # fmt: skip
def test_an_option_out_of_range_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        td.randomized_svd(matrix(90, 80, "polynomial"), **options)


@pytest.mark.parametrize(("options", "message"), [
    ({"rank": 2.5}, "rank must be an int"),
    ({"rank": True}, "rank must be an int"),
    ({"rank": 3, "oversample": 1.5}, "oversample must be an int"),
    ({"rank": 3, "power": 1.5}, "power must be an int"),
    ({"rank": 3, "power": True}, "power must be an int"),
    ({"rank": 3, "max_iter": 9.5}, "max_iter must be an int"),
    ({"rank": 3, "rng": 0.5}, "rng must be an int"),
    ({"rank": 3, "rng": True}, "rng must be an int"),
    ({"rank": 3, "rng": np.random.RandomState(0)}, "rng must be an int"),
    ({"rank": 3, "tol": "x"}, "tol must be"),
    ({"rank": 3, "tol": None}, "tol must be"),
    ({"rank": 3, "callback": 3}, "callback must be"),
])  # fmt: skip
def test_an_option_of_the_wrong_type_is_named(options, message):
    with pytest.raises(TypeError, match=message):
        td.randomized_svd(matrix(90, 80, "polynomial"), **options)
