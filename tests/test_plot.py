"""Pictures: they say what they were given, and touch nothing but themselves."""

import subprocess
import sys

import numpy as np
import pytest

import tdecomp as td

pytest.importorskip("matplotlib")

from tdecomp.plot import spectra, spectrum

S = 0.8 ** np.arange(40)
TENSORS = {
    "encoder.layer.0.query.weight": 12,
    "encoder.layer.0.value.weight": None,
    "encoder.layer.1.query.weight": 3,
    "encoder.layer.1.value.weight": 7,
    "pooler.weight": 1,
}
VALUES = {name: S ** (1 + i) for i, name in enumerate(TENSORS)}
ERRORS = {name: 0.1 * (1 + i) for i, (name, r) in enumerate(TENSORS.items()) if r is not None}


def texts(figure):
    figure.draw_without_rendering()
    return [text for axes in figure.axes for text in axes.texts if text.get_text()]


def words(figure):
    return [text.get_text() for text in texts(figure)]


def overlaps(figure):
    renderer = figure._get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts(figure)]
    return [
        (one, two)
        for i, (one, a) in enumerate(boxes)
        for two, b in boxes[:i]
        if a.x0 < b.x1 and b.x0 < a.x1 and a.y0 + 1 < b.y1 and b.y0 + 1 < a.y1
    ]


def test_spectrum_draws_singular_values_and_tails():
    singular, tail = (line for line in spectrum(S).axes[0].lines[:2])
    np.testing.assert_allclose(singular.get_ydata()[1:], S / S[0])
    norms = td.linalg.tail_norms(S)
    np.testing.assert_allclose(tail.get_ydata()[:-1], norms[:-1] / norms[0])
    assert np.isnan(tail.get_ydata()[-1])  # zero has no logarithm


def test_spectrum_marks_the_rank_and_its_error():
    error = td.linalg.tail_norms(S)[10] / np.linalg.norm(S)
    assert words(spectrum(S, rank=10)) == [f"rank 10\nerror {error:.2g}"]


@pytest.mark.parametrize("s", [[1.0], [3.0, 0.0], np.zeros(4), np.full(5, 1e-300), S[:39]])
@pytest.mark.parametrize("rank", [None, 1])
def test_every_valid_spectrum_can_be_drawn(s, rank):
    spectrum(s, rank=rank).draw_without_rendering()
    spectra({"a": s}, {"a": rank}, {}).draw_without_rendering()


def test_spectra_of_other_libraries_can_be_drawn():
    torch = pytest.importorskip("torch")
    spectrum(torch.from_numpy(S)).draw_without_rendering()


@pytest.mark.parametrize(
    "s", [[], [[1.0]], [1.0, np.nan], [1.0, 2.0], [1.0, -1.0], np.ones((2, 2)), np.float64(1.0)]
)
def test_what_is_no_spectrum_is_refused(s):
    with pytest.raises(ValueError, match=r"^s must"):
        spectrum(s)
    with pytest.raises(ValueError, match=r"^spectra\['a'\] must"):
        spectra({"a": s}, {}, {})


@pytest.mark.parametrize("rank", [0, 41])
def test_a_rank_beyond_the_spectrum_is_refused(rank):
    with pytest.raises(ValueError, match="rank"):
        spectrum(S, rank=rank)


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="nothing to draw"):
        spectra({}, {}, {})


def test_every_tensor_has_its_line():
    found = words(spectra(VALUES, TENSORS, ERRORS, kept=dict.fromkeys(TENSORS, 0.5)))
    assert [w for w in found if w.startswith("encoder")] == ["encoder.layer.0", "encoder.layer.1"]
    assert found.count("query") == found.count("value") == 2
    assert "pooler" in found
    assert found.count("dense") == 1
    assert found.count("50%") == len(TENSORS)
    assert {"12", "3", "7", "1", "0.10", "0.50"} <= set(found)


def test_bars_are_the_errors():
    bars = spectra(VALUES, TENSORS, ERRORS).axes[1].patches
    assert [bar.get_width() for bar in bars] == pytest.approx(list(ERRORS.values()))
    assert all(bar.get_facecolor()[3] == 1 for bar in bars)


def test_missing_errors_are_predicted_and_outlined():
    figure = spectra(VALUES, TENSORS, {})
    predicted = [
        td.linalg.tail_norms(s)[TENSORS[name]] / np.linalg.norm(s)
        for name, s in VALUES.items()
        if TENSORS[name]
    ]
    bars = figure.axes[1].patches
    assert [bar.get_width() for bar in bars] == pytest.approx(predicted)
    assert all(bar.get_facecolor()[3] == 0 for bar in bars)
    assert "outlined: predicted by the spectrum" in words(figure)


def test_marks_sit_on_the_curves():
    lines = spectra(VALUES, TENSORS, ERRORS).axes[0].lines
    marks = {tuple(line.get_xydata()[0]) for line in lines if len(line.get_xdata()) == 1}
    expected = {(r, VALUES[n][r - 1] / VALUES[n][0]) for n, r in TENSORS.items() if r}
    np.testing.assert_allclose(sorted(marks), sorted(expected))


def test_without_spectra_there_are_only_bars():
    figure = spectra({}, TENSORS, ERRORS)
    assert len(figure.axes) == 1
    assert len(figure.axes[0].patches) == len(ERRORS)


def test_errors_that_are_not_finite_are_written_out():
    assert "inf" in words(spectra({}, {"a": 1, "b": 2}, {"a": np.inf, "b": 0.5}))


@pytest.mark.parametrize("layers", [1, 8, 40])
def test_no_text_covers_another(layers):
    ranks = {
        f"model.layers.{i}.{kind}.weight": 100 + i
        for i in range(layers)
        for kind in ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj")
    } | {"a_name.of_quite_exceptional.length.weight": None}
    errors = {name: 0.01 * i for i, (name, rank) in enumerate(ranks.items()) if rank}
    figure = spectra(dict.fromkeys(ranks, S), ranks, errors, kept=dict.fromkeys(ranks, 1.0))
    assert overlaps(figure) == []
    page = figure.bbox
    renderer = figure._get_renderer()
    boxes = [text.get_window_extent(renderer) for text in texts(figure)]
    assert all(
        page.x0 <= b.x0 and b.x1 <= page.x1 and page.y0 <= b.y0 and b.y1 <= page.y1 for b in boxes
    )


def test_a_given_figure_is_drawn_into():
    from matplotlib.figure import Figure

    figure = Figure()
    assert spectrum(S, figure=figure) is figure
    half = Figure(figsize=(12, 5)).subfigures(1, 2)[0]
    assert spectra(VALUES, TENSORS, ERRORS, figure=half) is half


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_files_are_written(tmp_path, suffix):
    path = tmp_path / f"report.{suffix}"
    spectra(VALUES, TENSORS, ERRORS).savefig(path)
    assert path.stat().st_size > 1000


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_no_global_state_of_matplotlib_is_touched():
    code = (
        "import sys, tdecomp.plot as p; print('matplotlib' in sys.modules);"
        "p.spectra({'a': [1.0]}, {'a': 1}, {}); p.spectrum([1.0]);"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    assert run(code).split() == ["False", "False"]


def test_a_missing_matplotlib_is_explained():
    code = (
        "import sys; sys.modules['matplotlib.figure'] = None\n"
        "import tdecomp.plot\n"
        "try: tdecomp.plot.spectrum([1.0])\n"
        "except ImportError as error: print(error)"
    )
    assert "pip install 'tdecomp-array[plot]'" in run(code)
