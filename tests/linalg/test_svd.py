"""The exact truncated SVD: Eckart and Young, rounding, every kind of input."""

import array_api_compat
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp.testing import (
    LAPACK_SHAPES,
    SPECTRA,
    assert_descending,
    assert_isometry,
    matrix,
    problems,
    spectrum,
)

# LAPACK accepts its own drivers while their test ratios stay below this.
THRESHOLD = 30.0

dtypes = st.sampled_from(["float32", "float64", "complex64", "complex128"])
shapes = st.tuples(st.integers(1, 24), st.integers(1, 24))
kinds = st.sampled_from(SPECTRA)

# Every backend sees both precisions and both kinds; the grid of shapes has all four pairs.
two_dtypes = pytest.mark.parametrize("dtype", ["float32", "complex128"])


def wide(a):
    """The same numbers in double precision."""
    return a.astype(np.result_type(a.dtype, np.float64))


def reachable(a):
    """The smallest tolerance that the library promises for `a`."""
    with pytest.raises(td.ToleranceError) as caught:
        td.truncated_svd(a, rtol=1e-30)
    return caught.value.reachable


@two_dtypes
def test_the_error_is_the_tail_on_every_problem(xp, dtype, is_canonical):
    eps = np.finfo(dtype).eps
    for problem in problems(like=xp.asarray(np.zeros(1), dtype)):
        a = wide(xp.to_numpy(problem.array)) / problem.scale
        s = np.linalg.svd(a, compute_uv=False)
        norm = np.linalg.norm(s)
        rank = (s.size + 1) // 2
        u, values, vh = map(xp.to_numpy, td.truncated_svd(problem.array, rank=rank))
        assert_isometry(u)
        assert_isometry(vh.conj().T)
        assert_descending(values)
        assert is_canonical(u)
        assert (u.dtype, values.dtype) == (np.dtype(dtype), np.finfo(dtype).dtype)
        values = values.astype(float) / problem.scale
        assert np.all(np.abs(values - s[:rank]) <= THRESHOLD * eps * s[0])
        misfit = np.linalg.norm(a - (u * values) @ vh)
        tail = np.linalg.norm(s[rank:])
        assert abs(misfit - tail) <= THRESHOLD * eps * norm, problem.name


@pytest.mark.parametrize("kind", [*SPECTRA, "identity"])
def test_lapack_grid_of_shapes(kind, dtype):
    eps = np.finfo(dtype).eps
    for m, n in (shape for shape in LAPACK_SHAPES if 0 not in shape):
        s = spectrum(kind, min(m, n)) if kind != "identity" else None
        a = np.eye(m, n, dtype=dtype) if s is None else matrix(m, n, s, dtype=dtype, rng=m + n)
        u, s, vh = td.truncated_svd(a, rank=min(m, n))
        size = np.linalg.norm(a, 1) or 1.0
        assert np.linalg.norm(a - (u * s) @ vh, 1) <= THRESHOLD * max(m, n) * eps * size
        assert_isometry(u, factor=THRESHOLD)
        assert_isometry(vh.conj().T, factor=THRESHOLD)
        assert_descending(s)


@given(shape=shapes, dtype=dtypes, seed=st.integers(0, 99))
def test_it_agrees_with_scipy_where_singular_vectors_are_determined(shape, dtype, seed):
    k = min(shape)
    a = matrix(*shape, np.linspace(1.0, 0.2, k), dtype=dtype, rng=seed)
    _, s, vh = scipy.linalg.svd(wide(a), full_matrices=False)
    svd = td.truncated_svd(a, rank=k)
    # A vector turns by the error over the gap to the next value.
    slack = THRESHOLD * np.finfo(dtype).eps
    assert np.all(np.abs(svd.S - s) <= slack)
    cosines = np.abs(np.sum(svd.Vh * vh.conj(), axis=1))
    assert np.all(cosines >= 1 - (slack * k / 0.8) ** 2 - slack)


