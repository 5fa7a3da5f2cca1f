"""Pictures of tensors: they show the numbers of the theory, on every kind of input."""

import subprocess
import sys

import numpy as np
import pytest

from tdecomp import cp, tucker

pytest.importorskip("matplotlib")

from tdecomp.plot import components, core, mode_spectra

EPS = np.finfo(np.float64).eps
WAVELENGTH = np.linspace(400.0, 700.0, 7)
SITES = ["a first site", "another", "the third", "b"]
DOSES = 10.0 / 3.0 ** np.arange(6)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def random_cp(rng, shape=(7, 4, 6), rank=3):
    return cp.CP(rng.random(rank) + 1.0, tuple(rng.standard_normal((n, rank)) for n in shape))


def random_tucker(rng, shape=(7, 6, 5), ranks=(3, 2, 4)):
    factors = tuple(rng.standard_normal((n, r)) for n, r in zip(shape, ranks, strict=True))
    return tucker.Tucker(rng.standard_normal(ranks), factors)


def orthonormal(rng, shape=(7, 6, 5), ranks=(3, 2, 4)):
    return tucker.orthogonalise(random_tucker(rng, shape, ranks))


def curve(axes):
    return axes.lines[-1].get_xydata().T


def texts(figure):
    figure.draw_without_rendering()
    return [
        text
        for axes in figure.axes
        for text in (*axes.texts, axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels())
        if text.get_text() and text.get_visible()
    ]


def words(figure):
    return [text.get_text() for text in texts(figure)]


def fits_the_page(figure):
    page, renderer = figure.bbox, figure._get_renderer()
    boxes = [text.get_window_extent(renderer) for text in texts(figure)]
    return all(
        page.x0 <= b.x0 and b.x1 <= page.x1 and page.y0 <= b.y0 and b.y1 <= page.y1 for b in boxes
    )


# Components.


def test_each_component_has_a_row_and_each_mode_a_column(rng):
    figure = components(random_cp(rng))
    assert len(figure.axes) == 9
    lefts = {round(axes.get_position().x0, 9) for axes in figure.axes}
    heights = [axes.get_position().y0 for axes in figure.axes]
    assert len(lefts) == 3
    assert heights == sorted(heights, reverse=True)


def test_curves_are_columns_in_normal_form(rng):
    x = random_cp(rng)
    drawn = components(x).axes
    for k, factor in enumerate(cp.normalise(x).factors):
        for r in range(3):
            np.testing.assert_array_equal(curve(drawn[3 * r + k])[1], factor[:, r])


def test_components_stand_by_descending_weight(rng):
    x = random_cp(rng)._replace(weights=np.array([1.0, 300.0, 20.0]))
    weights = cp.normalise(x).weights
    written = [word for word in words(components(x)) if word.startswith("weight")]
    assert written == [f"weight {weight:.3g}" for weight in weights]


def test_curves_run_along_ascending_coordinates(rng):
    x = random_cp(rng)
    order = rng.permutation(7)
    axes = components(x, coordinates=[WAVELENGTH[order], None, None]).axes[0]
    at, heights = curve(axes)
    np.testing.assert_array_equal(at, WAVELENGTH)
    np.testing.assert_array_equal(heights, cp.normalise(x).factors[0][np.argsort(order), 0])


def test_words_make_bars_as_high_as_the_entries(rng):
    x = random_cp(rng)
    figure = components(x, coordinates=[None, SITES, None])
    bars = [bar.get_height() for bar in figure.axes[1].patches]
    np.testing.assert_array_equal(bars, cp.normalise(x).factors[1][:, 0])
    assert [word for word in words(figure) if word in SITES] == SITES


@pytest.mark.parametrize(
    ("at", "scale"),
    [
        (DOSES, "log"),
        (WAVELENGTH[:6], "linear"),
        ([0.5, 1, 2, 4, 8, 16], "log"),
        ([0, 1, 2, 4, 8, 16], "linear"),
        ([3.0] * 6, "linear"),
    ],
)
def test_dilutions_get_a_logarithmic_axis(rng, at, scale):
    figure = components(random_cp(rng), coordinates=[None, None, at])
    assert figure.axes[2].get_xscale() == figure.axes[8].get_xscale() == scale
    figure.draw_without_rendering()


def test_panels_of_a_mode_compare(rng):
    drawn = components(random_cp(rng)).axes
    for k in range(3):
        limits = {axes.get_ylim() + axes.get_xlim() for axes in drawn[k::3]}
        assert len(limits) == 1
        low, high = drawn[k].get_ylim()
        tops = [curve(axes)[1] for axes in drawn[k::3]]
        assert low <= np.min(tops) < np.max(tops) <= high


