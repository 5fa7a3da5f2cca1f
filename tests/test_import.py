"""`import tdecomp` is light: it wakes nobody who was not asked for."""

import subprocess
import sys

import pytest

HEAVY = (
    "numba", "torch", "jax", "sklearn", "scipy.linalg", "scipy.sparse", "dask", "matplotlib",
    "typer", "rich", "safetensors", "ml_dtypes", "pandas", "array_api_strict",
)  # fmt: skip


def loaded_by(statement):
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import tdecomp",
        "import tdecomp.ops, tdecomp.testing",
        "import tdecomp as td; td.truncated_svd([[1.0, 2.0], [3.0, 4.0]], rank=1)",
    ],
)
def test_importing_wakes_nobody(statement):
    assert loaded_by(statement).isdisjoint(HEAVY)


def test_importing_costs_little_beyond_numpy():
    # A namespace of array-api-compat takes as long to load as all of this library.
    assert "array_api_compat.numpy" not in loaded_by("import tdecomp")


def test_every_public_name_exists():
    import tdecomp

    for module in (
        tdecomp, tdecomp.convert, tdecomp.cp, tdecomp.linalg, tdecomp.ops, tdecomp.testing,
        tdecomp.tt, tdecomp.tucker,
    ):  # fmt: skip
        assert sorted(set(module.__all__)) == sorted(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tdecomp.nothing  # noqa: B018