@given(
    shape=shapes, dtype=dtypes, kind=kinds, seed=st.integers(0, 99),
    place=st.floats(0, 1), scale=st.integers(-100, 100), data=st.data(),
)  # fmt: skip
def test_rtol_is_kept_at_the_least_rank(  # noqa: PLR0917
    shape, dtype, kind, seed, place, scale, data
):
    single = np.finfo(dtype).bits == 32
    a = matrix(*shape, kind, dtype=dtype, rng=seed)
    a = a * np.asarray(2.0 ** (scale if single else 9 * scale), dtype=dtype)
    floor = reachable(a)
    rtol = floor ** (1 - place) * 0.9**place * (1 + 1e-12)
    unit = wide(a) / (np.abs(a).max() or 1)
    s, norm = np.linalg.svd(unit, compute_uv=False), np.linalg.norm(unit)
    u, values, vh = td.truncated_svd(a, rtol=rtol)
    values = values.astype(float) / (float(np.abs(a).max()) or 1)
    assert np.linalg.norm(unit - (u * values) @ vh) <= rtol * norm
    rank = values.size
    assert rank == 1 or np.linalg.norm(s[rank - 1 :]) >= (rtol - floor) * norm
    other = data.draw(st.integers(1, min(shape)))
    assert td.truncated_svd(a, rank=other, rtol=rtol).rank == min(rank, other)


@pytest.mark.parametrize("shape", [(1, 1), (40, 40), (300, 7), (7, 300), (150, 120)])
def test_the_floor_of_rtol_holds_on_flat_spectra(shape, dtype):
    a = matrix(*shape, "flat", dtype=dtype)
    floor = reachable(a)
    svd = td.truncated_svd(a, rtol=floor)
    assert float(td.relative_error(wide(a), svd._replace(S=wide(svd.S)))) <= floor
    assert svd.rank == min(shape)


@two_dtypes
def test_below_the_floor_the_error_names_what_can_be_reached(xp, dtype):
    a = xp.asarray(matrix(12, 7, "polynomial"), dtype)
    floor = reachable(a)
    assert floor <= 64 * np.finfo(dtype).eps
    with pytest.raises(td.ToleranceError, match=f"{floor:.3g}"):
        td.truncated_svd(a, rtol=floor / 2)
    assert td.truncated_svd(a, rtol=floor).rank == 7


@two_dtypes
def test_rtol_on_every_backend(xp, dtype):
    s = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.1, 0.05])
    a = xp.asarray(matrix(12, 7, s), dtype)
    for rank in (1, 4):
        between = 1.01 * np.linalg.norm(s[rank:]) + 0.01 * s[rank - 1]
        assert td.truncated_svd(a, rtol=between / np.linalg.norm(s)).rank == rank


@pytest.mark.parametrize(
    ("dtype", "scales"),
    [
        ("complex128", (1.0, 3.0, 0.5)),
        ("float32", (1e-30, 1.0, 1e30)),
        ("float64", (0.0, 1.0, 1e-200)),
    ],
)
def test_batches_equal_loops(xp, dtype, scales):
    eps = np.finfo(dtype).eps
    members = [matrix(12, 7, "polynomial", dtype=dtype, rng=i) for i in range(6)]
    pile = np.stack(members).reshape(2, 3, 12, 7) * np.reshape(scales, (3, 1, 1))
    batch = td.truncated_svd(xp.asarray(pile, dtype), rank=4)
    assert batch.shape == (2, 3, 12, 7)
    got, values = xp.to_numpy(batch.to_array()), xp.to_numpy(batch.S)
    for i, j in np.ndindex(2, 3):
        one = td.truncated_svd(pile[i, j].astype(dtype), rank=4)
        top = one.S[0]
        assert np.all(np.abs(values[i, j] - one.S) <= THRESHOLD * eps * top)
        gap = wide(got[i, j]) - wide(one.to_array())
        assert np.max(np.abs(gap)) <= THRESHOLD * eps * top


def test_a_batch_shares_the_largest_rank_that_a_member_needs(xp):
    easy, hard = matrix(12, 7, [1.0], rng=1), matrix(12, 7, "flat", rng=2)
    a = xp.asarray(np.stack([easy, hard, 0 * easy]))
    batch = td.truncated_svd(a, rtol=0.5)
    assert batch.rank == td.truncated_svd(hard, rtol=0.5).rank == 6
    assert np.all(xp.to_numpy(td.relative_error(a, batch)) <= 0.5)


