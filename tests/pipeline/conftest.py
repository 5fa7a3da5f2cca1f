"""Small checkpoints that hold one of everything, and the command line in this process."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("safetensors")

from safetensors.numpy import save_file

from tdecomp.cli import main
from tdecomp.compress import Calibration, Fisher, Statistics, pack
from tdecomp.testing import matrix


def decaying(m, n, seed, rate=0.8, dtype=np.float32):
    """A matrix whose singular values fall by `rate`."""
    a = matrix(m, n, rate ** np.arange(min(m, n)), rng=seed)
    return np.asarray(a, dtype=dtype)


def model(dtype=np.float32):
    """Weights with biases, an embedding and its tie, a kernel, integers, and the unshrinkable."""
    rng = np.random.default_rng(7)
    embedding = decaying(60, 20, 1, 0.85, dtype)
    return {
        "embeddings.word.weight": embedding,
        "first.weight": decaying(40, 20, 2, dtype=dtype),
        "first.bias": rng.standard_normal(40).astype(dtype),
        "second.weight": decaying(20, 40, 3, 0.9, dtype),
        "second.bias": rng.standard_normal(20).astype(dtype),
        "conv.weight": decaying(16, 72, 4, 0.9, dtype).reshape(16, 8, 3, 3),
        "flat.weight": np.linalg.qr(rng.standard_normal((24, 24)))[0].astype(dtype),
        "tiny.weight": np.ones((1, 7), dtype),
        "position_ids": np.arange(30).reshape(5, 6),
        "mask": np.eye(4, dtype=bool),
        "scale": np.array(2.5, dtype),
        "zzz.head.weight": embedding.copy(),
    }


class Run(NamedTuple):
    """What a command returned and printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def tdecomp(capfd, monkeypatch, tmp_path):
    """The command, run in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*words: Any) -> Run:
        capfd.readouterr()
        status = main([str(word) for word in words])
        return Run(status, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """A checkpoint of float32."""
    path = tmp_path_factory.mktemp("source") / "model.safetensors"
    save_file(model(), path, {"format": "pt", "note": "kept"})
    return path


@pytest.fixture(scope="session")
def calibration(tmp_path_factory):
    """Statistics of all kinds for `model`."""
    rng = np.random.default_rng(3)
    statistics = {}
    for name, (m, n) in {"first.weight": (40, 20), "second.weight": (20, 40)}.items():
        x = 1 + rng.standard_normal((200, n)) * 0.9 ** np.arange(n)
        g = rng.standard_normal((50, m, n))
        statistics[name] = Statistics(
            inputs=Calibration.of(x.astype(np.float32)), fisher=Fisher.of(g.astype(np.float32))
        )
    path = tmp_path_factory.mktemp("statistics") / "statistics.safetensors"
    save_file({k: np.asarray(v) for k, v in pack(statistics).items()}, path)
    return path
