"""What every input becomes, on every backend, and what is refused."""

from collections import namedtuple

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from tdecomp._xp import (
    adjoint,
    as_floating,
    concrete,
    device,
    eps,
    equilibrate,
    floats,
    is_numpy,
    namespace,
    prepare,
    structured,
    times_power,
    traced,
)
from tdecomp.testing import gaussian

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "bool")
# Few shapes, since JAX compiles for each.
SHAPES = st.sampled_from([(1,), (7,), (3, 1), (2, 5), (4, 1, 3), (2, 3, 2, 2)])


# --- The namespace -----------------------------------------------------------------------------


def test_an_array_names_its_library(xp):
    assert namespace(xp.asarray(np.eye(2)), None, [1.0]) is xp.namespace


@pytest.mark.parametrize("values", [(), (None,), ([1.0, 2.0], 3.0)])
def test_lists_and_numbers_count_as_numpy(values):
    assert namespace(*values).asarray(values[-1:] or 0.0).__class__ is np.ndarray


def test_two_libraries_are_refused_by_name(xp):
    if "numpy" in xp.name:
        pytest.skip("needs a second library")
    other = xp.asarray(np.eye(2))
    with pytest.raises(
        TypeError, match=r"one library, got .*numpy\.ndarray.*convert them"
    ) as info:
        namespace(np.eye(2), other)
    assert type(other).__name__ in str(info.value)
    with pytest.raises(TypeError, match="one library"):
        prepare(np.eye(2), ndim=2, like=other)


def test_only_plain_numpy_counts_as_numpy(xp):
    assert is_numpy(xp.asarray(np.eye(2))) is ("numpy" in xp.name)
    assert not is_numpy(np.eye(2), np.eye(2).view(np.memmap))


# --- What comes back ---------------------------------------------------------------------------


def test_a_supported_array_comes_back_itself(xp, dtype):
    x = xp.asarray(gaussian((3, 2), dtype=dtype))
    found, y = prepare(x, ndim=2)
    assert found is xp.namespace
    assert y is x


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_become_the_default_float(xp, kind):
    values = np.array([[0, 1], [1, 0]], dtype=kind)
    _, y = prepare(xp.asarray(values), ndim=2)
    assert y.dtype == xp.namespace.asarray(0.0).dtype
    np.testing.assert_array_equal(xp.to_numpy(y), values.astype(float))


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_narrow_floats_become_float32(xp, kind):
    values = np.array([[1.0, -0.5], [3.0, 2.0**-14]])
    if "numpy" in xp.name:
        x = values.astype(np.float16 if kind == "float16" else ml_dtypes.bfloat16)
    elif hasattr(xp, kind):
        x = xp.asarray(values, getattr(xp, kind))
    else:
        pytest.skip(f"{xp.name} has no {kind}")
    _, y = prepare(x, ndim=2)
    assert y.dtype == xp.float32
    np.testing.assert_array_equal(xp.to_numpy(y), values.astype(np.float32))


@pytest.mark.parametrize("kind", [">f4", ">f8", ">c8", ">c16", ">i4", ">f2"])
def test_foreign_byte_order_is_read(kind):
    values = np.array([[1, 2], [3, 4]], dtype=kind)
    _, y = prepare(values, ndim=2)
    assert y.dtype.isnative
    np.testing.assert_array_equal(y, [[1, 2], [3, 4]])
    assert values.dtype.str == kind


VIEWS = {
    "read-only": lambda a: np.lib.stride_tricks.as_strided(a, writeable=False),
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(np.repeat(a, 2, 0), 3, 1)[::2, ::3],
    "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "memory map": lambda a: a.view(np.memmap),
    "broadcast": lambda a: np.broadcast_to(a[:1], (5, a.shape[1])),
}


@pytest.mark.parametrize("view", VIEWS)
def test_views_pass_untouched(view, dtype):
    x = VIEWS[view](gaussian((4, 3), dtype=dtype))
    before = x.copy()
    _, y = prepare(x, ndim=2)
    assert y is x
    np.testing.assert_array_equal(x, before)


