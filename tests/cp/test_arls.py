"""CP by sampled least squares: unbiased samples, true errors, one answer on every library."""

import itertools
import math

import array_api_compat.numpy as NUMPY
import numpy as np
import pytest

import tdecomp as td
from tdecomp.cp import CP, _arls_data, cp_arls, initialise
from tdecomp.cp._arls_data import DenseFibres, SparseFibres
from tdecomp.cp._arls_sampling import draw_rows, probabilities
from tdecomp.ops import COO, coo, khatri_rao, unfold


def low_rank(shape, rank, *, noise=0.0, seed=0, kind="f"):
    rng = np.random.default_rng(seed)
    factors = [rng.standard_normal((n, rank)) for n in shape]
    if kind == "c":
        factors = [f + 1j * rng.standard_normal(f.shape) for f in factors]
    x = CP(np.ones(rank), tuple(factors)).to_array()
    e = rng.standard_normal(shape)
    return x + noise * e * np.linalg.norm(x) / np.linalg.norm(e)


def sparse_low_rank(shape=(30, 40, 50), rank=3, seed=0):
    """Disjoint sparse components: a tensor of exact rank with few entries."""
    rng = np.random.default_rng(seed)
    factors = [np.zeros((n, rank)) for n in shape]
    for f, r in itertools.product(factors, range(rank)):
        rows = np.arange(r, f.shape[0], rank)[:4]
        f[rows, r] = rng.random(rows.size) + 0.5
    return CP(np.ones(rank), tuple(factors)).to_array()


def as_coo(x, xp=None):
    places = np.nonzero(x)
    if xp is None:
        return coo(np.stack(places), x[places], x.shape)
    return coo(xp.asarray(np.stack(places)), xp.asarray(x[places]), x.shape)


def skewed(rng, n, rank):
    """A factor in which few rows have most of the leverage."""
    return rng.standard_normal((n, rank)) * np.geomspace(1, 1e-3, n)[:, None]


@pytest.mark.parametrize("kind", ["f", "c"])
def test_probabilities_are_leverage_scores(xp, kind):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((20, 4)) + (1j * rng.standard_normal((20, 4)) if kind == "c" else 0)
    u = np.linalg.svd(a, full_matrices=False)[0]
    found = probabilities(xp.asarray(a), xp.namespace)
    assert np.abs(found - (np.abs(u) ** 2).sum(1) / 4).max() <= 1e-14


def test_dependent_columns_add_no_leverage():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((20, 2))
    wanted = probabilities(a, NUMPY)
    assert np.abs(probabilities(a[:, [0, 1, 0, 1]], NUMPY) - wanted).max() <= 1e-13
    assert probabilities(np.zeros((4, 2)), NUMPY).tolist() == [0.25] * 4
    wide = probabilities(rng.standard_normal((3, 5)), NUMPY)
    assert np.abs(wide - 1 / 3).max() <= 1e-14


@pytest.mark.parametrize("make", [skewed, lambda rng, n, rank: rng.standard_normal((n, rank))])
@pytest.mark.parametrize("samples", [20, 60])
def test_samples_are_unbiased(make, samples):
    rng = np.random.default_rng(0)
    factors = [make(rng, n, 2) for n in (9, 10, 11)]
    z, tables = khatri_rao(factors), [probabilities(f, NUMPY) for f in factors]
    grams = []
    for _ in range(4000):
        rows = draw_rows(tables, samples, rng)
        sampled = rows.weights[:, None] * math.prod(
            f[i] for f, i in zip(factors, rows.indices, strict=True)
        )
        grams.append(sampled.T @ sampled)
    mean, spread = np.mean(grams, axis=0), np.std(grams, axis=0) / math.sqrt(len(grams))
    # Five standard deviations, for each of three numbers.
    assert (np.abs(mean - z.T @ z) <= 5 * spread + 1e-13 * np.abs(z.T @ z).max()).all()


def test_likely_rows_are_included_for_certain_and_no_row_twice():
    rng = np.random.default_rng(0)
    tables = [probabilities(skewed(rng, n, 2), NUMPY) for n in (9, 10, 11)]
    chances = tables[0][:, None, None] * tables[1][:, None] * tables[2]
    samples = 50
    for _ in range(20):
        rows = draw_rows(tables, samples, rng)
        places = np.ravel_multi_index(rows.indices, chances.shape)
        assert np.unique(places).size == places.size
        sure = np.nonzero(chances.ravel() > 1 / samples)[0]
        assert 0 < sure.size < samples
        assert set(sure) <= set(places.tolist())
        assert (rows.weights[np.isin(places, sure)] == 1).all()
        others = places[~np.isin(places, sure)]
        assert (chances.ravel()[others] > 0).all()


