"""The algebra of trains agrees with that of arrays, without their size or their overflow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import tt

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)
ranks = st.lists(st.integers(1, 4), min_size=4, max_size=4)
dtypes = st.sampled_from(["float32", "float64", "complex64", "complex128"])


@given(shape=shapes, r=ranks, s=ranks, dtype=dtypes, seed=st.integers(0, 99))
def test_algebra_is_that_of_arrays(  # noqa: PLR0917
    shape, r, s, dtype, seed, train_of, brute
):
    d = len(shape) - 1
    a = train_of(shape, r[:d], dtype=dtype, seed=seed)
    b = train_of(shape, s[:d], dtype=dtype, seed=seed + 1)
    x, y = brute(a.cores), brute(b.cores)
    size = np.linalg.norm(x) * np.linalg.norm(y)
    slack = 30 * float(np.finfo(dtype).eps)
    assert abs(tt.norm(a) - np.linalg.norm(x)) <= slack * np.linalg.norm(x)
    assert abs(tt.inner(a, b) - np.vdot(x, y)) <= slack * size
    total = tt.add(a, b, a)
    assert total.dtype == np.dtype(dtype)
    assert total.rank == tuple(2 * p + q for p, q in zip(r[:d], s[:d], strict=True))
    gap = np.linalg.norm(total.to_array() - (2 * x + y))
    assert gap <= slack * (2 * np.linalg.norm(x) + np.linalg.norm(y))
    product = tt.hadamard(a, b)
    assert product.rank == tuple(p * q for p, q in zip(r[:d], s[:d], strict=True))
    assert np.linalg.norm(product.to_array() - x * y) <= slack * size


@given(shape=shapes, r=ranks, center=st.integers(-5, 4), dtype=dtypes)
def test_orthogonalising_changes_cores_and_not_the_tensor(  # noqa: PLR0917
    shape, r, center, dtype, train_of, brute
):
    train = train_of(shape, r[: len(shape) - 1], dtype=dtype)
    if not -len(shape) <= center < len(shape):
        with pytest.raises(ValueError, match="center must lie between"):
            tt.orthogonalise(train, center=center)
        return
    same = tt.orthogonalise(train, center=center)
    x, eps = brute(train.cores), float(np.finfo(dtype).eps)
    assert np.linalg.norm(same.to_array() - x) <= 30 * eps * np.linalg.norm(x)
    middle = center % len(shape)
    for k, core in enumerate(same.cores):
        if k < middle:
            gram = np.einsum("aib,aic->bc", core.conj(), core)
        elif k > middle:
            gram = np.einsum("aib,cib->ac", core.conj(), core)
        else:
            assert np.linalg.norm(core) == pytest.approx(np.linalg.norm(x), rel=30 * eps)
            continue
        assert np.abs(gram - np.eye(len(gram))).max() <= 30 * eps


def test_algebra_on_every_backend(xp, train_of, brute, on_host):
    a, b = (
        train_of((3, 3, 3), (2, 2), dtype=dtype, seed=seed, xp=xp)
        for dtype, seed in (("float64", 0), ("complex128", 1))
    )
    x, y = (brute(on_host(train, xp).cores) for train in (a, b))
    matrix = np.arange(9.0).reshape(3, 3) / 10
    pairs = [
        (tt.add(a, b), x + y),
        (tt.hadamard(a, b), x * y),
        (tt.scale(a, 2 - 1j), (2 - 1j) * x),
        (tt.scale(b, xp.asarray(np.array(3.0))), 3 * y),
        (tt.mode_product(a, xp.asarray(matrix), -1), x @ matrix.T),
        (tt.section(b, (slice(None), [2, 0, 2], 1)), y[:, [2, 0, 2], 1]),
        (tt.section(a, (1, slice(None), 0)), x[1, :, 0]),
        (tt.section(a, slice(1, 2)), x[1:2]),
        (tt.orthogonalise(b, center=1), y),
    ]
    for found, expected in pairs:
        assert np.allclose(xp.to_numpy(found.to_array()), expected, rtol=0, atol=1e-13)
    assert float(tt.norm(b)) == pytest.approx(np.linalg.norm(y), rel=1e-14)
    assert complex(tt.inner(a, b)) == pytest.approx(np.vdot(x, y), rel=1e-13)


@pytest.mark.parametrize("scale", [1e-300, 1e100])
def test_cores_of_any_scale_neither_overflow_nor_vanish(scale, train_of, brute):
    plain = train_of((3, 4, 2, 3), (2, 3, 2))
    powers = (scale, 1 / scale, scale, 1 / scale)
    cores = tuple(core * p for core, p in zip(plain.cores, powers, strict=True))
    train = tt.TensorTrain(cores)
    x = brute(plain.cores)
    size = np.linalg.norm(x)
    assert float(tt.norm(train)) == pytest.approx(size, rel=1e-13)
    assert float(tt.inner(train, train)) == pytest.approx(size**2, rel=1e-13)
    for same in (tt.orthogonalise(train, center=1), tt.round(train, rtol=1e-12)):
        assert np.linalg.norm(same.to_array() - x) <= 1e-12 * size


def test_norms_beyond_the_range_are_infinite_and_never_nan(train_of):
    huge = tt.TensorTrain(tuple(core * 1e200 for core in train_of((3, 4, 2), (2, 3)).cores))
    tiny = tt.TensorTrain(tuple(core * 1e-200 for core in train_of((3, 4, 2), (2, 3)).cores))
    assert tt.norm(huge) == np.inf
    assert tt.norm(tiny) == 0


def test_the_norm_of_a_small_difference_keeps_its_digits(train_of):
    a = train_of((4,) * 6, (3,) * 5)
    nudge = train_of((4,) * 6, (1,) * 5, seed=7)
    size = float(tt.norm(nudge))
    step = 1e-10 * float(tt.norm(a)) / size
    gap = tt.add(a, tt.scale(nudge, step), tt.scale(a, -1))
    # By the inner product of the difference with itself nothing would be left.
    assert float(tt.norm(gap)) == pytest.approx(step * size, rel=1e-4)


def test_sections_are_trains_of_the_modes_that_are_left(train_of):
    train = train_of((4, 3, 5), (2, 3))
    assert tt.section(train, (slice(1, 3), 0, [1, 4, 0])).shape == (2, 3)
    assert tt.section(train, (0, 1, slice(None))).rank == ()
    with pytest.raises(ValueError, match="single entry; pass it to evaluate"):
        tt.section(train, (0, 1, 2))
    with pytest.raises(ValueError, match=r"region\[1\] keeps no index"):
        tt.section(train, (0, slice(2, 2), 2))


def test_nothing_is_changed_in_place(train_of):
    train = train_of((4, 3, 5), (2, 3))
    before = [core.copy() for core in train.cores]
    tt.round(tt.add(train, tt.scale(train, 2)), rtol=1e-3)
    tt.orthogonalise(train, center=0)
    tt.mode_product(train, np.ones((2, 3)), 1)
    tt.norm(train)
    assert all(np.array_equal(a, b) for a, b in zip(before, train.cores, strict=True))


FIRST, SECOND = np.ones((1, 2, 2)), np.ones((2, 3, 1))


@pytest.mark.parametrize(
    ("train", "kind", "message"),
    [
        (np.ones((2, 3)), TypeError, "train must be a TensorTrain, or a sequence of its cores"),
        ([], TypeError, "train must be a TensorTrain"),
        ([FIRST, np.ones((3, 3, 1))], ValueError, "r_0 = r_d = 1"),
        ([np.ones((2, 3, 2))], ValueError, "r_0 = r_d = 1"),
        ([FIRST, np.ones((2, 3))], ValueError, r"train.cores\[1\] must have 3 dimensions"),
        ([FIRST, SECOND * np.nan], ValueError, r"first at train.cores\[1\]\[0, 0, 0\]"),
    ],
)
def test_what_is_no_train_is_refused(train, kind, message):
    for call in (
        tt.norm,
        tt.orthogonalise,
        lambda x: tt.round(x, rank=1),
        lambda x: tt.scale(x, 2),
        lambda x: tt.section(x, slice(1)),
        lambda x: tt.mode_product(x, np.ones((2, 2)), 0),
    ):
        with pytest.raises(kind, match=message):
            call(train)


def test_trains_that_do_not_fit_are_refused(train_of):
    a, b = train_of((2, 3), (2,)), train_of((3, 2), (2,))
    for call in (tt.add, tt.inner, tt.hadamard):
        with pytest.raises(ValueError, match="must stand for tensors of one shape"):
            call(a, b)
    with pytest.raises(ValueError, match="nothing to add"):
        tt.add()
    with pytest.raises(ValueError, match="matrix must have 3 columns for mode 1"):
        tt.mode_product(a, np.ones((2, 2)), 1)
    with pytest.raises(ValueError, match="factor has 1 non-finite"):
        tt.scale(a, np.nan)


def test_cores_of_other_kinds_are_promoted(train_of):
    lists = [[[[1, 2], [3, 4]]], [[[1], [0]], [[0], [1]]]]
    assert tt.norm(lists) == pytest.approx(np.sqrt(30))
    half = [core.astype(np.float16) for core in train_of((2, 3), (2,)).cores]
    assert tt.add(half, half).dtype == np.float32
    mixed = [half[0], half[1].astype(np.complex64)]
    assert tt.orthogonalise(mixed).dtype == np.complex64


def test_libraries_do_not_mix(train_of):
    torch = pytest.importorskip("torch")
    a = train_of((2, 3), (2,))
    b = tt.TensorTrain(tuple(map(torch.asarray, a.cores)))
    with pytest.raises(TypeError, match="one library"):
        tt.add(a, b)
    with pytest.raises(TypeError, match="one library"):
        tt.norm([a.cores[0], b.cores[1]])
