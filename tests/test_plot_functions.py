"""Pictures of functions: they show values and coefficients, with labels, on every library."""

import subprocess
import sys

import numpy as np
import pytest

from tdecomp.chebyshev import ChebyshevTucker, evaluate
from tdecomp.testing import gaussian
from tdecomp.tt import tt_svd

pytest.importorskip("matplotlib")

from tdecomp.plot import coefficient_decay, isosurface, slices
from tdecomp.plot._functions import as_drawn
from tdecomp.plot._isosurface import _surface

BOX = np.array([[-1.0, 2.0], [0.5, 3.0], [-4.0, -1.0], [0.0, 1.0]])
LABELS = ["time / s", "depth / mm", "z"]


def function(d=3, xp=np, dtype="float64"):
    core = gaussian((2, 3, 2, 2)[:d], dtype=dtype)
    sizes = [(4, 2), (6, 3), (5, 2), (3, 2)][:d]
    factors = tuple(xp.asarray(gaussian(s, rng=k, dtype=dtype)) for k, s in enumerate(sizes))
    return ChebyshevTucker(xp.asarray(core), factors, xp.asarray(BOX[:d].astype(core.real.dtype)))


def quadric():
    """The function x^2 + y^2 + z^2 of the unit box."""
    one, square = np.array([1.0, 0, 0]), np.array([0.5, 0, 0.5])
    core = np.zeros((2, 2, 2))
    core[1, 0, 0] = core[0, 1, 0] = core[0, 0, 1] = 1
    factor = np.stack([one, square], axis=1)
    return ChebyshevTucker(core, (factor,) * 3, np.array([[-1.0, 1.0]] * 3))


def words(figure):
    texts = [text for axes in figure.axes for text in axes.get_legend().get_texts()]
    return [text.get_text() for text in texts]


def fits_the_page(figure):
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return 0 <= box.x0 and box.x1 <= width and 0 <= box.y0 and box.y1 <= height


# Coefficients.


def test_marks_are_norms_of_coefficients_of_a_degree():
    f = function()
    c = np.einsum("abc,ia,jb,kc->ijk", f.core, *f.factors)
    for k, line in enumerate(coefficient_decay(f).axes[0].lines):
        degrees, heights = line.get_xydata().T
        sizes = np.linalg.norm(np.moveaxis(c, k, 0).reshape(c.shape[k], -1), axis=1)
        np.testing.assert_array_equal(degrees, np.arange(c.shape[k]))
        np.testing.assert_allclose(heights, sizes / np.linalg.norm(c), rtol=1e-12)


@pytest.mark.parametrize("d", [1, 3, 4])
def test_decay_names_every_variable_on_the_page(d):
    figure = coefficient_decay(function(d))
    assert f"variable {d - 1}\n{function(d).shape[-1]} coefficients, rank 2" in words(figure)
    assert fits_the_page(figure)
    assert fits_the_page(coefficient_decay(function(), labels=LABELS))


def test_decay_of_nothing_is_drawn():
    f = function()
    figure = coefficient_decay(f._replace(core=0 * f.core))
    figure.draw_without_rendering()


# Slices.


def test_slices_show_the_values_on_planes():
    f, at = function(), np.array([0.3, 1.1, -2.0])
    figure = slices(f, at=at, points=9, labels=LABELS)
    assert len(figure.axes) == 4
    for axes, (k, j) in zip(figure.axes, [(0, 1), (0, 2), (1, 2)], strict=False):
        assert axes.get_xlim() == pytest.approx(BOX[k])
        assert axes.get_ylim() == pytest.approx(BOX[j])
        (other,) = {0, 1, 2} - {k, j}
        assert axes._left_title.get_text() == f"{LABELS[other]} = {at[other]:.3g}".replace(
            "-", "\N{MINUS SIGN}"
        )
        filled = axes.collections[0]
        low, high = filled.levels[[0, -1]]
        x = np.tile(at, (100, 1))
        x[:, [k, j]] = np.random.default_rng(0).uniform(BOX[[k, j], 0], BOX[[k, j], 1], (100, 2))
        values = evaluate(f, x)
        assert low <= values.min() <= values.max() <= high


def test_planes_can_be_chosen_and_turned():
    figure = slices(function(4), planes=[(np.int64(2), 1)])
    assert len(figure.axes) == 2
    assert figure.axes[0].get_xlabel() == "variable 2"
    assert figure.axes[0].get_xlim() == pytest.approx(BOX[2])
    turned, upright = (slices(function(2), planes=[p], points=5).axes[0] for p in [(1, 0), (0, 1)])
    sizes = [
        sum(path.vertices.shape[0] for path in axes.collections[0].get_paths())
        for axes in (turned, upright)
    ]
    assert sizes[0] > 0
    assert turned.get_xlim() == upright.get_ylim()


def test_points_are_those_of_the_precision_of_the_box():
    f = function(dtype="float32")
    f = f._replace(domain=np.array([[0.1, 0.7]] * 3, np.float32))
    assert float(f.domain[0, 0]) > 0.1
    assert slices(f, at=[0.1, 0.7, 0.3], points=3).axes[0].get_xlim()[0] == f.domain[0, 0]


def test_colours_tell_signs_where_there_are_two():
    both = slices(function()).axes[0].collections[0]
    assert both.norm.vmin == -both.norm.vmax
    one = slices(quadric()).axes[0].collections[0]
    assert one.norm.vmin >= 0
    assert one.cmap.name == "viridis"
    flat = quadric()
    slices(flat._replace(core=0 * flat.core)).draw_without_rendering()


