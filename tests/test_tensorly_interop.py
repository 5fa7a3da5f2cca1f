"""TensorLy's functions take our formats, and ours take its objects."""

import subprocess
import sys

import numpy as np
import pytest

import tdecomp as td
from tdecomp import convert, cp, tt, tucker
from tdecomp.testing import gaussian

tl = pytest.importorskip("tensorly")
decomposition = pytest.importorskip("tensorly.decomposition")
cp_tensor = pytest.importorskip("tensorly.cp_tensor")
tucker_tensor = pytest.importorskip("tensorly.tucker_tensor")
TTTensor = pytest.importorskip("tensorly.tt_tensor").TTTensor
TRTensor = pytest.importorskip("tensorly.tr_tensor").TRTensor
CPTensor, TuckerTensor = cp_tensor.CPTensor, tucker_tensor.TuckerTensor

SHAPE = (6, 7, 8)


@pytest.fixture(scope="module", autouse=True)
def numpy_backend():
    """Let TensorLy work on NumPy arrays, whatever ran before."""
    with tl.backend_context("numpy"):
        yield


@pytest.fixture(scope="module")
def x():
    return gaussian(SHAPE, rng=0)


@pytest.fixture(scope="module")
def ours(x):
    """One decomposition of ours for each format."""
    return {
        "cp": cp.cp_als(x, rank=3, rng=0, max_iter=20).tensor,
        "tucker": tucker.sthosvd(x, rank=(2, 3, 4)),
        "tt": tt.tt_svd(x, rank=3),
    }


def theirs(fmt):
    """Return a decomposition as TensorLy's own object."""
    if isinstance(fmt, cp.CP):
        return CPTensor((fmt.weights, list(fmt.factors)))
    if isinstance(fmt, tucker.Tucker):
        return TuckerTensor((fmt.core, list(fmt.factors)))
    return (TTTensor if isinstance(fmt, tt.TensorTrain) else TRTensor)(list(fmt.cores))


def test_its_functions_take_our_cp(ours):
    fmt = ours["cp"]
    full = fmt.to_array()
    np.testing.assert_allclose(tl.cp_to_tensor(fmt), full, atol=1e-13)
    np.testing.assert_allclose(
        cp_tensor.cp_to_unfolded(fmt, 1), td.ops.unfold(full, 1), atol=1e-13
    )
    assert cp_tensor.cp_norm(fmt) == pytest.approx(float(cp.norm(fmt)))
    weights, _ = cp_tensor.cp_normalize(fmt)
    np.testing.assert_allclose(weights, fmt.weights, rtol=1e-12)
    matrix = gaussian((4, 7), rng=1)
    np.testing.assert_allclose(
        tl.cp_to_tensor(cp_tensor.cp_mode_dot(fmt, matrix, 1, copy=True)),
        cp.mode_product(fmt, matrix, 1).to_array(),
        atol=1e-12,
    )
    found, _ = tl.metrics.congruence_coefficient(fmt.factors, fmt.factors)
    assert found == pytest.approx(1)


def test_its_functions_take_our_tucker_and_train(ours):
    fmt, train = ours["tucker"], ours["tt"]
    np.testing.assert_allclose(tl.tucker_to_tensor(fmt), fmt.to_array(), atol=1e-13)
    np.testing.assert_allclose(
        tucker_tensor.tucker_to_vec(fmt), np.ravel(fmt.to_array()), atol=1e-13
    )
    matrix = gaussian((4, 7), rng=1)
    np.testing.assert_allclose(
        tl.tucker_to_tensor(tucker_tensor.tucker_mode_dot(fmt, matrix, 1, copy=True)),
        tucker.mode_product(fmt, matrix, 1).to_array(),
        atol=1e-12,
    )
    np.testing.assert_allclose(tl.tt_to_tensor(train.cores), train.to_array(), atol=1e-13)
    ring = tt.tr_svd(gaussian(SHAPE, rng=0), rank=2)
    np.testing.assert_allclose(tl.tr_to_tensor(list(ring.cores)), ring.to_array(), atol=1e-13)


def test_its_iterations_start_from_ours(x, ours):
    fit = decomposition.parafac(
        x, 3, init=CPTensor(ours["cp"]), n_iter_max=1, tol=0, normalize_factors=False
    )
    error = np.linalg.norm(x - tl.cp_to_tensor(fit)) / np.linalg.norm(x)
    assert error <= float(td.relative_error(x, ours["cp"])) * (1 + 1e-9)


