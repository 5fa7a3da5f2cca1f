"""The Kronecker-product SVD: optimal, orthogonal, true in its error."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdecomp import ToleranceError, relative_error
from tdecomp.kronecker import _traced as module
from tdecomp.kronecker import kronecker_svd
from tdecomp.testing import gaussian

SHAPES = ((6, 5), (7, 4))


def decaying(shapes, dtype="float64", rng=0, decay=0.5, terms=6):
    """A matrix whose rearrangement has decaying singular values."""
    (m1, n1), (m2, n2) = shapes
    u = np.linalg.qr(gaussian((m1 * n1, terms), rng=rng, dtype=dtype))[0]
    v = np.linalg.qr(gaussian((m2 * n2, terms), rng=rng + 1, dtype=dtype))[0]
    r = (u * decay ** np.arange(terms)) @ v.T
    return r.reshape(m1, n1, m2, n2).transpose(0, 2, 1, 3).reshape(m1 * m2, n1 * n2).astype(dtype)


def check(fit, a, *, error, eps):
    """The error is the one that is reported, and the terms are orthogonal and in order."""
    k = fit.tensor
    true = float(relative_error(a, k))
    assert fit.error == pytest.approx(true, rel=1e-5, abs=20 * eps)
    assert true == pytest.approx(error, rel=1e-5, abs=40 * eps)
    left, right = (np.asarray(f).reshape(k.rank, -1) for f in k.factors)
    gram = (left.conj() @ left.T) * (right.conj() @ right.T)
    sizes = np.sqrt(np.diag(gram).real)
    assert np.all(np.diff(sizes) <= 20 * eps * sizes[0])
    assert np.abs(gram - np.diag(np.diag(gram))).max() <= 40 * eps * sizes[0] ** 2
    assert np.allclose(np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1), rtol=1e3 * eps)
    top = np.take_along_axis(left, np.abs(left).argmax(axis=1)[:, None], axis=1)
    assert np.all(top.real > 0)


@pytest.mark.parametrize("rank", [1, 4, 28])
@pytest.mark.when_compiled(rank=4)
def test_no_sum_of_so_many_terms_is_closer(xp, dtype, rank, optimum):
    a = gaussian((42, 20), dtype=dtype)
    fit = kronecker_svd(xp.asarray(a), SHAPES, rank=rank, rng=0)
    factors = [xp.to_numpy(f) for f in fit.tensor.factors]
    fit = fit._replace(tensor=type(fit.tensor)(*factors))
    check(fit, a, error=optimum(a, SHAPES, rank), eps=float(np.finfo(dtype).eps))


def test_a_kronecker_product_has_one_term(drawn):
    _, a = drawn(SHAPES, 1)
    fit = kronecker_svd(a, SHAPES, rtol=1e-13)
    assert fit.tensor.rank == 1
    assert np.allclose(fit.tensor.to_array(), a, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("rtol", [0.3, 1e-3, 1e-12])
@pytest.mark.parametrize("shapes", [SHAPES, ((20, 30), (40, 25))])
def test_a_tolerance_is_met_by_the_fewest_terms(shapes, rtol, optimum):
    a = decaying(shapes)
    fit = kronecker_svd(a, shapes, rtol=rtol)
    assert relative_error(a, fit.tensor) <= rtol
    least = next(r for r in range(1, 8) if optimum(a, shapes, r) <= rtol)
    assert fit.tensor.rank == least


@pytest.mark.parametrize("kernel", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_large_matrices_are_searched_where_they_lie(monkeypatch, dtype, kernel, optimum):
    from tdecomp.kronecker import _rearranged

    monkeypatch.setattr(_rearranged, "_ENTRIES", 0 if kernel else math.inf)
    shapes = ((20, 30), (40, 25))
    a = (
        decaying(shapes, dtype, decay=0.7, terms=40)
        + 1e-3 * gaussian((800, 750), rng=5, dtype=dtype) / 800
    )
    a = a.astype(dtype)
    fit = kronecker_svd(a, shapes, rank=5, rng=0)
    assert fit.error <= 1.0001 * optimum(a, shapes, 5)
    check(fit, a, error=fit.error, eps=float(np.finfo(dtype).eps))


@pytest.mark.parametrize("order", ["C", "F"])
def test_both_products_read_every_order_of_memory(monkeypatch, order, rearranged):
    from tdecomp.kronecker import _rearranged
    from tdecomp.linalg._operand import operand

    monkeypatch.setattr(_rearranged, "_ENTRIES", 0)
    a = gaussian((42, 20))
    dense = operand(np.asarray(a, order=order), np.random.default_rng(0))
    view, made = _rearranged.rearranged(dense, SHAPES), rearranged(a, SHAPES)
    x, y = gaussian((28, 5), rng=1), gaussian((30, 5), rng=2)
    assert view._compiled(x)
    assert np.allclose(view.matmat(x), made @ x, rtol=1e-13, atol=1e-13)
    assert np.allclose(view.rmatmat(y), made.T @ y, rtol=1e-13, atol=1e-13)


def test_terms_of_the_transpose_are_transposed():
    a = decaying(SHAPES) + 1e-2 * gaussian((42, 20), rng=4)
    one, two = kronecker_svd(a, SHAPES, rank=3), kronecker_svd(a.T, ((5, 6), (4, 7)), rank=3)
    assert np.allclose(one.tensor.mT.to_array(), two.tensor.to_array(), atol=1e-13)


def test_trivial_factors_give_the_matrix_and_its_svd():
    a = gaussian((12, 8))
    assert kronecker_svd(a, ((1, 1), (12, 8)), rank=1).error <= 1e-14
    fit = kronecker_svd(a, ((12, 1), (1, 8)), rank=3)
    s = np.linalg.svd(a, compute_uv=False)
    assert fit.error == pytest.approx(np.linalg.norm(s[3:]) / np.linalg.norm(s))


@given(
    shapes=st.tuples(*[st.tuples(st.integers(1, 4), st.integers(1, 4))] * 2),
    scale=st.sampled_from([1e-300, 1.0, 1e300]),
    seed=st.integers(0, 5),
    zero=st.booleans(),
)
def test_every_shape_at_every_scale(shapes, scale, seed, zero, optimum):
    (m1, n1), (m2, n2) = shapes
    plain = 0.0 * np.ones((m1 * m2, n1 * n2)) if zero else gaussian((m1 * m2, n1 * n2), rng=seed)
    rank = min(2, m1 * n1, m2 * n2)
    fit = kronecker_svd(plain * scale, shapes, rank=rank)
    assert np.all(np.isfinite(fit.tensor.left))
    if zero:
        assert fit.error == 0.0
        return
    gap = np.linalg.norm(plain - fit.tensor.to_array() / scale) / np.linalg.norm(plain)
    assert gap == pytest.approx(optimum(plain, shapes, rank), abs=1e-14, rel=1e-6)


@pytest.fixture
def pieces(monkeypatch):
    """Rearranged matrices are never formed, and read in small pieces."""
    from tdecomp.kronecker import _columnwise, _operands, _rearranged, _search

    for room in (_columnwise, _operands, _rearranged):
        monkeypatch.setattr(room, "_BLOCK", 50)
    monkeypatch.setattr(_search, "_ENTRIES", 0)
    for kind in (_columnwise.Columnwise, _rearranged.Rearranged, _operands.Sparse):
        monkeypatch.setattr(kind, "to_array", lambda *_: pytest.fail("formed"))


SHORT = [((2, 3), (21, 10)), ((21, 10), (2, 3)), ((1, 5), (42, 4)), ((42, 4), (1, 5))]


@pytest.mark.parametrize("shapes", SHORT)
@pytest.mark.parametrize("rank", [1, 4])
@pytest.mark.when_compiled(rank=4)
@pytest.mark.usefixtures("pieces")
def test_all_triplets_of_a_short_side_come_from_pieces(xp, dtype, shapes, rank, optimum):
    m, n = (a * b for a, b in zip(*shapes, strict=True))
    a = gaussian((m, n), dtype=dtype)
    fit = kronecker_svd(xp.asarray(a), shapes, rank=rank)
    factors = [xp.to_numpy(f) for f in fit.tensor.factors]
    fit = fit._replace(tensor=type(fit.tensor)(*factors))
    check(fit, a, error=optimum(a, shapes, rank), eps=float(np.finfo(dtype).eps))


@pytest.mark.parametrize("kind", ["dense", "sparse", "operator"])
@pytest.mark.parametrize("shapes", [*SHORT, ((6, 5), (7, 6))])
@pytest.mark.usefixtures("pieces")
def test_every_kind_of_matrix_is_read_in_pieces(kind, shapes, optimum):
    import scipy.sparse as sp
    from scipy.sparse.linalg import aslinearoperator

    m, n = (a * b for a, b in zip(*shapes, strict=True))
    a = gaussian((m, n), dtype="complex128") * (gaussian((m, n), rng=1) > 0.5)
    given = {"dense": a, "sparse": sp.csr_array(a), "operator": aslinearoperator(a)}[kind]
    for rank in (1, 3):
        fit = kronecker_svd(given, shapes, rank=rank)
        check(fit, a, error=optimum(a, shapes, rank), eps=2e-16)
    fit = kronecker_svd(given, shapes, rtol=0.3)
    assert relative_error(a, fit.tensor) <= 0.3
    assert fit.tensor.rank == 1 or optimum(a, shapes, fit.tensor.rank - 1) > 0.3


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
@pytest.mark.usefixtures("pieces")
def test_graded_spectra_of_a_short_side_keep_their_digits(scale):
    u = np.linalg.qr(gaussian((6, 6)))[0]
    v = np.linalg.qr(gaussian((210, 6), rng=1))[0]
    s = 10.0 ** -(2.5 * np.arange(6.0))
    r = (u * s) @ v.T
    a = r.reshape(2, 3, 21, 10).transpose(0, 2, 1, 3).reshape(42, 30) * scale
    fit = kronecker_svd(a, ((2, 3), (21, 10)), rank=5)
    norms = np.linalg.norm(fit.tensor.left.reshape(5, -1) / scale**0.5, axis=1)
    norms *= np.linalg.norm(fit.tensor.right.reshape(5, -1) / scale**0.5, axis=1)
    assert np.allclose(norms, s[:5], rtol=1e-12, atol=1e-15)
    zero = kronecker_svd(0 * a, ((2, 3), (21, 10)), rank=2)
    assert zero.error == 0 == np.abs(zero.tensor.to_array()).max()


def test_sparse_matrices_stay_sparse(monkeypatch, optimum):
    import scipy.sparse as sp

    shapes = ((20, 20), (20, 30))
    a = sp.random(400, 600, 0.05, format="csr", rng=0)
    monkeypatch.setattr(type(a), "toarray", lambda *_: pytest.fail("filled in"))
    fit = kronecker_svd(a, shapes, rank=3)
    monkeypatch.undo()
    assert fit.error == pytest.approx(optimum(a.toarray(), shapes, 3), rel=1e-4)


def test_operators_are_multiplied_only(optimum):
    from scipy.sparse.linalg import aslinearoperator

    a = decaying(((12, 10), (14, 8)), terms=30, decay=0.8)
    fit = kronecker_svd(aslinearoperator(a), ((12, 10), (14, 8)), rank=4, rng=0)
    assert fit.error == pytest.approx(optimum(a, ((12, 10), (14, 8)), 4), rel=1e-4)
    assert relative_error(a, fit.tensor) == pytest.approx(fit.error, rel=1e-6)


@pytest.mark.parametrize("rank", [1, 4])
@pytest.mark.when_compiled(rank=4)
def test_three_factors_descend_from_singular_vectors(xp, rank, drawn):
    shapes = ((2, 3), (3, 2), (4, 4))
    _, a = drawn(shapes, rank)
    fit = kronecker_svd(xp.asarray(a), shapes, rank=rank, n_starts=4, rng=0)
    assert fit.tensor.shapes == shapes
    assert fit.error <= 1e-6
    gap = np.linalg.norm(xp.to_numpy(fit.tensor.to_array()) - a) / np.linalg.norm(a)
    assert gap == pytest.approx(fit.error, abs=1e-14)


@pytest.mark.parametrize("pad", [False, True])
def test_three_factors_of_a_sparse_matrix_are_those_of_the_matrix(monkeypatch, pad):
    import scipy.sparse as sp

    shapes = ((2, 3), (3, 2), (4, 4))
    sparse = sp.random(23 if pad else 24, 24, 0.2, format="csr", rng=0)
    expected = kronecker_svd(sparse.toarray(), shapes, rank=3, pad=pad)
    monkeypatch.setattr(type(sparse), "toarray", lambda *_: pytest.fail("filled in"))
    fit = kronecker_svd(sparse, shapes, rank=3, pad=pad)
    assert fit.error == pytest.approx(expected.error, rel=1e-6)
    with pytest.raises(TypeError, match="weights= are for arrays"):
        kronecker_svd(sparse, shapes, rank=3, weights=1.0)


def test_missing_entries_are_found(drawn):
    _, a = drawn(SHAPES, 2)
    seen = gaussian(a.shape, rng=3) > -0.5
    fit = kronecker_svd(
        np.where(seen, a, np.nan), SHAPES, rank=2, weights=seen, n_starts=3, tol=1e-12
    )
    assert np.linalg.norm(fit.tensor.to_array() - a) <= 1e-6 * np.linalg.norm(a)


def test_unit_weights_change_nothing(optimum):
    a = gaussian((42, 20))
    fit = kronecker_svd(a, SHAPES, rank=2, weights=1.0, tol=1e-12)
    assert fit.error == pytest.approx(optimum(a, SHAPES, 2), rel=1e-5)


def test_padding_is_zeros_at_the_ends():
    a = gaussian((41, 19))
    fit = kronecker_svd(a, SHAPES, rank=28, pad=True)
    assert fit.tensor.shape == (42, 20)
    whole = fit.tensor.to_array()
    assert np.allclose(whole[:41, :19], a)
    assert np.abs(whole[41:]).max() < 1e-13 > np.abs(whole[:, 19:]).max()


@pytest.mark.parametrize("kind", ["sparse", "operator"])
def test_other_kinds_are_padded_alike(kind):
    import scipy.sparse as sp
    from scipy.sparse.linalg import aslinearoperator

    a = gaussian((41, 19))
    given = {"sparse": sp.csr_array, "operator": aslinearoperator}[kind](1e200 * a)
    fit = kronecker_svd(given, SHAPES, rank=3, pad=True)
    expected = kronecker_svd(a, SHAPES, rank=3, pad=True)
    assert fit.error == pytest.approx(expected.error)
    assert np.allclose(fit.tensor.to_array() / 1e200, expected.tensor.to_array(), atol=1e-13)


def test_a_callback_sees_and_stops():
    seen = []
    a = decaying(((20, 30), (40, 25)), terms=50, decay=0.97)
    fit = kronecker_svd(a, ((20, 30), (40, 25)), rank=3, callback=lambda p: seen.append(p) or True)
    assert fit.status.name == "INTERRUPTED"
    assert len(seen) == 1

    def watch(progress):
        seen.append(progress.tensor)
        return len(seen) > 3

    fit = kronecker_svd(a[:24, :24], ((2, 3), (3, 2), (4, 4)), rank=2, callback=watch)
    assert seen[-1].shapes == ((2, 3), (3, 2), (4, 4))


@pytest.mark.parametrize(("options", "message"), [
    ({"shapes": ((8, 5), (7, 4)), "rank": 1}, r"make a matrix of shape \(56, 20\).*are \(7, 5\)"),
    ({"shapes": ((6, 5),), "rank": 1}, "two or more factors"),
    ({"shapes": ((6, 5), (7, 0)), "rank": 1}, "positive ints"),
    ({"shapes": 3, "rank": 1}, "shapes must hold"),
    ({}, "rank= .* or rtol="),
    ({"rank": 29}, "between 1 and 28"),
    ({"rank": 0}, "rank"),
    ({"rank": True}, "rank"),
    ({"rank": 2.5}, "rank"),
    ({"rank": 1, "left": 3.0}, "left must be a pair"),
    ({"rank": 1, "left": (np.ones(7), None)}, r"left\[0\] must have shape \(6,\)"),
    ({"rank": 1, "right": (None, np.ones((3, 3)))}, r"right\[1\] must have shape \(4,\)"),
    ({"rank": 1, "weights": np.ones((3, 3))}, "weights .* cannot be broadcast to a of"),
    ({"rank": 1, "weights": np.ones((42, 20), complex)}, "weights must be real"),
    ({"rank": 1, "n_starts": 0}, "n_starts"),
    ({"rank": 1, "weights": np.arange(20) > 3}, r"6 entries of factor 0 .*first at \(0, 0\)"),
    ({"rank": 1, "weights": -np.ones((42, 20))}, "weights"),
    ({"rtol": 0.1, "weights": np.ones((42, 20))}, "pass rank= alone"),
    ({"shapes": ((2, 5), (3, 2), (7, 2)), "rtol": 0.1}, "rank"),
    ({"rank": 1, "tol": -1.0}, "tol"),
    ({"rank": 1, "max_iter": 1}, "max_iter"),
])  # fmt: skip
def test_bad_options_are_named(options, message):
    options = {"shapes": SHAPES} | options
    with pytest.raises((ValueError, TypeError), match=message):
        kronecker_svd(gaussian((42, 20)), **options)


def test_bad_matrices_are_named():
    a = gaussian((42, 20))
    a[3, 4] = np.nan
    with pytest.raises(ValueError, match=r"\(3, 4\)|3, 4"):
        kronecker_svd(a, SHAPES, rank=1)
    with pytest.raises(ValueError, match=r"a has 1 non-finite .* a\[3, 4\]"):
        kronecker_svd(a, SHAPES, rank=1, weights=np.ones((42, 20)))
    for bad in (np.zeros((0, 20)), np.ones(42), np.ones((2, 42, 20))):
        with pytest.raises(ValueError, match=r"empty|dimensions"):
            kronecker_svd(bad, SHAPES, rank=1)
    with pytest.raises(ToleranceError):
        kronecker_svd(gaussian((42, 20)), SHAPES, rtol=1e-17)


def test_lists_ints_and_other_layouts_pass(optimum):
    a = np.arange(840).reshape(42, 20) % 17
    best = optimum(a.astype(float), SHAPES, 2)
    for form in (a, a.tolist(), np.asfortranarray(a), a.astype("float16"), a.astype(">f8")):
        assert kronecker_svd(form, SHAPES, rank=2).error == pytest.approx(best, rel=1e-4)
    assert kronecker_svd(a > 8, SHAPES, rank=2).tensor.dtype == np.float64


class TestTransformations:
    """Fixed rank under jit, vmap and gradients."""

    a = decaying(SHAPES) + 1e-2 * gaussian((42, 20), rng=4)

    def call(self, a):
        return kronecker_svd(a, SHAPES, rank=2).tensor.to_array()

    def test_jit_changes_nothing(self, xp):
        found = xp.to_numpy(xp.jit(self.call)(xp.asarray(self.a)))
        assert np.abs(found - self.call(self.a)).max() <= 1e-13

    def test_gradients_are_those_of_differences(self, xp):
        c, direction = gaussian((42, 20), rng=7), gaussian((42, 20), rng=8)

        def loss(a):
            k = kronecker_svd(a, SHAPES, rank=2).tensor
            return (k.to_array() * xp.asarray(c)).sum() + (k @ xp.asarray(c.T[:, 0] * 0 + 1)).sum()

        h = 1e-6
        steps = [
            kronecker_svd(self.a + sign * h * direction, SHAPES, rank=2).tensor.to_array()
            for sign in (1, -1)
        ]
        values = [np.sum(s * c) + np.sum(s) for s in steps]
        expected = (values[0] - values[1]) / (2 * h)
        if xp.name == "jax":
            import jax

            found = np.sum(np.asarray(xp.jit(jax.grad(loss))(xp.asarray(self.a))) * direction)
        elif xp.name == "torch":
            import torch

            x = torch.tensor(self.a, requires_grad=True)
            loss(x).backward()
            found = np.sum(x.grad.numpy() * direction)
        else:
            pytest.skip("no gradients")
        assert found == pytest.approx(expected, rel=1e-6)

    def test_what_would_be_ignored_is_refused(self, xp):
        if xp.name not in ("torch", "jax"):
            pytest.skip("nothing is traced")
        ones = xp.asarray(np.ones(6))
        for options in ({"weights": 1.0}, {"left": (ones, None)}, {"rtol": 0.1}, {"pad": True}):

            def call(a, options=options):
                return kronecker_svd(a, SHAPES, rank=2, **options).tensor.left

            a = xp.asarray(self.a)
            if xp.name == "torch":
                a.requires_grad_()
            with pytest.raises(ValueError, match="under tracing"):
                xp.jit(call)(a)

    def test_the_twin_agrees(self, xp):
        found = module._kronecker_svd(xp.asarray(self.a), SHAPES, 3, xp=xp.namespace)
        gap = (
            xp.to_numpy(found.to_array()) - kronecker_svd(self.a, SHAPES, rank=3).tensor.to_array()
        )
        assert np.abs(gap).max() <= 1e-13