@given(values=st.lists(st.lists(st.floats(-1e300, 1e300), min_size=3, max_size=3), min_size=1))
def test_nested_lists_mean_what_numpy_says(values):
    _, y = prepare(values, ndim=2)
    np.testing.assert_array_equal(y, np.array(values))
    _, y = prepare(tuple(map(tuple, values)), ndim=2)
    np.testing.assert_array_equal(y, np.array(values))


def test_a_list_goes_where_its_neighbour_lives(xp):
    like = xp.asarray(np.eye(2))
    found, y = prepare([1.0, 2.0], ndim=1, like=like)
    assert found is xp.namespace
    np.testing.assert_array_equal(xp.to_numpy(y), [1.0, 2.0])
    assert device(y) == device(like)


def test_a_list_beside_doubles_loses_no_digits(xp):
    _, y = prepare([0.1, 0.2], ndim=1, like=xp.asarray(np.eye(2)))
    np.testing.assert_array_equal(xp.to_numpy(y), [0.1, 0.2])


@pytest.mark.parametrize("value", [2, 2.5, 1 + 1j, True, np.float32(2.0), np.int8(3)])
def test_numbers_are_arrays_without_axes(value):
    _, y = prepare(value, ndim=0)
    assert y.shape == ()
    assert complex(y) == complex(value)


def test_batches_are_welcome_where_asked(xp):
    x = xp.asarray(np.zeros((5, 4, 3, 2)))
    assert prepare(x, ndim=2, batch=True)[1] is x


def test_moving_data_keeps_the_dtype(xp):
    for values in (np.arange(3), np.array([True]), np.array([np.nan]), np.empty((0, 2))):
        found, y = structured(xp.asarray(values))
        assert found is xp.namespace
        np.testing.assert_array_equal(xp.to_numpy(y), values)
        assert xp.to_numpy(y).dtype == values.dtype


# --- What is refused ---------------------------------------------------------------------------


@given(shape=SHAPES, data=st.data())
def test_the_first_bad_entry_is_named(xp, dtype, shape, data):
    values = gaussian(shape, dtype=dtype)
    positions = data.draw(
        st.lists(st.integers(0, values.size - 1), min_size=1, max_size=3, unique=True)
    )
    values.flat[positions] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    index = ", ".join(str(i) for i in np.unravel_index(min(positions), shape))
    with pytest.raises(ValueError, match="weights=") as info:
        prepare(xp.asarray(values), ndim=len(shape), name="x")
    assert f"x has {len(positions)} non-finite entries" in str(info.value)
    assert f"the first at x[{index}];" in str(info.value)


def test_an_imaginary_infinity_counts(xp):
    with pytest.raises(ValueError, match=r"first at a\[1\]"):
        prepare(xp.asarray(np.array([1.0, complex(0.0, np.inf)])), ndim=1)


def test_a_bad_number_is_named_without_an_index():
    with pytest.raises(ValueError, match="the first at a;"):
        prepare(float("nan"), ndim=0)


def test_the_check_can_be_left_to_the_caller(xp):
    x = xp.asarray(np.array([np.nan]))
    assert prepare(x, ndim=1, check_finite=False)[1] is x


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_arrays_are_refused(xp, shape):
    with pytest.raises(ValueError, match=rf"w is empty: shape \({shape[0]}, {shape[1]}\)"):
        prepare(xp.asarray(np.empty(shape)), ndim=2, name="w")


@pytest.mark.parametrize(
    ("shape", "batch", "wanted"),
    [((3,), False, "2"), ((2, 2, 2), False, "2"), ((3,), True, "at least 2"), ((), False, "2")],
)
def test_the_number_of_dimensions_is_checked(xp, shape, batch, wanted):
    with pytest.raises(ValueError, match=f"a must have {wanted} dimensions, got shape"):
        prepare(xp.asarray(np.zeros(shape)), ndim=2, batch=batch)