def test_ours_start_from_its_results(x):
    start = decomposition.parafac(x, 3, n_iter_max=3, random_state=0)
    error = np.linalg.norm(x - tl.cp_to_tensor(start)) / np.linalg.norm(x)
    for fit in (
        cp.cp_als(x, rank=3, init=start, max_iter=0),
        cp.cp_als(x, rank=3, init=start, max_iter=2, weights=np.ones(SHAPE)),
        cp.cp_gauss_newton(x, rank=3, init=start, max_iter=2),
        cp.gcp(x, rank=3, init=start, max_iter=2),
    ):
        assert float(td.relative_error(x, fit.tensor)) <= error * (1 + 1e-9)
    begun = decomposition.tucker(x, (2, 3, 4), n_iter_max=2, init="random", random_state=0)
    error = np.linalg.norm(x - tl.tucker_to_tensor(begun)) / np.linalg.norm(x)
    fit = tucker.hooi(x, rank=(2, 3, 4), init=begun, max_iter=2)
    assert float(td.relative_error(x, fit.tensor)) <= error * (1 + 1e-9)


def test_our_algebra_takes_its_objects(ours):
    a, b, c = (theirs(ours[kind]) for kind in ("cp", "tucker", "tt"))
    for room, fmt, kind in ((cp, a, "cp"), (tucker, b, "tucker"), (tt, c, "tt")):
        assert float(room.norm(fmt)) == pytest.approx(float(room.norm(ours[kind])))
        assert float(room.inner(fmt, ours[kind])) == pytest.approx(float(room.norm(fmt)) ** 2)
        twice = room.add(fmt, ours[kind]).to_array()
        np.testing.assert_allclose(twice, 2 * ours[kind].to_array(), atol=1e-12)
        assert room.section(fmt, (slice(0, 2), 1, slice(None))).shape == (2, 8)
    assert cp.factor_match_score(a, ours["cp"]) == pytest.approx(1)
    assert cp.normalise(a).rank == 3
    assert tucker.truncate(b, rank=1).rank == (1, 1, 1)
    assert tt.round(c, rank=1).rank == (1, 1)
    assert tt.orthogonalise(c).shape == SHAPE
    assert np.isfinite(float(cp.core_consistency(gaussian(SHAPE, rng=0), a)))
    assert len(tucker.mode_spectra(b)) == 3


def test_a_ring_of_its_is_a_ring_of_ours(x):
    ring = tt.tr_svd(x, rank=2)
    found = convert.to_tt(theirs(ring))
    np.testing.assert_allclose(found.to_array(), ring.to_array(), atol=1e-12)


@pytest.mark.parametrize("kind", ["cp", "tucker", "tt"])
def test_conversions_take_its_objects_and_errors_are_measured(x, ours, kind):
    own = {"cp": convert.to_cp, "tucker": convert.to_tucker, "tt": convert.to_tt}[kind]
    found = own(theirs(ours[kind]))
    assert type(found) is type(ours[kind])
    assert float(td.relative_error(x, found)) == float(td.relative_error(x, ours[kind]))
    for target in (convert.to_tucker, convert.to_tt):
        np.testing.assert_allclose(
            target(theirs(ours[kind])).to_array(), ours[kind].to_array(), atol=1e-12
        )
    with pytest.raises(TypeError, match=r"convert\.to_tucker"):
        td.relative_error(x, theirs(ours[kind]))


def test_weights_of_none_are_ones():
    factors = [np.ones((n, 2)) for n in SHAPE]
    assert np.array_equal(convert.to_cp(CPTensor((None, factors))).weights, [1, 1])


def test_what_has_no_counterpart_is_refused():
    from tensorly.random import random_parafac2

    found = random_parafac2([(5, 4)] * 3, rank=2, random_state=0)
    with pytest.raises(TypeError, match="PARAFAC2"):
        convert.to_cp(found)


def test_the_same_plain_sweeps_and_singular_vectors(x):
    start = cp.initialise(x, rank=2, init="random", rng=0)
    reference = decomposition.parafac(x, 2, init=CPTensor(start), n_iter_max=5, tol=0)
    plain = cp.cp_als(x, rank=2, init=start, max_iter=5, tol=0, accelerate=False).tensor
    np.testing.assert_allclose(plain.to_array(), tl.cp_to_tensor(reference), atol=1e-10)
    modes = decomposition.partial_tucker(x, (2, 3), modes=[0, 2], n_iter_max=50, tol=1e-10)
    core, factors = modes[0]
    fit = tucker.hooi(x, rank=(2, 3), modes=(0, 2), tol=1e-10, max_iter=200)
    expected = tl.tenalg.multi_mode_dot(core, factors, modes=[0, 2])
    np.testing.assert_allclose(fit.tensor.to_array(), expected, atol=1e-3)


def test_nothing_of_this_imports_tensorly():
    script = (
        "import sys, tdecomp, tdecomp.convert, tdecomp.cp, tdecomp.tucker, tdecomp.tt\n"
        "assert 'tensorly' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
