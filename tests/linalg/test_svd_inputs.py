"""What the exact SVD takes, and what it says of what it does not take."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse

import tdecomp as td
from tdecomp.testing import matrix

# LAPACK accepts its own drivers while their test ratios stay below this.
THRESHOLD = 30.0

INTEGERS = np.random.default_rng(0).integers(-8, 9, size=(12, 7))
FORMS = {
    "fortran": np.asfortranarray(INTEGERS.astype(float)),
    "rows apart": np.repeat(INTEGERS.astype(float), 3, axis=0)[::3],
    "backwards": np.ascontiguousarray(INTEGERS[::-1, ::-1].astype(float))[::-1, ::-1],
    "transposed": np.ascontiguousarray(INTEGERS.T.astype(float)).T,
    "big endian": INTEGERS.astype(">f8"),
    "big endian single": INTEGERS.astype(">f4"),
    "big endian complex": INTEGERS.astype(">c16"),
    "big endian int": INTEGERS.astype(">i2"),
    "half": INTEGERS.astype("f2"),
    "big endian half": INTEGERS.astype(">f2"),
    "bfloat16": INTEGERS.astype(ml_dtypes.bfloat16),
    "int8": INTEGERS.astype("i1"),
    "int64": INTEGERS,
    "lists": INTEGERS.tolist(),
    "tuples": tuple(map(tuple, INTEGERS.tolist())),
    "rows": list(INTEGERS.astype(float)),
}
RETURNED = {"half": "f4", "big endian half": "f4", "bfloat16": "f4", "big endian single": "f4",
            "big endian complex": "c16"}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_input_means_the_same_matrix(form):
    svd = td.truncated_svd(FORMS[form], rank=7)
    assert svd.dtype == np.dtype(RETURNED.get(form, "f8"))
    assert svd.dtype.isnative
    eps = np.finfo(svd.dtype).eps
    assert np.abs(svd.to_array() - INTEGERS).max() <= THRESHOLD * eps * svd.S[0]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float16", "bfloat16"])
def test_narrow_and_integer_dtypes_on_every_backend(xp, dtype):
    if not hasattr(xp.namespace, dtype):
        pytest.skip(f"{xp.name} has no {dtype}")
    a = xp.asarray(np.abs(INTEGERS), dtype)
    u, s, vh = map(xp.to_numpy, td.truncated_svd(a, rank=7))
    default = str(xp.namespace.asarray(0.0).dtype).rpartition(".")[2]
    assert u.dtype == (np.float32 if "float" in dtype else default)
    assert (
        np.abs((u * s) @ vh - np.abs(INTEGERS)).max() <= THRESHOLD * np.finfo(u.dtype).eps * s[0]
    )


def test_booleans_are_zeros_and_ones(xp):
    a = INTEGERS > 0
    svd = td.truncated_svd(xp.asarray(a), rank=7)
    eps = np.finfo(xp.to_numpy(svd.S).dtype).eps
    assert np.abs(xp.to_numpy(svd.to_array()) - a).max() <= THRESHOLD * eps * 12


@pytest.mark.parametrize("scale", [1.0, 1e200])
@pytest.mark.writable
def test_the_input_is_left_alone(xp, scale):
    a = matrix(12, 7, "polynomial", rng=3) * scale
    x = xp.asarray(a)
    td.truncated_svd(x, rank=4)
    td.truncated_svd(x, rtol=0.1)
    assert np.array_equal(xp.to_numpy(x), a)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_is_named(xp, bad):
    a = np.ones((2, 12, 80))
    a[1, 3, 70] = bad
    a[1, 5, 2] = bad
    with pytest.raises(ValueError, match=r"a has 2 non-finite .* first at a\[1, 3, 70\]"):
        td.truncated_svd(xp.asarray(a), rank=2)
    with pytest.raises(ValueError, match=r"first at a\[3, 70\]"):
        td.truncated_svd(xp.asarray(a[1] * (1 + 1j)), rtol=0.1)


HANG = """
import numpy as np, tdecomp as td
a = np.ones((12, 80)); a[0, 0] = np.inf
calls = [
    lambda a: td.truncated_svd(a, rank=2).S,
    lambda a: td.weighted_svd(a, left=a[:, 0] ** 0, right=a[0, :] ** 0, rank=2).left,
    lambda a: td.weighted_svd(a ** 0, left=a[:, 0], rank=2).left,
    lambda a: td.weighted_svd(a ** 0, right=a.T, rank=2).left,
    lambda a: td.randomized_svd(a, rank=2, power=1, rng=0).tensor.S,
]
"""
ENDINGS = {
    "numpy": "convert = np.asarray",
    "torch": "import torch; convert = torch.asarray",
    "jax": "import jax.numpy; convert = jax.numpy.asarray",
    "array-api-strict": "import array_api_strict; convert = array_api_strict.asarray",
}
EAGER = """
for call in calls:
    try:
        call(convert(a))
    except ValueError as error:
        assert "[0, 0]" in str(error) or "left[0]" in str(error), error
    else:
        raise AssertionError("no error")
