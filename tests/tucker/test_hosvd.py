"""HOSVD and ST-HOSVD: tails, promises, orders, inputs."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp import tucker
from tdecomp.ops import unfold
from tdecomp.testing import assert_isometry, gaussian, low_rank_tensor, tensor
from tdecomp.tucker._hosvd import Plan, decompose

METHODS = ("auto", "gram", "qr", "randomized")
BOTH = (tucker.sthosvd, tucker.hosvd)
CUBE = 1 / (1 + np.add.outer(np.add.outer(*(np.linspace(0, 1, 40),) * 2), np.linspace(0, 1, 40)))


def error_of(x, found):
    """The relative error in double precision, whatever the format holds."""
    wide = found.core.astype(np.result_type(found.dtype, np.float64))
    for k, factor in enumerate(found.factors):
        if factor is not None:
            wide = np.moveaxis(np.tensordot(factor, wide, axes=(1, k)), 0, k)
    x = np.asarray(x)
    return float(np.linalg.norm(x - wide) / np.linalg.norm(x.astype(wide.dtype)))


@pytest.mark.parametrize("method", ["gram", "qr", "auto"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_squared_error_is_the_sum_of_squared_tails(dtype, method, order):
    x = gaussian((12, 13, 14), dtype=dtype, rng=0)
    norm = float(np.linalg.norm(x))
    for ranks, atol in (((3, 5, 7), None), (None, 0.5 * norm)):
        found, tails = decompose(x, Plan(order, ranks, atol, method, 0, nested=True), np)
        exact = error_of(x, found) * norm
        assert math.hypot(*tails) == pytest.approx(exact, rel=float(np.finfo(dtype).eps) ** 0.5)
        assert atol is None or exact <= atol


def test_the_identity_holds_to_rounding():
    x = low_rank_tensor((20, 21, 22), (4, 4, 4), noise=1e-3, rng=0)
    found, tails = decompose(x, Plan((0, 1, 2), (4, 4, 4), None, "qr", 0, nested=True), np)
    assert abs(math.hypot(*tails) - error_of(x, found) * np.linalg.norm(x)) <= 1e-12


@pytest.mark.parametrize("function", BOTH)
def test_within_the_square_root_of_the_number_of_modes_of_the_best(function):
    for shape in ((20, 20), (12, 13, 14), (6, 7, 8, 5)):
        s = 0.7 ** np.arange(float(min(shape)))
        x = tensor(shape, s)
        found = function(x, rank=3)
        best = np.linalg.norm(s[3:]) / np.linalg.norm(s)
        assert error_of(x, found) <= math.sqrt(len(shape)) * best * (1 + 1e-12)
        for factor in found.factors:
            assert_isometry(factor)


def test_a_matrix_gets_its_singular_value_decomposition():
    x = gaussian((20, 15), rng=0)
    assert error_of(x, tucker.sthosvd(x, rank=4)) == pytest.approx(
        float(td.relative_error(x, td.truncated_svd(x, rank=4))), rel=1e-12
    )


@pytest.mark.parametrize("function", BOTH)
@pytest.mark.parametrize(
    ("dtype", "rtol"),
    [("float64", r) for r in (0.3, 1e-4, 1e-8, 1e-12)]
    + [("complex128", 1e-8), ("float32", 1e-2), ("float32", 1e-5), ("complex64", 1e-5)],
)
@pytest.mark.parametrize("method", METHODS)
def test_a_tolerance_is_a_guarantee(function, dtype, rtol, method):
    x = CUBE.astype(dtype)
    if "complex" in dtype:
        x = x * np.exp(1j * CUBE).astype(dtype)
    found = function(x, rtol=rtol, method=method)
    assert found.dtype == x.dtype
    assert error_of(x, found) <= rtol


def test_the_ranks_that_a_tolerance_needs_are_small():
    # The Gram matrices of others lose their digits here, and with them the promise.
    assert tucker.sthosvd(CUBE, rtol=1e-8).rank == (6, 6, 6)
    assert max(tucker.sthosvd(CUBE, rtol=1e-12).rank) <= 10


def test_the_smaller_rank_wins():
    x = low_rank_tensor((10, 11, 12), (5, 5, 5), noise=1e-6, rng=0)
    assert tucker.sthosvd(x, rank=3, rtol=1e-3).rank == (3, 3, 3)
    assert tucker.sthosvd(x, rank=8, rtol=1e-3).rank == (5, 5, 5)
    assert tucker.sthosvd(x, rank=(8, 2, 8), rtol=1e-3).rank == (5, 2, 5)


@pytest.mark.parametrize("function", BOTH)
def test_a_tolerance_below_the_precision_is_refused_with_the_reachable_one(function):
    with pytest.raises(td.ToleranceError, match="cannot be guaranteed in float64") as info:
        function(CUBE, rtol=1e-15)
    reachable = info.value.reachable
    assert error_of(CUBE, function(CUBE, rtol=1.01 * reachable)) <= 1.01 * reachable
    with pytest.raises(td.ToleranceError, match="float32"):
        function(CUBE.astype("f4"), rtol=1e-8)


@pytest.mark.parametrize("function", BOTH)
def test_exact_ranks_are_found_and_exact(function, dtype):
    x = low_rank_tensor((10, 11, 12), (2, 3, 4), dtype=dtype, rng=0)
    eps = float(np.finfo(dtype).eps)
    found = function(x, rtol=1e-3 if eps > 1e-10 else 1e-10)
    assert found.rank == (2, 3, 4)
    assert error_of(x, function(x, rank=(2, 3, 4), method="qr")) <= 40 * eps


@pytest.mark.parametrize("function", BOTH)
def test_modes_that_are_not_named_are_left_alone(xp, function, host):
    x = gaussian((6, 7, 8), rng=0)
    found = host(function(xp.asarray(x), rank=(3, 4), modes=(2, -3)), xp)
    assert found.rank == (4, 7, 3)
    assert found.factors[1] is None
    full = host(function(xp.asarray(x), rank=(4, 7, 3)), xp)
    assert error_of(x, found) == pytest.approx(error_of(x, full), rel=1e-10)


def test_full_rank_is_exact_and_needs_no_arithmetic():
    x = gaussian((4, 5, 6), rng=0)
    found = tucker.sthosvd(x, rank=6)
    assert np.array_equal(found.to_array(), x)
    ordered = tucker.hosvd(x, rank=6)
    for mode in range(3):
        rows = unfold(ordered.core, mode)
        gram = rows @ rows.T
        assert np.abs(gram - np.diag(np.diag(gram))).max() <= 1e-13 * np.trace(gram)
        assert np.all(np.diff(np.diag(gram)) <= 0)


def test_ranks_that_no_tensor_has_are_lowered():
    x = gaussian((10, 2, 3), rng=0)
    assert tucker.sthosvd(x, rank=10).rank == (6, 2, 3)
    assert tucker.sthosvd(x, rank=(9, 1, 2)).rank == (2, 1, 2)


def test_the_order_changes_the_way_not_the_promise():
    x = low_rank_tensor((10, 11, 12), (5, 5, 5), noise=1e-2, rng=0)
    errors, ranks = [], []
    for order in itertools.permutations(range(3)):
        found = tucker.sthosvd(x, rtol=0.05, order=order)
        errors.append(error_of(x, found))
        ranks.append(found.rank)
    assert max(errors) <= 0.05
    assert np.ptp(ranks, axis=0).max() <= 1


@pytest.mark.parametrize("method", ["auto", "gram"])
def test_every_library_gives_the_same(xp, method):
    x = low_rank_tensor((12, 13, 14), (3, 3, 3), noise=1e-2, rng=0)
    found = tucker.sthosvd(xp.asarray(x), rank=3, method=method)
    wanted = tucker.sthosvd(x, rank=3, method="qr").to_array()
    assert np.abs(xp.to_numpy(found.to_array()) - wanted).max() <= 1e-9 * np.abs(wanted).max()
    assert float(td.relative_error(xp.asarray(x), found)) <= 1.01e-2


@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple),
    seed=st.integers(0, 99),
    size=st.sampled_from([0.0, 1e-300, 1e-160, 1.0, 1e160, 1e300]),
    function=st.sampled_from(BOTH),
)
def test_every_shape_rank_and_scale(shape, seed, size, function):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    rank = tuple(int(rng.integers(1, n + 1)) for n in shape)
    found, unit = function(x * size, rank=rank), function(x, rank=rank)
    assert found.shape == shape
    assert all(r <= asked for r, asked in zip(found.rank, rank, strict=True))
    if size:
        slack = 1e-12 * np.linalg.norm(x)
        assert np.abs(found.to_array() / size - unit.to_array()).max() <= slack
        promised = function(x * size, rtol=0.3).to_array() / size
        assert np.linalg.norm(promised - x) <= 0.3 * np.linalg.norm(x)
    else:
        assert not np.any(found.to_array())
        assert function(x * 0, rtol=0.3).rank == (1,) * len(shape)


def test_twelve_modes():
    x = gaussian((2,) * 12, rng=0)
    assert error_of(x, tucker.sthosvd(x, rtol=0.9)) <= 0.9


INTEGERS = np.random.default_rng(0).integers(-8, 9, size=(5, 6, 7))
FORMS = {
    "fortran": (np.asfortranarray(INTEGERS.astype(float)), "f8"),
    "strided": (np.repeat(INTEGERS.astype(float), 3, axis=1)[:, ::3], "f8"),
    "backwards": (INTEGERS[::-1].astype(float)[::-1], "f8"),
    "big endian": (INTEGERS.astype(">f4"), "f4"),
    "half": (INTEGERS.astype("f2"), "f4"),
    "int8": (INTEGERS.astype("i1"), "f8"),
    "lists": (INTEGERS.tolist(), "f8"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_input_means_the_same_tensor(form):
    x, dtype = FORMS[form]
    for method in METHODS:
        found = tucker.sthosvd(x, rank=3, method=method)
        assert found.dtype == np.dtype(dtype)
        wanted = tucker.sthosvd(INTEGERS.astype(float), rank=3, method=method).to_array()
        assert np.abs(found.to_array() - wanted).max() <= 1e-3 if dtype == "f4" else 1e-11


@pytest.mark.writable
def test_the_input_is_left_alone(xp):
    x = gaussian((5, 6, 7), rng=0)
    y = xp.asarray(x * 1e200)
    tucker.sthosvd(y, rank=2)
    tucker.hosvd(y, rtol=0.5)
    assert np.array_equal(xp.to_numpy(y), x * 1e200)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_none_is_named(xp, bad):
    x = np.ones((4, 5, 6))
    x[1, 2, 3] = bad
    with pytest.raises(ValueError, match=r"x has 1 non-finite .* first at x\[1, 2, 3\]"):
        tucker.sthosvd(xp.asarray(x), rank=2)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({}, ValueError, "pass rank="),
        ({"rank": 0}, ValueError, "rank must be an int between 1 and 6, got 0"),
        ({"rank": -1}, ValueError, "got -1"),
        ({"rank": 7}, ValueError, "between 1 and 6, got 7"),
        ({"rank": 2.5}, TypeError, "got 2.5"),
        ({"rank": True}, TypeError, "got True"),
        ({"rank": (2, 6, 2)}, ValueError, r"rank\[1\] must be an int between 1 and 5, got 6"),
        ({"rank": (2, 2)}, ValueError, "one entry for each of 3 modes"),
        ({"rank": (2, 2.0, 2)}, TypeError, r"rank\[1\]"),
        ({"rtol": 0}, ValueError, "rtol"),
        ({"rtol": 1.5}, ValueError, "rtol"),
        ({"rank": 2, "modes": (0, 0)}, ValueError, "twice"),
        ({"rank": 2, "modes": ()}, ValueError, "at least one"),
        ({"rank": 2, "modes": (3,)}, ValueError, r"modes\[0\]"),
        ({"rank": 2, "modes": 1}, TypeError, "sequence"),
        ({"rank": 2, "order": (0, 1)}, ValueError, "order"),
        ({"rank": 2, "method": "svd"}, ValueError, "method must be one of"),
        ({"rank": 2, "rng": 1.5, "method": "randomized"}, TypeError, "rng"),
    ],
)
def test_bad_options_are_refused_with_the_range(options, kind, words):
    with pytest.raises(kind, match=words):
        tucker.sthosvd(gaussian((4, 5, 6)), **options)


def test_what_is_no_tensor_is_refused():
    with pytest.raises(ValueError, match="at least 1 dimensions"):
        tucker.sthosvd(np.array(3.0), rank=1)
    with pytest.raises(ValueError, match="empty"):
        tucker.sthosvd(np.ones((3, 0)), rank=1)
    with pytest.raises(TypeError, match="array"):
        tucker.sthosvd("text", rank=1)


def test_no_more_memory_than_one_projection_and_a_block():
    import tracemalloc

    x = low_rank_tensor((100, 120, 140), (5, 5, 5), noise=1e-2, rng=0)
    for options in ({"rank": 5}, {"rtol": 0.1}, {"rank": 5, "method": "gram"},
                    {"rank": 5, "method": "qr"}, {"rtol": 1e-9}):  # fmt: skip
        tracemalloc.start()
        tucker.sthosvd(x, **options)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # Blocks of a million entries, their copy and product; x itself holds 1.7 million.
        assert peak <= 8 * 4 * (1 << 20)


@pytest.mark.parametrize("function", BOTH)
def test_agrees_with_tensorly(function):
    tensorly = pytest.importorskip("tensorly")
    from tensorly.decomposition import tucker as theirs

    x = low_rank_tensor((8, 9, 10), (3, 3, 3), noise=1e-4, rng=0)
    core, factors = theirs(tensorly.tensor(x), rank=[3, 3, 3], n_iter_max=0, init="svd")
    wanted = tensorly.tucker_to_tensor((core, factors))
    assert np.linalg.norm(function(x, rank=3).to_array() - wanted) <= 1e-6
    assert np.allclose(tensorly.tucker_to_tensor(function(x, rank=3)), wanted, atol=1e-6)