@pytest.mark.parametrize("d", [2, 3, 4])
def test_all_text_of_slices_is_on_the_page(d):
    assert fits_the_page(slices(function(d), points=9))


# Surfaces.


def test_a_surface_is_where_the_function_has_the_value():
    pytest.importorskip("skimage")
    corners, triangles = _surface(as_drawn(quadric(), None), 0.49, 41)
    assert len(triangles) > 1000
    assert len(isosurface(quadric(), 0.49).axes[0].collections) == 1
    assert np.abs(np.linalg.norm(corners, axis=1) - 0.7).max() <= 1e-3


def test_a_surface_has_labels_on_the_page():
    pytest.importorskip("skimage")
    figure = isosurface(function(), 0.0, points=9, labels=LABELS)
    axes = figure.axes[0]
    assert [axes.get_xlabel(), axes.get_ylabel(), axes.get_zlabel()] == LABELS
    assert axes.get_zlim() == pytest.approx(BOX[2])
    assert fits_the_page(figure)


# All of them.


def test_functions_of_every_library_can_be_drawn(xp):
    f, known = function(3, xp, "float32"), function(3, dtype="float32")
    sizes, expected = (coefficient_decay(g).axes[0].lines[0].get_ydata() for g in (f, known))
    np.testing.assert_allclose(sizes, expected, rtol=1e-4)
    shown, wanted = (
        slices(g, planes=[(0, 2)], points=5).axes[0].collections[0].levels for g in (f, known)
    )
    np.testing.assert_array_equal(shown, wanted)


def test_magnitudes_of_complex_functions_are_drawn():
    pytest.importorskip("skimage")
    f = function(dtype="complex128")
    assert slices(f).axes[0].collections[0].norm.vmin >= 0
    c = np.einsum("abc,ia,jb,kc->ijk", f.core, *f.factors)
    sizes = np.linalg.norm(c.reshape(c.shape[0], -1), axis=1) / np.linalg.norm(c)
    heights = coefficient_decay(f).axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(heights, sizes, rtol=1e-12)
    isosurface(f, float(np.mean(np.abs(f.to_array()))), points=5)


def test_trains_are_drawn_on_planes():
    f = function()
    train = f._replace(core=tt_svd(f.core, rtol=1e-12))
    assert len(slices(train, points=5).axes) == 4
    with pytest.raises(TypeError, match="must be an array here"):
        coefficient_decay(train)


def test_pictures_of_functions_are_drawn_into_a_given_figure():
    pytest.importorskip("skimage")
    from matplotlib.figure import Figure

    thirds = Figure(figsize=(16, 5)).subfigures(1, 3)
    assert coefficient_decay(function(), figure=thirds[0]) is thirds[0]
    assert slices(function(), points=5, figure=thirds[1]) is thirds[1]
    assert isosurface(quadric(), 0.5, points=5, figure=thirds[2]) is thirds[2]
    thirds[0].figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: coefficient_decay(f.core), TypeError, "f must be a ChebyshevTucker"),
        (lambda f: coefficient_decay(f, labels=["a"]), ValueError, "one entry for each of 3"),
        (lambda _: slices(function(1)), ValueError, "at least 2 variables, got 1"),
        (lambda f: slices(f, planes=[(0, 3)]), ValueError, r"variables from 0 to 2, got \(0, 3\)"),
        (lambda f: slices(f, planes=[(1, 1)]), ValueError, "different variables"),
        (lambda f: slices(f, planes=[(True, 0)]), ValueError, r"got \(True, 0\)"),
        (lambda f: slices(f, planes=(0, 1)), ValueError, "different variables .*, got 0"),
        (lambda f: slices(f, planes=[]), ValueError, "to draw"),
        (lambda f: slices(f, planes=5), ValueError, "to draw, got 5"),
        (lambda f: slices(f, labels=5), TypeError, "labels must be a sequence"),
        (lambda f: slices(f, at=[0, 1, 1j]), TypeError, "at must be real"),
        (lambda f: slices(f, at="abc"), TypeError, "at must be an array"),
        (lambda f: slices(f, at=[0, 1]), ValueError, "at must have 3 coordinates"),
        (lambda f: slices(f, at=[0, 9, -2]), ValueError, r"at\[1\] is 9.0, outside of the domain"),
        (lambda f: slices(f, points=1), ValueError, "points"),
        (lambda f: isosurface(f, 1e9), ValueError, "between the least and the largest value"),
        (lambda f: isosurface(f, np.nan), ValueError, "got nan"),
        (lambda f: isosurface(f, "x"), TypeError, "level"),
        (lambda _: isosurface(function(2), 0.0), ValueError, "three variables, got 2"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, error, message):
    pytest.importorskip("skimage")
    with pytest.raises(error, match=message):
        call(function())


def test_pictures_of_functions_touch_no_global_state_and_miss_what_is_missing():
    code = (
        "import sys, numpy as np, tdecomp.plot as p\n"
        "from tdecomp.chebyshev import ChebyshevTucker\n"
        "x = np.array([[0.0], [1.0]])\n"
        "f = ChebyshevTucker(np.ones((1,) * 3), (x,) * 3, np.array([[-1.0, 1.0]] * 3))\n"
        "p.coefficient_decay(f); p.slices(f, points=3); print('skimage' in sys.modules)\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
        "sys.modules['skimage.measure'] = None\n"
        "try: p.isosurface(f, 0.1)\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[:2] == ["False", "False"]
    assert "pip install 'tdecomp-array[plot]'" in done.stdout