def test_so_many_samples_as_rows_are_all_rows():
    rows = draw_rows([np.full(3, 1 / 3), np.full(4, 1 / 4)], 12, np.random.default_rng(0))
    assert sorted(zip(*rows.indices, strict=True)) == list(itertools.product(range(3), range(4)))
    assert (rows.weights == 1).all()
    assert draw_rows([], 5, np.random.default_rng(0)).weights.tolist() == [1.0]


def test_one_row_with_all_the_leverage_is_enough():
    table = np.array([1.0, 0.0, 0.0, 0.0])
    rows = draw_rows([table] * 3, 5, np.random.default_rng(0))
    assert [index.tolist() for index in rows.indices] == [[0]] * 3


def test_indices_beyond_64_bits_are_told_apart():
    table = np.full(1 << 16, 2.0**-16)
    rows = draw_rows([table] * 6, 1000, np.random.default_rng(0))
    assert rows.weights.size == 1000
    assert len(set(zip(*(i.tolist() for i in rows.indices), strict=True))) == 1000


def test_a_sampled_residual_is_near_the_least_one():
    rng = np.random.default_rng(0)
    factors = [skewed(rng, n, 4) for n in (60, 70)]
    z = khatri_rao(factors)
    b = z @ rng.standard_normal((4, 3)) + rng.standard_normal((z.shape[0], 3))
    least = np.linalg.norm(b - z @ np.linalg.lstsq(z, b, rcond=None)[0])
    tables, ratios = [probabilities(f, NUMPY) for f in factors], []
    for _ in range(50):
        rows = draw_rows(tables, math.ceil(20 * 16 * math.log(4)), rng)
        places = np.ravel_multi_index(rows.indices, (60, 70))
        w = rows.weights[:, None]
        found = np.linalg.lstsq(w * z[places], w * b[places], rcond=None)[0]
        ratios.append(np.linalg.norm(b - z @ found) / least)
    assert np.median(ratios) <= 1.02
    assert max(ratios) <= 1.1


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("form", ["array", "coordinates"])
@pytest.mark.when_compiled(mode=1)
def test_fibres_are_multiplied_where_they_lie(xp, mode, form, monkeypatch):
    rng = np.random.default_rng(0)
    x = np.where(rng.random((5, 6, 7)) < 0.4, rng.standard_normal((5, 6, 7)), 0)
    sizes = [n for k, n in enumerate(x.shape) if k != mode]
    indices = [rng.integers(0, n, 9) for n in sizes]
    factors = rng.standard_normal((9, 3))
    wanted = unfold(x, mode)[:, np.ravel_multi_index(indices, sizes)] @ factors
    kind, data = (DenseFibres, xp.asarray(x)) if form == "array" else (SparseFibres, as_coo(x, xp))
    for block, work in ((1 << 22, 1 << 20), (10, 0)):
        monkeypatch.setattr(_arls_data, "_BLOCK_ENTRIES", block)
        monkeypatch.setattr(_arls_data, "_KERNEL_WORK", work)
        fibres = kind(data, 8, rng, xp.namespace)
        found = xp.to_numpy(fibres.multiply(mode, indices, xp.asarray(factors)))
        assert np.abs(found - wanted).max() <= 1e-14


def test_fibres_without_entries_are_zero():
    x = coo([[0], [0], [0]], [1.0], (4, 4, 4))
    fibres = SparseFibres(x, 8, np.random.default_rng(0), NUMPY)
    assert not fibres.multiply(0, [np.array([1]), np.array([2])], np.ones((1, 2))).any()


@pytest.mark.parametrize("form", ["array", "coordinates"])
def test_the_estimate_is_unbiased(form):
    x = sparse_low_rank()
    cp = CP(np.ones(1), tuple(np.full((n, 1), 0.1) for n in x.shape))
    wanted = np.linalg.norm(x - cp.to_array()) ** 2
    rng, found = np.random.default_rng(0), []
    for _ in range(100):
        fibres = (
            DenseFibres(x, 4000, rng, NUMPY)
            if form == "array"
            else SparseFibres(as_coo(x), 100, rng, NUMPY)
        )
        found.append(fibres.estimate(cp))
    assert abs(np.mean(found) - wanted) <= 5 * np.std(found) / 10


def test_the_estimate_over_all_entries_is_exact():
    x = low_rank((4, 5, 6), 2, noise=0.1)
    fibres = DenseFibres(x, 1000, np.random.default_rng(0), NUMPY)
    cp = CP(np.ones(1), tuple(np.ones((n, 1)) for n in x.shape))
    assert fibres.estimate(cp) == pytest.approx(np.linalg.norm(x - 1) ** 2, rel=1e-13)