REFUSED = {
    "masked": (np.ma.masked_array(np.eye(2), mask=np.eye(2)), "weights=~x.mask"),
    "matrix": (np.eye(2).view(np.matrix), r"numpy\.asarray\(x\)"),
    "sparse": (scipy.sparse.csr_array(np.eye(2)), "randomized_svd.*toarray"),
    "sparse matrix": (scipy.sparse.coo_matrix(np.eye(2)), "randomized_svd.*toarray"),
    # That is how it is told from other things, without importing pandas.
    "data frame": (type("DataFrame", (), {})(), r"x\.to_numpy\(\)"),
    "object": (np.array([[1.0, None]], dtype=object), "dtype object"),
    "longdouble": (np.eye(2, dtype=np.longdouble), "float64"),
    "clongdouble": (np.eye(2, dtype=np.clongdouble), "complex128"),
    "text": (np.array([["a"]]), "dtype <U1"),
    "dates": (np.array([["2020-01-01"]], dtype="M8[D]"), "dtype datetime64"),
    "records": (np.zeros((2, 2), dtype=[("x", float)]), "dtype"),
    "ragged list": ([[1.0, 2.0], [3.0]], "rectangular"),
    "list of text": ([["a", "b"]], "dtype <U1"),
    "list of None": ([[None]], "dtype object"),
    "None": (None, "NoneType"),
    "dict": ({"a": 1.0}, "dict"),
    "set": ({1.0}, "set"),
    "string": ("abc", "str"),
    "generator": ((x for x in ()), "generator"),
    "format": (namedtuple("SVD", "U S Vh")(1.0, 2.0, 3.0), "SVD"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_things_are_refused_with_a_way_out(kind):
    value, way = REFUSED[kind]
    with pytest.raises(TypeError, match=f"(?s)^a .*{way}"):
        prepare(value, ndim=2)


def test_exotic_floats_are_refused():
    with pytest.raises(TypeError, match=r"float8.*convert it to float32"):
        prepare(np.ones((2, 2), dtype=ml_dtypes.float8_e4m3fn), ndim=2)


# --- Tracing -----------------------------------------------------------------------------------


@pytest.fixture
def jax():
    return pytest.importorskip("jax")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_traced_bad_array_becomes_nan(jax, bad, dtype):
    guard = jax.jit(lambda x: prepare(x, ndim=2)[1])
    values = gaussian((12, 80), dtype=dtype)
    np.testing.assert_array_equal(guard(values), values)
    values[3, 5] = bad
    out = guard(values)
    assert out.dtype == dtype
    assert np.all(np.isnan(out))


def test_tracing_is_told_from_computing(xp):
    x = xp.asarray(np.eye(2))
    assert not traced(x)
    assert not traced([1.0])
    assert concrete(xp.all(x >= 0)) is True
    seen = []
    xp.jit(lambda x: seen.append(traced(x)))(x)
    assert seen == [xp.name == "jax"]


def test_vmap_is_tracing(xp, jax):
    batch = xp.asarray(np.ones((3, 2)))
    seen = []

    def look(x):
        seen.append((traced(x), concrete(x[0] > 0)))
        return x

    if xp.name == "torch":
        import torch

        torch.func.vmap(look)(batch)
    elif xp.name == "jax":
        jax.vmap(look)(batch)
    else:
        pytest.skip(f"{xp.name} has no vmap")
    assert seen == [(True, None)]


def test_shapes_are_checked_while_tracing(jax):
    with pytest.raises(ValueError, match="must have 2 dimensions"):
        jax.jit(lambda x: prepare(x, ndim=2)[1])(np.ones(3))


# --- dtypes, adjoints, scales ------------------------------------------------------------------


def test_precision_is_that_of_the_dtype(xp, dtype):
    info = np.finfo(dtype)
    assert eps(getattr(xp, dtype), xp.namespace) == float(info.eps)


def test_promotion_is_idempotent(xp, dtype):
    x = as_floating(xp.asarray(gaussian((2,), dtype=dtype)), xp.namespace)
    assert as_floating(x, xp.namespace) is x


def test_the_adjoint_is_the_adjoint(xp, dtype):
    a, x, y = (gaussian(shape, dtype=dtype) for shape in ((2, 5, 3), (3, 1), (5, 1)))
    star = adjoint(xp.asarray(a), xp.namespace)
    np.testing.assert_array_equal(xp.to_numpy(star), np.conj(np.swapaxes(a, -1, -2)))
    np.testing.assert_array_equal(xp.to_numpy(adjoint(star, xp.namespace)), a)
    left, right = y.conj().T @ (a @ x), (xp.to_numpy(star) @ y).conj().swapaxes(-1, -2) @ x
    np.testing.assert_allclose(left, right, rtol=50 * np.finfo(dtype).eps, atol=1e-5)


def test_floats_are_python_floats(xp):
    values = floats(xp.asarray(np.array([1.5, -2.0], dtype=np.float32)))
    assert values == [1.5, -2.0]
    assert all(type(value) is float for value in values)


@given(exponent=st.integers(-900, 900), seed=st.integers(0, 99))
def test_scaling_is_exact_and_equivariant(xp, dtype, exponent, seed):
    info = np.finfo(dtype)
    exponent = exponent * info.maxexp // 1024
    values = gaussian((4, 3), dtype=dtype, rng=seed)
    x = xp.asarray(values * values.real.dtype.type(2.0) ** exponent)
    y, scale = equilibrate(x, xp.namespace, axis=(0, 1), always=True)
    assert y.dtype == x.dtype
    assert scale.shape == (1, 1)
    np.testing.assert_array_equal(xp.to_numpy(y * scale), xp.to_numpy(x))
    assert np.frexp(float(scale[0, 0]))[0] == 0.5
    assert 1 <= np.max(np.abs(xp.to_numpy(y))) <= 2
    base, _ = equilibrate(xp.asarray(values), xp.namespace, axis=(0, 1), always=True)
    np.testing.assert_array_equal(xp.to_numpy(y), xp.to_numpy(base))


def test_moderate_data_are_left_alone(xp, dtype):
    x = xp.asarray(gaussian((4, 3), dtype=dtype))
    y, scale = equilibrate(x, xp.namespace, axis=(0, 1))
    assert y is x
    assert float(scale[0, 0]) == 1.0


@pytest.mark.parametrize("where", ["smallest", "subnormal", "normal", "largest"])
def test_squares_are_safe_at_the_ends_of_the_range(xp, dtype, where):
    info = np.finfo(dtype)
    if xp.name == "jax" and where in ("smallest", "subnormal"):
        pytest.skip("XLA flushes subnormal numbers to zero")
    top = {
        "smallest": info.smallest_subnormal,
        "subnormal": info.smallest_subnormal * 1000,
        "normal": info.smallest_normal,
        "largest": info.max,
    }[where]
    values = np.full((3, 2), top, dtype=dtype)
    if values.dtype.kind == "c":
        values.imag = top
    y, scale = equilibrate(xp.asarray(values), xp.namespace, axis=(0, 1))
    y = xp.to_numpy(y)
    np.testing.assert_array_equal(y * xp.to_numpy(scale), values)
    squares = np.abs(y) ** 2
    assert np.all(np.isfinite(squares))
    assert np.all(squares >= info.smallest_normal)


def test_zeros_keep_their_scale(xp, dtype):
    y, scale = equilibrate(xp.asarray(np.zeros((2, 2), dtype)), xp.namespace, axis=(0, 1))
    assert np.all(xp.to_numpy(y) == 0)
    assert float(scale[0, 0]) == 1.0


def test_each_member_of_a_batch_has_its_scale(xp):
    tops = np.array([2.0**1000, 1.0, 0.0, 2.0**-1000])
    x = xp.asarray(tops[:, None, None] * np.ones((1, 2, 3)))
    y, scale = equilibrate(x, xp.namespace, axis=(-2, -1))
    np.testing.assert_array_equal(xp.to_numpy(scale)[:, 0, 0], np.where(tops > 0, tops, 1.0))
    np.testing.assert_array_equal(xp.to_numpy(y)[:, 0, 0], (tops > 0).astype(float))


@pytest.mark.parametrize("exponent", [-1074.0, -600.0, 0.0, 600.0, 1023.0])
def test_powers_of_two_are_multiplied_without_a_detour_out_of_range(exponent):
    x = np.array([1.0, -(2.0**-500)])
    wanted = np.ldexp(x, int(exponent))
    assert np.array_equal(times_power(x, np.asarray(exponent), namespace(x)), wanted)
    assert np.array_equal(times_power(wanted[:1], -exponent, namespace(x)), x[:1])