"""
TRACED = """
import jax
for call in calls:
    assert bool(jax.numpy.all(jax.numpy.isnan(jax.jit(call)(jax.numpy.asarray(a)))))
"""


@pytest.mark.parametrize("library", [*ENDINGS, "jit"])
def test_infinity_never_hangs(library):
    pytest.importorskip(
        {"jit": "jax", "array-api-strict": "array_api_strict"}.get(library, library)
    )
    code = HANG + (TRACED if library == "jit" else ENDINGS[library] + EAGER)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rank", [0, -1, 5, 10**30])
def test_a_rank_out_of_range_is_named_with_the_range(xp, rank):
    with pytest.raises(ValueError, match=rf"rank must be an int between 1 and 4, got {rank}"):
        td.truncated_svd(xp.asarray(np.ones((6, 4))), rank=rank)


@pytest.mark.parametrize("rank", [2.5, 2.0, True, np.True_, "2", [2], (2,), np.array([2]), np.nan])
def test_a_rank_that_is_no_int_is_named_with_its_type(rank):
    with pytest.raises(TypeError, match="rank must be an int between 1 and 4"):
        td.truncated_svd(np.ones((6, 4)), rank=rank)


def test_ints_of_any_library_are_ranks():
    assert {td.truncated_svd(np.eye(4), rank=r).rank for r in (2, np.int8(2), np.array(2))} == {2}


@pytest.mark.parametrize("rtol", [0, 1, 2, -1e-3, float("nan"), float("inf")])
def test_an_rtol_out_of_range_is_named(xp, rtol):
    with pytest.raises(ValueError, match="rtol is a relative error and must lie strictly between"):
        td.truncated_svd(xp.asarray(np.ones((6, 4))), rtol=rtol)


@pytest.mark.parametrize("rtol", ["0.1", "x", 0.1j, True, [0.1], np.array([0.1])])
def test_an_rtol_that_is_no_number_is_refused(rtol):
    with pytest.raises(TypeError, match="rtol must be a number"):
        td.truncated_svd(np.ones((6, 4)), rtol=rtol)


def test_without_a_target_both_are_named(xp):
    with pytest.raises(ValueError, match=r"pass rank= \(an int between 1 and 4\) or rtol="):
        td.truncated_svd(xp.asarray(np.ones((6, 4))))


@pytest.mark.parametrize("shape", [(), (3,)])
def test_too_few_axes_are_refused_with_the_shape(xp, shape):
    with pytest.raises(ValueError, match=r"a must have at least 2 dimensions, got shape \("):
        td.truncated_svd(xp.asarray(np.ones(shape)), rank=1)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (0, 2, 3), (2, 0, 3)])
def test_empty_matrices_are_refused_with_the_shape(xp, shape):
    with pytest.raises(ValueError, match="a is empty: shape"):
        td.truncated_svd(xp.asarray(np.ones(shape)), rank=1)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize(
    ("make", "way"),
    [
        (lambda: np.ma.masked_array(np.eye(3), np.eye(3)), "weights="),
        (lambda: np.matrix(np.eye(3)), "numpy.asarray"),
        (lambda: pytest.importorskip("pandas").DataFrame(np.eye(3)), "to_numpy"),
        (lambda: scipy.sparse.csr_array(np.eye(3)), "randomized_svd"),
        (lambda: np.eye(3, dtype=object), "float64"),
        (lambda: np.eye(3, dtype=np.longdouble), "float64"),
        (lambda: np.eye(3).astype(ml_dtypes.float8_e4m3fn), "float64"),
        (lambda: np.eye(3, dtype="m8[s]"), "float64"),
        (lambda: [[1, 2], [3]], "rectangular"),
        (lambda: [["a", "b"], ["c", "d"]], "float64"),
        (lambda: None, "array"),
        (lambda: "text", "array"),
        (lambda: {"a": 1}, "array"),
        (lambda: td.LowRank(np.eye(3), np.eye(3)), "array"),
        (lambda: td.truncated_svd(np.eye(3), rank=1), "array"),
    ],
)
def test_what_is_no_array_is_refused_with_a_way_out(make, way):
    with pytest.raises(TypeError, match=way):
        td.truncated_svd(make(), rank=1)
