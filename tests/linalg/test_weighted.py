"""The weighted SVD: the tail of the weighted matrix, for weights of every kind."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import example, given
from hypothesis import strategies as st

import tdecomp as td
from tdecomp.testing import assert_isometry, matrix

M, N = 12, 7
EPS = float(np.finfo(float).eps)
# Products, an SVD and its use: a few roundings of factors whose norms multiply.
THRESHOLD = 100.0

KINDS = ("none", "vector", "with zeros", "square", "tall", "wide", "deficient", "zero", "graded")


def weight(kind, size, dtype="float64", seed=5):
    """A row weight of `size` columns; its adjoint is a column weight."""
    if kind == "none":
        return None
    if kind in {"vector", "with zeros", "graded"}:
        values = np.linspace(2.0, 0.5, size)
        values = values * (np.arange(size) % 3 > 0) if kind == "with zeros" else values
        return np.geomspace(1, 1e-12, size) if kind == "graded" else values
    rows = {"square": size, "tall": size + 4, "wide": size - 3, "deficient": size, "zero": 3}[kind]
    rank = {"deficient": size // 2, "zero": 0}.get(kind, min(rows, size))
    return matrix(rows, size, np.linspace(1.5, 0.5, rank), dtype=dtype, rng=seed)


def full(left, right, m=M, n=N):
    """Both weights as matrices."""
    left = np.eye(m) if left is None else np.diag(left) if left.ndim == 1 else left
    right = np.eye(n) if right is None else np.diag(right) if right.ndim == 1 else right
    return left, right


def pair(left, right, dtype="float64"):
    """A left and a right weight of the two kinds."""
    right = weight(right, N, dtype, seed=6)
    return weight(left, M, dtype), right if right is None or right.ndim == 1 else right.conj().T


def weighted(gap, left, right):
    left, right = full(left, right, *gap.shape[-2:])
    return np.linalg.norm(left @ gap @ right)


def case(dtype="float64", seed=0):
    return matrix(M, N, "polynomial", dtype=dtype, rng=seed)


def tails(a, left, right):
    left, right = full(left, right, *a.shape)
    s = np.linalg.svd(left @ a @ right, compute_uv=False)
    s = np.append(s, np.zeros(N))[:N]
    return np.append(np.sqrt(np.cumsum(s[::-1] ** 2)[::-1]), 0.0), s


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("left", KINDS)
@pytest.mark.parametrize("right", KINDS)
def test_the_weighted_error_is_the_tail_at_every_rank(left, right, dtype):
    a = case(dtype)
    left, right = pair(left, right, dtype)
    tail, s = tails(a, left, right)
    scale = np.prod([np.linalg.norm(w, 2) for w in full(left, right)]) * np.linalg.norm(a)
    previous = np.inf
    for rank in range(1, N + 1):
        b = td.weighted_svd(a, left=left, right=right, rank=rank)
        assert b.shape == (M, N)
        assert b.rank <= rank
        approximation = b.to_array()
        assert np.all(np.isfinite(approximation))
        error = weighted(a - approximation, left, right)
        assert abs(error - tail[rank]) <= THRESHOLD * EPS * scale  # P1
        assert error <= previous + THRESHOLD * EPS * scale  # P2
        previous = error
        # The certificate: nothing of rank one within the space of either side can be gained.
        gap = np.matmul(np.matmul(full(left, right)[0], a - approximation), full(left, right)[1])
        assert np.linalg.norm(gap, 2) <= s[rank - 1] + THRESHOLD * EPS * scale
    assert previous <= THRESHOLD * EPS * scale


@pytest.mark.parametrize("left", ["none", "vector", "square", "wide"])
@pytest.mark.parametrize("right", ["none", "vector", "with zeros", "tall"])
def test_every_backend(xp, left, right):
    a, (left, right) = case(), pair(left, right)
    tail, _ = tails(a, left, right)
    given_weights = (None if w is None else xp.asarray(w) for w in (left, right))
    b = td.weighted_svd(
        xp.asarray(a), **dict(zip(("left", "right"), given_weights, strict=True)), rank=3
    )
    error = weighted(a - xp.to_numpy(b.to_array()), left, right)
    assert error == pytest.approx(tail[3], abs=THRESHOLD * EPS)


@pytest.mark.parametrize("left", ["none", "vector", "square", "tall"])
@pytest.mark.parametrize("right", ["none", "vector", "square", "tall"])
def test_nonsingular_weights_give_the_formula_with_inverses(left, right):
    a, (left, right) = case("complex128"), pair(left, right, "complex128")
    big_left, big_right = full(left, right)
    u, s, vh = np.linalg.svd(big_left @ a @ big_right, full_matrices=False)
    for rank in (1, 3, 6):
        best = (u[:, :rank] * s[:rank]) @ vh[:rank]
        truth = np.linalg.pinv(big_left) @ best @ np.linalg.pinv(big_right)
        b = td.weighted_svd(a, left=left, right=right, rank=rank).to_array()
        gap = s[rank - 1] - s[rank]
        assert np.linalg.norm(b - truth) <= THRESHOLD * EPS * s[0] / gap * 4


@pytest.mark.parametrize("left", KINDS[:-2])
@pytest.mark.parametrize("right", KINDS[:-2])
def test_nothing_else_of_its_rank_comes_closer(left, right):
    a, (left, right) = case(), pair(left, right)
    rng = np.random.default_rng(0)
    b = td.weighted_svd(a, left=left, right=right, rank=3)
    best = weighted(a - b.to_array(), left, right) - THRESHOLD * EPS
    plain = td.truncated_svd(a, rank=3).to_array()
    assert best <= weighted(a - plain, left, right)
    for size in np.geomspace(1e-6, 1, 100):
        near = td.LowRank(b.left + size * rng.standard_normal(b.left.shape),
                          b.right + size * rng.standard_normal(b.right.shape))  # fmt: skip
        assert best <= weighted(a - near.to_array(), left, right)


def test_weights_make_a_difference():
    a, left = case(), np.geomspace(1, 1e-3, M)
    plain = td.truncated_svd(a, rank=3).to_array()
    b = td.weighted_svd(a, left=left, rank=3).to_array()
    assert weighted(a - b, left, None) < 0.5 * weighted(a - plain, left, None)
    assert np.linalg.norm(a - plain) < 0.9 * np.linalg.norm(a - b)


@pytest.mark.parametrize("constant", [None, "vectors", "matrices"])
def test_constant_weights_give_the_truncated_svd(xp, constant):
    a = case("complex128")
    weights = {
        None: {},
        "vectors": {"left": np.full(M, 3.0), "right": np.full(N, 0.2)},
        "matrices": {"left": 3 * np.eye(M), "right": 0.2 * np.eye(N)},
    }[constant]
    b = td.weighted_svd(xp.asarray(a), rank=3, **{k: xp.asarray(w) for k, w in weights.items()})
    plain = td.truncated_svd(a, rank=3).to_array()
    assert np.abs(xp.to_numpy(b.to_array()) - plain).max() <= THRESHOLD * EPS


@given(
    left=st.sampled_from(["vector", "with zeros", "square", "wide", "deficient"]),
    right=st.sampled_from(["vector", "with zeros", "square", "wide", "deficient"]),
    exponents=st.tuples(*[st.sampled_from([-300, -160, -30, 0, 30, 160, 300])] * 3),
)
@example(left="vector", right="vector", exponents=(300, 30, -300))
@example(left="square", right="vector", exponents=(-300, -160, 300))
@example(left="wide", right="square", exponents=(300, 300, 300))
def test_scales_of_weights_change_nothing_and_that_of_the_matrix_passes_through(
    left, right, exponents
):
    a, (left, right) = case(), pair(left, right)
    plain = td.weighted_svd(a, left=left, right=right, rank=3).to_array()
    x, y, z = (10.0**exponent for exponent in exponents)
    scaled = td.weighted_svd(a * x, left=left * y, right=right * z, rank=3)
    b = scaled.to_array() / x
    assert np.abs(b - plain).max() <= 10 * THRESHOLD * EPS
    by_error = td.weighted_svd(a * x, left=left * y, right=right * z, rtol=0.2)
    assert by_error.rank == td.weighted_svd(a, left=left, right=right, rtol=0.2).rank


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["vector", "square", "wide"])
def test_rotations_of_the_other_side_pass_through(side, kind):
    a = case("complex128")
    size, other = (M, N) if side == "left" else (N, M)
    w = weight(kind, size, "complex128")
    w = w if side == "left" or w.ndim == 1 else w.conj().T
    q = matrix(other, other, "flat", dtype="complex128", rng=8)
    plain = td.weighted_svd(a, rank=3, **{side: w}).to_array()
    turned = a @ q if side == "left" else q @ a
    b = td.weighted_svd(turned, rank=3, **{side: w}).to_array()
    assert np.abs(b - (plain @ q if side == "left" else q @ plain)).max() <= THRESHOLD * EPS


@pytest.mark.parametrize("both", [False, True])
def test_what_has_no_weight_has_no_influence(xp, both):
    a, other = case(), case()
    left = np.linspace(2.0, 0.5, M) * (np.arange(M) != 4)
    other[4] = 100 * np.random.default_rng(0).standard_normal(N)
    right = {"right": xp.asarray(np.linspace(1.0, 0.3, N))} if both else {}
    one, two = (
        xp.to_numpy(
            td.weighted_svd(xp.asarray(x), left=xp.asarray(left), rank=3, **right).to_array()
        )
        for x in (a, other)
    )
    kept = np.arange(M) != 4
    assert np.all(np.isfinite(one))
    assert np.abs(one[kept] - two[kept]).max() <= THRESHOLD * EPS
    # The rest of the row is predicted, not forgotten: it has rank three like the others.
    assert np.linalg.norm(one[4]) > 0


@pytest.mark.parametrize("kind", ["vector", "with zeros", "graded"])
def test_a_vector_is_a_diagonal_matrix(kind):
    a, (left, right) = case(), pair(kind, kind)
    for rank in (1, 3):
        vectors = td.weighted_svd(a, left=left, right=right, rank=rank)
        matrices = td.weighted_svd(a, left=np.diag(left), right=np.diag(right), rank=rank)
        gap = vectors.to_array() - matrices.to_array()
        assert weighted(gap, left, right) <= THRESHOLD * EPS * np.linalg.norm(a)


def test_the_right_weight_of_calibration_data_minimises_the_output_error():
    rng = np.random.default_rng(0)
    w = case()
    for count in (500, 4):  # more inputs than features, and fewer
        x = rng.standard_normal((N, count)) * np.geomspace(1, 1e-3, N)[:, None]
        b = td.weighted_svd(w, right=x, rank=3)
        best = np.linalg.norm(np.linalg.svd(w @ x, compute_uv=False)[3:])
        error = np.linalg.norm((w - b.to_array()) @ x)
        assert error == pytest.approx(best, abs=THRESHOLD * EPS * np.linalg.norm(w @ x))
        triangle = np.linalg.qr(x.T, mode="r").T
        other = td.weighted_svd(w, right=triangle, rank=3).to_array()
        assert np.linalg.norm((b.to_array() - other) @ x) <= THRESHOLD * EPS * np.linalg.norm(
            w @ x
        )


def test_weights_over_twelve_decades_keep_the_heavy_rows():
    a, left = case(), np.geomspace(1, 1e-12, M)
    for right in (None, np.geomspace(1e-12, 1, N)):
        b = td.weighted_svd(a, left=left, right=right, rank=3).to_array()
        tail, s = tails(a, left, right)
        assert weighted(a - b, left, right) <= tail[3] * (1 + 1e-9) + THRESHOLD * EPS * s[0]


@given(
    left=st.sampled_from(KINDS),
    right=st.sampled_from(KINDS),
    rtol=st.floats(1e-13, 0.99),
    dtype=st.sampled_from(["float64", "complex128"]),
    limit=st.integers(1, N),
)
def test_rtol_is_kept_in_the_weighted_norm_at_the_least_rank(left, right, rtol, dtype, limit):
    a, (left, right) = case(dtype), pair(left, right, dtype)
    tail, _s = tails(a, left, right)
    b = td.weighted_svd(a, left=left, right=right, rtol=rtol)
    assert weighted(a - b.to_array(), left, right) <= rtol * tail[0]
    spare = (rtol - 1e-14) * tail[0]
    assert b.rank <= max(1, int(np.sum(tail > spare)))
    both = td.weighted_svd(a, left=left, right=right, rtol=rtol, rank=limit)
    assert both.rank == min(b.rank, limit)


def test_rtol_below_the_floor_names_what_can_be_reached(xp, dtype):
    with pytest.raises(td.ToleranceError) as caught:
        td.weighted_svd(xp.asarray(case(), dtype), left=xp.asarray(np.ones(M), dtype), rtol=1e-30)
    assert 0 < caught.value.reachable <= 64 * np.finfo(dtype).eps
    assert f"{caught.value.reachable:.3g}" in str(caught.value)


@pytest.mark.parametrize("scale", [1.0, 1e300, 1e-300])
def test_with_one_weight_or_none_one_factor_is_orthonormal(xp, scale):
    a = xp.asarray(case() * scale)
    left, right = (xp.asarray(weight("square", size)) for size in (M, N))
    for jit in (False, True):
        run = xp.jit if jit else lambda f: f
        assert_isometry(xp.to_numpy(run(lambda x: td.weighted_svd(x, rank=3).left)(a)))
        b = run(lambda x: td.weighted_svd(x, right=right, rank=3))(a)
        assert_isometry(xp.to_numpy(b.left))
        b = run(lambda x: td.weighted_svd(x, left=left, rank=3))(a)
        assert_isometry(xp.to_numpy(b.right).T)
        error = weighted(case() - xp.to_numpy(b.to_array()) / scale, xp.to_numpy(left), None)
        assert error == pytest.approx(tails(case(), xp.to_numpy(left), None)[0][3], rel=1e-12)


def test_batches_equal_loops(xp):
    piles = np.stack([case(seed=i) for i in range(3)])
    lefts = np.stack([weight("square", M, seed=i) for i in range(3)])
    shared = weight("wide", N).T
    b = td.weighted_svd(
        xp.asarray(piles), left=xp.asarray(lefts), right=xp.asarray(shared), rank=3
    )
    assert b.shape == (3, M, N)
    vectors = td.weighted_svd(xp.asarray(piles), left=xp.asarray(weight("vector", M)), rank=3)
    single = td.weighted_svd(xp.asarray(piles[0]), left=xp.asarray(lefts), rank=3)
    for i in range(3):
        one = td.weighted_svd(piles[i], left=lefts[i], right=shared, rank=3).to_array()
        assert np.abs(xp.to_numpy(b.to_array())[i] - one).max() <= THRESHOLD * EPS
        one = td.weighted_svd(piles[i], left=weight("vector", M), rank=3).to_array()
        assert np.abs(xp.to_numpy(vectors.to_array())[i] - one).max() <= THRESHOLD * EPS
        one = td.weighted_svd(piles[0], left=lefts[i], rank=3).to_array()
        assert np.abs(xp.to_numpy(single.to_array())[i] - one).max() <= THRESHOLD * EPS


def test_dtypes_are_promoted_together(xp):
    single, double = xp.asarray(case(), "float32"), xp.asarray(case())
    heavy = xp.asarray(weight("square", M, "complex128"))
    cases = ((single, None, "float32"), (double, None, "float64"), (single, heavy, "complex128"))
    for a, left, dtype in cases:
        b = td.weighted_svd(a, left=left, rank=3)
        assert xp.to_numpy(b.left).dtype == xp.to_numpy(b.right).dtype == dtype
    ints = xp.asarray(np.arange(1, M + 1), "int32")
    b = td.weighted_svd(double, left=ints, rank=3)
    truth = td.weighted_svd(case(), left=np.arange(1.0, M + 1), rank=3).to_array()
    assert np.abs(xp.to_numpy(b.to_array()) - truth).max() <= 10 * THRESHOLD * np.finfo("f4").eps


@pytest.mark.parametrize("shape", ["vector", "square"])
def test_lists_are_weights(xp, shape):
    a, left, right = case(), weight(shape, M), weight(shape, N)
    b = td.weighted_svd(xp.asarray(a), left=left.tolist(), right=right.tolist(), rank=3)
    truth = td.weighted_svd(a, left=left, right=right, rank=3).to_array()
    # Lists come in the default float of the library, which torch makes single.
    eps = EPS if xp.name != "torch" else np.finfo("f4").eps
    assert np.abs(xp.to_numpy(b.to_array()) - truth).max() <= THRESHOLD * eps


def test_a_list_takes_the_library_of_its_weight(xp):
    b = td.weighted_svd(case().tolist(), left=xp.asarray(np.ones(M)), rank=3)
    assert xp.to_numpy(b.left).shape == (M, 3)


def test_a_real_weight_may_be_negative_and_a_vector_complex():
    a, left = case("complex128"), weight("vector", M)
    plain = td.weighted_svd(a, left=left, rank=3).to_array()
    for phase in (-1, 1j, np.exp(1j * np.arange(M))):
        b = td.weighted_svd(a, left=left * phase, rank=3).to_array()
        assert np.abs(b - plain).max() <= THRESHOLD * EPS


@pytest.mark.parametrize("scale", [1.0, 1e200])
@pytest.mark.writable
def test_the_inputs_are_left_alone(xp, scale):
    a, left, right = case() * scale, weight("square", M) * scale, weight("tall", N).T * scale
    x, y, z = map(xp.asarray, (a, left, right))
    td.weighted_svd(x, left=y, right=z, rank=3)
    td.weighted_svd(x, left=y, right=z, rtol=0.1)
    for before, after in ((a, x), (left, y), (right, z)):
        assert np.array_equal(xp.to_numpy(after), before)


@pytest.mark.parametrize(("weights", "message"), [
    ({"left": (N,)}, r"left must have shape \(12,\)"),
    ({"left": (M, N)}, r"left must have shape \(12,\)"),
    ({"right": (M,)}, r"right must have shape \(7,\)"),
    ({"right": (M, N)}, r"right must have shape \(7,\)"),
    ({"left": ()}, r"left must"),
    ({"right": ()}, r"right must"),
    ({"left": (0, M)}, r"left is empty"),
    ({"right": (N, 0)}, r"right is empty"),
])  # fmt: skip
def test_weights_of_a_wrong_shape_are_named(xp, weights, message):
    given_weights = {name: xp.asarray(np.ones(shape)) for name, shape in weights.items()}
    with pytest.raises(ValueError, match=message):
        td.weighted_svd(xp.asarray(case()), rank=1, **given_weights)


@pytest.mark.parametrize(("name", "shape", "index", "message"), [
    ("left", (M,), 3, r"left has 1 non-finite .* left\[3\]"),
    ("left", (M, M), (2, 3), r"left has 1 non-finite .* left\[2, 3\]"),
    ("right", (N,), 3, r"right has 1 non-finite .* right\[3\]"),
    ("right", (N, 9), (2, 8), r"right has 1 non-finite .* right\[2, 8\]"),
])  # fmt: skip
def test_a_number_that_is_none_is_named_where_the_user_put_it(xp, name, shape, index, message):
    w = np.ones(shape)
    w[index] = np.nan
    with pytest.raises(ValueError, match=message):
        td.weighted_svd(xp.asarray(case()), rank=1, **{name: xp.asarray(w)})


@pytest.mark.parametrize("name", ["left", "right"])
def test_libraries_do_not_mix(xp, name):
    if "numpy" in xp.name:
        pytest.skip("the other library")
    w = np.ones(M if name == "left" else N)
    with pytest.raises(TypeError, match="one library"):
        td.weighted_svd(xp.asarray(case()), rank=1, **{name: w})


@pytest.mark.parametrize("name", ["left", "right"])
@pytest.mark.parametrize("value", ["text", {1: 2}, scipy.sparse.eye_array(N), object()])
def test_weights_that_are_no_arrays_are_named(name, value):
    with pytest.raises(TypeError, match=f"{name} (must be|is not|has dtype)"):
        td.weighted_svd(np.ones((N, N)), rank=1, **{name: value})


@pytest.mark.parametrize("rank", [0, N + 1])
def test_a_rank_out_of_range_is_named(xp, rank):
    with pytest.raises(ValueError, match=f"rank must be an int between 1 and {N}, got {rank}"):
        td.weighted_svd(xp.asarray(case()), left=xp.asarray(np.ones(M)), rank=rank)