@two_dtypes
def test_zero_matrix(xp, dtype, is_canonical):
    a = xp.asarray(np.zeros((12, 7)), dtype)
    assert td.truncated_svd(a, rtol=0.1).rank == 1
    for rank in (4, 7):
        u, s, vh = map(xp.to_numpy, td.truncated_svd(a, rank=rank))
        assert np.all(s == 0)
        assert_isometry(u)
        assert_isometry(vh.conj().T)
        assert is_canonical(u)


@pytest.mark.parametrize("value", [2.0, -3.0, 1e-30, 3 - 4j])
def test_one_by_one(xp, value):
    dtype = "complex128" if isinstance(value, complex) else "float64"
    u, s, vh = map(xp.to_numpy, td.truncated_svd(xp.asarray([[value]], dtype), rank=1))
    assert u[0, 0] == pytest.approx(1, abs=1e-15)
    assert s[0] == pytest.approx(abs(value), rel=1e-15)
    assert (u * s @ vh)[0, 0] == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e-77, 1e77, 1e160, 1e300])
def test_scale_costs_no_digit(xp, scale):
    a = matrix(12, 7, "polynomial")
    s = xp.to_numpy(td.truncated_svd(xp.asarray(a * scale), rank=7).S) / scale
    assert np.all(np.abs(s - spectrum("polynomial", 7)) <= THRESHOLD * np.finfo(float).eps)


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1e18, 1e30])
def test_scale_costs_no_digit_in_single_precision(xp, scale):
    a = matrix(12, 7, "polynomial") * scale
    s = xp.to_numpy(td.truncated_svd(xp.asarray(a, "float32"), rank=7).S).astype(float) / scale
    assert np.all(np.abs(s - spectrum("polynomial", 7)) <= THRESHOLD * np.finfo("f4").eps)


@pytest.mark.parametrize("failure", ["raises", "returns NaN"])
def test_where_the_driver_fails_another_one_answers(xp, monkeypatch, failure):
    a = matrix(12, 7, "polynomial", dtype="complex128")
    calls, true = [], xp.linalg.svd

    def unreliable(x, **options):
        calls.append(x)
        if len(calls) == 1 and failure == "raises":
            raise np.linalg.LinAlgError("SVD did not converge")
        u, s, vh = true(x, **options)
        return (u, s * np.nan, vh) if len(calls) == 1 else (u, s, vh)

    x = xp.asarray(a)
    monkeypatch.setattr(xp.linalg, "svd", unreliable)
    for shape in (x, xp.namespace.matrix_transpose(x)):
        calls.clear()
        u, s, vh = map(xp.to_numpy, td.truncated_svd(shape, rank=7))
        assert calls
        assert_isometry(u)
        assert_isometry(vh.conj().T)
        assert np.all(np.abs(s - spectrum("polynomial", 7)) <= THRESHOLD * np.finfo(float).eps)
        assert np.abs((u * s) @ vh - xp.to_numpy(shape)).max() <= THRESHOLD * np.finfo(float).eps


def test_where_every_driver_fails_no_nan_comes_back(xp, monkeypatch):
    true = xp.linalg.svd

    def broken(x, **options):
        u, s, vh = true(x, **options)
        return u, s * np.nan, vh

    monkeypatch.setattr(xp.linalg, "svd", broken)
    try:
        s = xp.to_numpy(td.truncated_svd(xp.asarray(matrix(12, 7, "flat")), rank=7).S)
    except (ArithmeticError, ValueError, np.linalg.LinAlgError):
        return
    assert np.all(np.isfinite(s))


def test_other_errors_of_the_driver_pass_through(monkeypatch):
    def broken(*_, **__):
        raise MemoryError("no room")

    namespace = array_api_compat.array_namespace(np.ones(1))
    monkeypatch.setattr(namespace.linalg, "svd", broken)
    with pytest.raises(MemoryError):
        td.truncated_svd(np.eye(3), rank=1)