def test_names_and_labels_are_written(rng):
    names, labels = ["tyrosine", "tryptophan", "rest"], ["time / s", "site", "dose / nM"]
    figure = components(random_cp(rng), names=names, labels=labels)
    assert set(names + labels) <= set(words(figure))


@pytest.mark.parametrize("names", [None, ["a very long name of a component", "b", "c"]])
def test_all_text_of_components_is_on_the_page(rng, names):
    figure = components(
        random_cp(rng, (7, 4, 13)),
        coordinates=[WAVELENGTH, SITES, [f"ligand number {i}" for i in range(13)]],
        labels=["wavelength / nm", "site", "ligand"],
        names=names,
    )
    assert fits_the_page(figure)


def test_short_names_of_bars_stay_upright_and_many_are_turned(rng):
    x = random_cp(rng, (4, 13, 60), 2)
    where = [list("abcd"), [f"ligand {i}" for i in range(13)], [f"c{i}" for i in range(60)]]
    drawn = components(x, coordinates=where).axes[-3:]
    turned = [axes.get_xticklabels()[0].get_rotation() for axes in drawn]
    assert turned == [0, 45, 90]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"coordinates": [None]}, ValueError, r"coordinates must have one entry for each of 3"),
        ({"coordinates": [None, [1, 2], None]}, ValueError, r"coordinates\[1\] must have 4"),
        ({"coordinates": [None, ["a", 1, 2, 3], None]}, TypeError, r"coordinates\[1\] must be"),
        ({"coordinates": [None, [1, 2, 3, np.nan], None]}, ValueError, r"coordinates\[1\] must"),
        ({"coordinates": [None, np.ones((4, 2)), None]}, ValueError, r"coordinates\[1\] must"),
        ({"labels": ["a"]}, ValueError, "labels must have one entry for each of 3"),
        ({"names": ["a"]}, ValueError, "names must have 3 entries"),
    ],
)
def test_what_does_not_fit_the_components_is_refused(rng, options, error, match):
    with pytest.raises(error, match=match):
        components(random_cp(rng), **options)


@pytest.mark.parametrize("value", [None, 1.0, np.ones(3), ((), ())])
def test_what_is_no_decomposition_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        components(value)


def test_infinite_factors_are_refused(rng):
    x = random_cp(rng)
    with pytest.raises(ValueError, match="factors"):
        components(x._replace(factors=(x.factors[0] * np.nan, *x.factors[1:])))


def test_magnitudes_of_complex_columns_are_drawn(rng):
    x = random_cp(rng)
    x = x._replace(factors=tuple(factor * (1 + 2j) for factor in x.factors))
    heights = curve(components(x).axes[0])[1]
    np.testing.assert_allclose(heights, abs(cp.normalise(x).factors[0][:, 0]), rtol=4 * EPS)


@pytest.mark.parametrize(
    "x",
    [
        cp.CP(np.zeros(2), (np.zeros((3, 2)), np.zeros((4, 2)))),
        cp.CP(np.ones(1), (np.ones((1, 1)),) * 3),
        cp.CP(np.ones(2), (np.ones((2, 2)),) * 12),
        cp.CP(np.ones(2), (np.eye(5)[:, :2],)),
        cp.CP(np.ones(1), (np.full((3, 1), 1e300), np.full((3, 1), 1e-300))),
        cp.CP(np.ones(9), (np.ones((50, 9)), np.ones((3, 9)))),
        (None, [[[1.0], [2.0]], [[3.0]]]),
    ],
    ids=["zero", "singletons", "12 modes", "1 mode", "scales", "rank 9", "lists"],
)
def test_every_decomposition_can_be_drawn(x):
    figure = components(x)
    figure.draw_without_rendering()
    assert fits_the_page(figure)


def test_components_of_every_library_can_be_drawn(xp, rng):
    x = random_cp(rng)
    there = cp.CP(xp.asarray(x.weights), tuple(xp.asarray(factor) for factor in x.factors))
    for one, other in zip(components(x).axes, components(there).axes, strict=True):
        np.testing.assert_allclose(curve(one), curve(other), atol=8 * EPS)


# Spectra of the unfoldings.


def unfoldings(x):
    return [np.moveaxis(x, k, 0).reshape(x.shape[k], -1) for k in range(x.ndim)]