@pytest.mark.parametrize("kind", ["f", "c"])
def test_an_exact_tensor_is_recovered(kind):
    x = low_rank((40, 50, 60), 4, kind=kind)
    fit = cp_arls(x, rank=4, rng=0)
    assert fit.status is td.Status.CONVERGED
    assert np.linalg.norm(fit.tensor.to_array() - x) <= 1e-12 * np.linalg.norm(x)


@pytest.mark.parametrize("form", ["array", "coordinates"])
def test_the_error_is_true(form):
    x = low_rank((40, 50, 60), 4, noise=0.2) if form == "array" else sparse_low_rank()
    data = x if form == "array" else as_coo(x)
    fit = cp_arls(data, rank=2, samples=300, rng=0)
    true = np.linalg.norm(fit.tensor.to_array() - x) / np.linalg.norm(x)
    assert fit.error == pytest.approx(true, rel=1e-12)


def test_noise_costs_little_more_than_exact_sweeps():
    x = low_rank((50, 60, 70), 5, noise=0.1)
    exact = td.cp.cp_als(x, rank=5, rng=0, n_starts=3).error
    assert exact <= 0.1
    assert cp_arls(x, rank=5, rng=0).error <= 1.01 * exact


def test_sparse_and_dense_are_one_tensor():
    x = sparse_low_rank()
    fit = cp_arls(as_coo(x), rank=3, rng=1)
    assert fit.error <= 1e-7
    assert cp_arls(x, rank=3, rng=1).error <= 1e-7


@pytest.mark.parametrize("form", ["array", "coordinates"])
@pytest.mark.when_compiled(form="coordinates")
def test_the_same_seed_gives_the_same_answer(xp, form):
    x = low_rank((8, 9, 10), 2, noise=0.3) if form == "array" else sparse_low_rank((8, 9, 10))
    data, here = (x, xp.asarray(x)) if form == "array" else (as_coo(x), as_coo(x, xp))
    options = {"rank": 2, "samples": 20, "rng": 5, "max_iter": 1, "epoch": 1}
    wanted, fit = cp_arls(data, **options), cp_arls(here, **options)
    assert fit.error == pytest.approx(wanted.error, rel=1e-10)
    model = xp.to_numpy(fit.tensor.to_array())
    assert np.abs(model - wanted.tensor.to_array()).max() <= 1e-9 * np.abs(model).max()


def test_the_best_iterate_is_kept():
    x = low_rank((20, 21, 22), 3, noise=1.0)
    errors, shown = [], []

    def watch(progress):
        errors.append(progress.error)
        shown.append(progress.tensor)

    fit = cp_arls(x, rank=3, samples=12, rng=0, epoch=1, max_iter=8, tol=0, callback=watch)
    assert errors == sorted(errors, reverse=True)
    assert np.array_equal(fit.tensor.to_array(), shown[-1].to_array())


def test_the_callback_stops():
    x = low_rank((20, 21, 22), 3, noise=1.0)
    fit = cp_arls(x, rank=3, rng=0, callback=lambda progress: progress.iteration == 2)
    assert fit.status is td.Status.INTERRUPTED
    assert fit.n_iter == 2


def test_a_start_is_taken_and_left_alone():
    x = low_rank((20, 21, 22), 3)
    start = td.cp.cp_als(x, rank=3, rng=0, n_starts=3).tensor
    copies = [f.copy() for f in start.factors]
    fit = cp_arls(x, rank=3, init=start, rng=0, max_iter=1)
    assert fit.error <= 1e-12
    assert all(np.array_equal(a, b) for a, b in zip(start.factors, copies, strict=True))


@pytest.mark.parametrize("shape", [(7,), (1, 1), (1, 6, 1), (2,) * 12])
@pytest.mark.parametrize("form", ["array", "coordinates"])
def test_any_number_of_modes(shape, form):
    x = low_rank(shape, 1)
    fit = cp_arls(x if form == "array" else as_coo(x), rank=1, rng=0)
    assert fit.error <= 1e-6


@pytest.mark.parametrize("scale", [1e-300, 1e300])
@pytest.mark.parametrize("form", ["array", "coordinates"])
def test_any_scale(scale, form):
    x = low_rank((8, 9, 10), 2) * (scale / 100)
    fit = cp_arls(x if form == "array" else as_coo(x), rank=2, rng=0)
    assert fit.error <= 1e-6
    assert np.isfinite(fit.tensor.to_array()).all()


