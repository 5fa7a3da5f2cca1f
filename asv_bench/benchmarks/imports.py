"""What a user waits for before any work: the import and the first call, in fresh processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from importlib.util import find_spec

from ._problems import FULL

MODULES = ("numpy", "tdecomp", "tensorly", "teneva", "torch")
HEAVY = ("numba", "torch", "jax", "sklearn", "matplotlib", "scipy.linalg")
SMALL = "import numpy as np; a = np.vander(np.linspace(0, 1, 30), 20)"
CALLS = {
    "truncated_svd": "td.truncated_svd(a, rank=3)",
    "randomized_svd": "td.randomized_svd(a, rank=3, rng=0)",
    "weighted_svd": "td.weighted_svd(a, right=np.ones(20), rank=3)",
    "relative_error": "td.relative_error(a, td.SVD(a[:, :1], a[0, :1], a[:1]))",
}


def _seconds(code: str) -> float:
    """Return the wall time of a process that runs `code`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


class Import:
    """Importing, without the start of Python itself."""

    params = MODULES
    param_names = ("module",)
    timeout = 120

    def setup(self, module: str) -> None:
        if find_spec(module) is None:
            raise NotImplementedError(f"{module} is not installed")

    def timeraw_import(self, module: str) -> str:
        return f"import {module}"


class Ratio:
    """The time of ``import tdecomp`` over that of ``import numpy``, processes taking turns."""

    repeats = 7 if FULL else 1

    def track_ratio(self) -> float:
        walls: dict[str, list[float]] = {"numpy": [], "tdecomp": []}
        for _ in range(self.repeats):
            for module, seconds in walls.items():
                seconds.append(_seconds(f"import {module}"))
        return statistics.median(walls["tdecomp"]) / statistics.median(walls["numpy"])

    track_ratio.unit = "times as long"


class FirstCall:
    """The first call on a small input waits for nobody, in particular not for a compiler."""

    params = tuple(CALLS)
    param_names = ("function",)

    def timeraw_first_call(self, function: str) -> tuple[str, str]:
        return CALLS[function], f"import tdecomp as td; {SMALL}"

    def track_heavy_modules(self, function: str) -> int:
        code = f"import sys, tdecomp as td; {SMALL}; {CALLS[function]}; print(*sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
        return len(set(HEAVY) & set(done.stdout.split()))

    track_heavy_modules.unit = "modules"