@pytest.mark.parametrize("dtype", [float, complex])
def test_curves_are_singular_values_of_unfoldings(rng, dtype):
    x = rng.standard_normal((5, 6, 7)).astype(dtype)
    x = x + 1j * rng.standard_normal(x.shape) if dtype is complex else x
    left, right = mode_spectra(x).axes
    for k, matrix in enumerate(unfoldings(x)):
        s = np.linalg.svd(matrix, compute_uv=False) / np.linalg.norm(x)
        tails = np.sqrt(np.cumsum(s[::-1] ** 2)[::-1])
        np.testing.assert_allclose(left.lines[k].get_ydata(), s, atol=8 * EPS)
        np.testing.assert_array_equal(left.lines[k].get_xdata(), np.arange(1, s.size + 1))
        np.testing.assert_allclose(right.lines[k].get_ydata()[:-1], tails, atol=8 * EPS)
        assert np.isnan(right.lines[k].get_ydata()[-1])  # zero has no logarithm


def test_small_singular_values_keep_their_digits(rng):
    u, _ = np.linalg.qr(rng.standard_normal((40, 8)))
    v, _ = np.linalg.qr(rng.standard_normal((60, 8)))
    s = 10.0 ** -np.arange(0, 12, 1.5)
    x = ((u * s) @ v.T).reshape(40, 6, 10)
    found = mode_spectra(x).axes[0].lines[0].get_ydata()[:8]
    # An unfolding of size n is perturbed by a few eps: absolutely, not the root of it.
    np.testing.assert_allclose(found, s / np.linalg.norm(s), atol=20 * EPS)


def test_marks_sit_on_the_tails_and_are_written(rng):
    x, ranks = rng.standard_normal((5, 6, 7)), (2, 3, 4)
    _, right = mode_spectra(x, ranks=ranks, labels=["row", "column", "band"]).axes
    marks = [line.get_xydata()[0] for line in right.lines[3:]]
    expected = [right.lines[k].get_ydata()[r] for k, r in enumerate(ranks)]
    np.testing.assert_array_equal(marks, np.stack([ranks, expected], 1))
    written = [text.get_text() for text in right.get_legend().get_texts()]
    assert written[0] == f"row\nrank 2 of 5: {expected[0]:.2g}"


def test_the_bounds_hold_for_a_decomposition_of_these_ranks(rng):
    x, ranks = rng.standard_normal((5, 6, 7)), (2, 3, 4)
    note = next(word for word in words(mode_spectra(x, ranks=ranks)) if "together" in word)
    low, high = (float(word) for word in note.split("between ")[1].split(" and "))
    error = np.linalg.norm(x - tucker.sthosvd(x, rank=ranks).to_array()) / np.linalg.norm(x)
    assert 0.99 * low <= error <= 1.01 * high  # as written, to three digits


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_the_scale_of_a_tensor_changes_nothing(rng, scale):
    x = rng.standard_normal((5, 6, 7))
    for one, other in zip(mode_spectra(x).axes, mode_spectra(scale * x).axes, strict=True):
        for a, b in zip(one.lines, other.lines, strict=True):
            np.testing.assert_allclose(a.get_ydata(), b.get_ydata(), atol=8 * EPS)


@pytest.mark.parametrize(
    "x",
    [np.zeros((3, 4)), np.ones((1, 1, 1)), np.arange(5), np.ones((2,) * 12), [[1, 2], [3, 4]],
     np.ones((3, 4), bool), np.ones((3, 4), np.float16), np.ones((3, 4), ">f8", order="F")],
    ids=["zero", "singletons", "1 mode", "12 modes", "lists", "bool", "half", "big-endian"],
)  # fmt: skip
def test_spectra_of_every_tensor_can_be_drawn(x):
    figure = mode_spectra(x, ranks=[1] * np.ndim(x))
    figure.draw_without_rendering()
    assert fits_the_page(figure)


@pytest.mark.parametrize(
    ("x", "options", "match"),
    [
        (np.ones((3, 0)), {}, "x is empty"),
        (np.float64(1.0), {}, "x must have"),
        (np.array([1.0, np.inf]), {}, "x"),
        (np.ones((3, 4)), {"ranks": (1,)}, "ranks must have one entry for each of 2"),
        (np.ones((3, 4)), {"ranks": (1, 4)}, r"ranks\[1\]"),
        (np.ones((3, 4)), {"ranks": (0, 1)}, r"ranks\[0\]"),
        (np.ones((3, 4)), {"labels": ["a"]}, "labels must have one entry for each of 2"),
    ],
)
def test_what_has_no_mode_spectra_is_refused(x, options, match):
    with pytest.raises(ValueError, match=match):
        mode_spectra(x, **options)