@pytest.mark.parametrize("form", ["array", "coordinates"])
def test_a_zero_tensor(form):
    x = np.zeros((3, 4, 5)) if form == "array" else coo([[1], [1], [1]], [0.0], (3, 4, 5))
    fit = cp_arls(x, rank=2, rng=0)
    assert fit.error == 0
    assert fit.status is td.Status.CONVERGED
    assert not fit.tensor.to_array().any()


def test_a_rank_above_what_the_data_has():
    x = low_rank((10, 11, 12), 1)
    fit = cp_arls(x, rank=4, rng=0)
    assert fit.error <= 1e-10
    assert all(np.isfinite(f).all() for f in fit.tensor.factors)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_dtypes_stay(dtype):
    x = low_rank((10, 11, 12), 2, kind="c" if "complex" in dtype else "f").astype(dtype)
    fit = cp_arls(x, rank=2, rng=0)
    assert fit.tensor.dtype == dtype
    assert fit.error <= 1e3 * np.finfo(dtype).eps


@pytest.mark.parametrize(
    "form",
    [
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: x.astype(">f8"),
        lambda x: x.astype("i4"),
        lambda x: x.astype("f2"),
        lambda x: x.tolist(),
    ],
)
def test_every_form_of_input(form):
    x = np.round(low_rank((6, 7, 8), 2) * 8)
    fit = cp_arls(form(x), rank=2, rng=0, max_iter=2)
    wanted = cp_arls(x, rank=2, rng=0, max_iter=2)
    assert fit.error == pytest.approx(wanted.error, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"rank": 0}, ValueError, "rank must be an int between 1 and 12, got 0"),
        ({"rank": 13}, ValueError, "rank must be an int between 1 and 12, got 13"),
        ({"rank": 2.5}, TypeError, "rank must be an int"),
        ({"rank": True}, TypeError, "rank must be an int"),
        ({"samples": 1}, ValueError, "samples must be an int >= 2, got 1"),
        ({"epoch": 0}, ValueError, "epoch must be an int >= 1"),
        ({"tol": -1}, ValueError, "tol must be a number >= 0"),
        ({"max_iter": -1}, ValueError, "max_iter must be an int >= 0"),
        ({"callback": 3}, TypeError, "callback must be callable"),
        ({"init": "none"}, ValueError, "init must be one of"),
        ({"rng": "x"}, TypeError, "rng must be an int"),
    ],
)
def test_options_out_of_range_are_named(options, error, match):
    with pytest.raises(error, match=match):
        cp_arls(np.ones((3, 4, 5)), **{"rank": 2, **options})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_none_is_named(xp, bad):
    x = np.ones((3, 4, 5))
    x[1, 2, 3] = bad
    with pytest.raises(ValueError, match=r"first at x\[1, 2, 3\]"):
        cp_arls(xp.asarray(x), rank=2)


def test_tracing_is_refused():
    jax = pytest.importorskip("jax")
    fit = jax.jit(lambda x: cp_arls(x, rank=1).tensor.weights)
    with pytest.raises(ValueError, match="use cp_als"):
        fit(jax.numpy.ones((3, 4, 5)))


def test_gradients_are_refused():
    torch = pytest.importorskip("torch")
    x = torch.ones((3, 4, 5), requires_grad=True)
    with pytest.raises(ValueError, match="use cp_als"):
        cp_arls(x, rank=1)


def test_places_beyond_64_bits_are_refused():
    x = coo(np.zeros((5, 1), int), [1.0], (10**5,) * 5)
    with pytest.raises(ValueError, match="do not fit in 64 bits; use cp_als"):
        cp_arls(x, rank=1)


def test_coordinates_in_any_order():
    x = sparse_low_rank()
    built = as_coo(x)
    fit = cp_arls(COO(built.indices[:, ::-1], built.values[::-1], built.shape), rank=3, rng=1)
    assert fit.error == pytest.approx(cp_arls(built, rank=3, rng=1).error, abs=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e300])
def test_a_start_need_not_know_the_size_of_the_data(scale):
    x = low_rank((6, 7, 8), 2)
    start = initialise(x, rank=2, init="random", rng=1)
    fit = cp_arls(x, rank=2, init=start._replace(weights=0 * start.weights + scale), rng=0)
    assert fit.error <= 1e-6


def test_a_sparse_tensor_without_entries_is_zero():
    fit = cp_arls(coo(np.zeros((3, 0), int), np.zeros(0), (3, 4, 5)), rank=2, rng=0)
    assert fit.error == 0.0
    assert not np.any(fit.tensor.to_array())
