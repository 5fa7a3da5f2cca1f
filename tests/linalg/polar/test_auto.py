"""Which method is chosen."""

import pytest

from tdecomp import _kernels
from tdecomp.linalg._polar._auto import choose
from tdecomp.testing import gaussian


@pytest.mark.parametrize(
    ("shape", "eager", "numpy"),
    [
        ((127, 127), "svd", "svd"),
        ((128, 128), "bidiagonal", "bidiagonal"),
        ((383, 128), "bidiagonal", "bidiagonal"),
        ((384, 128), "gram", "gram"),
        ((381, 127), "svd", "svd"),
        ((2, 400, 130), "gram", "gram"),
        ((2, 130, 130), "bidiagonal", "bidiagonal"),
        ((63, 8, 8), "svd", "svd"),
        ((64, 8, 8), "svd", "batched"),
        ((8, 8, 64, 2), "svd", "batched"),
        ((64, 65, 65), "svd", "svd"),
    ],
)
def test_shape_and_library_choose(xp, shape, eager, numpy):
    found = choose(xp.asarray(gaussian(shape)))
    if xp.name.startswith("numpy"):
        assert found == numpy
    else:
        assert found == (eager if xp.name == "torch" else "svd")


def test_complex_batches_and_those_without_a_compiler_go_to_the_svd(monkeypatch):
    assert choose(gaussian((64, 4, 4), dtype="complex64")) == "svd"
    monkeypatch.setattr(_kernels, "find_spec", lambda _: None)
    assert choose(gaussian((64, 4, 4))) == "svd"


@pytest.mark.parametrize("xp", ["torch", "jax"], indirect=True)
def test_what_is_differentiated_or_traced_goes_to_the_svd(xp):
    a = xp.asarray(gaussian((260, 128)))
    found = []
    if xp.name == "torch":
        found.append(choose(a.requires_grad_()))
    else:
        xp.jit(lambda a: found.append(choose(a)) or a)(a)
    assert found == ["svd"]


@pytest.mark.parametrize(("dtype", "least"), [("float32", 192), ("complex128", 128)])
def test_precision_counts(dtype, least):
    assert choose(gaussian((least, least - 1), dtype=dtype)) == "svd"
    assert choose(gaussian((least, least), dtype=dtype)) == "bidiagonal"