def test_spectra_of_every_library_can_be_drawn(xp, rng):
    x = rng.standard_normal((5, 6, 7))
    here, there = mode_spectra(x).axes[0].lines, mode_spectra(xp.asarray(x)).axes[0].lines
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(one.get_ydata(), other.get_ydata(), atol=8 * EPS)


def test_spectra_of_a_tucker_tensor_are_those_of_its_array(rng):
    x = random_tucker(rng)
    for one, other in zip(
        mode_spectra(x).axes[0].lines, mode_spectra(x.to_array()).axes[0].lines, strict=True
    ):
        found = one.get_ydata()
        np.testing.assert_allclose(found, other.get_ydata()[: found.size], atol=50 * EPS)


# The core.


def panels(figure, modes):
    found = iter(figure.axes)
    return {(k, j): next(found) for k in range(modes) for j in range(k + 1)}


def heights(axes):
    return [bar.get_height() for bar in axes.patches]


def test_bars_and_tiles_are_shares_of_the_energy(rng):
    x = orthonormal(rng)
    shares = x.core**2 / np.sum(x.core**2)
    drawn = panels(core(x), 3)
    for k in range(3):
        others = tuple(j for j in range(3) if j != k)
        np.testing.assert_allclose(heights(drawn[k, k]), shares.sum(others), rtol=20 * EPS)
    tiles = drawn[2, 0].images[0].get_array()
    np.testing.assert_allclose(tiles, shares.sum(1).T, rtol=20 * EPS)


def test_shares_are_those_of_the_tensor_in_orthonormal_bases(rng):
    x = random_tucker(rng)
    drawn = panels(core(x), 3)
    x = tucker.orthogonalise(x)
    shares = np.sum(x.core**2, axis=(1, 2)) / np.linalg.norm(x.to_array()) ** 2
    np.testing.assert_allclose(heights(drawn[0, 0]), shares, rtol=50 * EPS)


@pytest.mark.parametrize(
    "x",
    [
        (np.zeros((2, 3)), (np.ones((4, 2)), None)),
        (np.ones((1, 1, 1)), (None, None, None)),
        (np.arange(5.0), (None,)),
        (np.ones((1,) * 12), (np.ones((2, 1)),) * 12),
        (np.full((2, 2), 1e300), (None, None)),
        (np.full((2, 2), 1e-300), (None, None)),
        (np.full((2, 2), 1 + 1j), (None, np.eye(2))),
    ],
    ids=["zero", "singletons", "1 mode", "12 modes", "huge", "tiny", "complex"],
)
def test_every_core_can_be_drawn(x):
    figure = core(x)
    figure.draw_without_rendering()
    drawn = panels(figure, len(x[1]))
    assert np.sum(heights(drawn[0, 0])) == pytest.approx(float(np.any(x[0])))


def test_labels_of_a_core_stand_at_its_edges(rng):
    labels = ["row", "column", "band"]
    drawn = panels(core(orthonormal(rng), labels=labels), 3)
    assert [drawn[2, k].get_xlabel() for k in range(3)] == labels
    assert [drawn[k, 0].get_ylabel() for k in (1, 2)] == labels[1:]
    assert fits_the_page(drawn[0, 0].figure)


@pytest.mark.parametrize("value", [None, np.ones((2, 2)), (np.ones((2, 2)), ())])
def test_what_is_no_tucker_tensor_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        core(value)


def test_labels_that_do_not_fit_a_core_are_refused(rng):
    with pytest.raises(ValueError, match="labels must have one entry for each of 3"):
        core(random_tucker(rng), labels=["a"])


def test_cores_of_every_library_can_be_drawn(xp, rng):
    x = orthonormal(rng)
    there = tucker.Tucker(xp.asarray(x.core), tuple(xp.asarray(factor) for factor in x.factors))
    np.testing.assert_allclose(heights(core(x).axes[0]), heights(core(there).axes[0]), rtol=1e-12)


# All of them.


def test_pictures_of_tensors_are_drawn_into_a_given_figure(rng):
    from matplotlib.figure import Figure

    halves = Figure(figsize=(16, 5)).subfigures(1, 3)
    assert components(random_cp(rng), figure=halves[0]) is halves[0]
    assert mode_spectra(np.ones((3, 4)), figure=halves[1]) is halves[1]
    assert core(random_tucker(rng), figure=halves[2]) is halves[2]
    halves[0].figure.draw_without_rendering()


def test_pictures_of_tensors_touch_no_global_state():
    code = (
        "import sys, numpy as np, tdecomp.plot as p; e = np.eye(2);"
        "p.components((None, [e, e])); p.mode_spectra(e); p.core((e, (None, None)));"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
