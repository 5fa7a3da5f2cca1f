"""Single precision is never lowered inside the library, whatever a device does by default."""

import importlib
import inspect
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import tdecomp as td
import tdecomp.compress
from tdecomp._precision import full_precision
from tdecomp.testing import gaussian

ROOMS = (
    *("chebyshev", "compress", "convert", "cp", "kronecker", "linalg", "ops", "testing"),
    *("chebyshev.potentials", "completion", "completion.sampling", "tt", "tucker"),
)
# They multiply no matrices of a user's library: they move, count, or work on the host.
OTHERS = {
    "chebyshev.potentials": {"gaussian_sum", "newton", "read_pqr", "slater", "split", "yukawa"},
    "compress": {"allocate", "layout_of", "pack", "unpack"},
    "completion": {"unseen"},
    "cp": {"huber", "negative_binomial"},
    "kronecker": {"to_linear_operator"},
    "linalg": {
        *("breakeven_rank", "cans_coefficients", "elbow_rank", "energy_rank"),
        *("minimax_coefficients", "tail_norms", "truncation_rank"),
    },
    "ops": {"coo", "fold", "from_dense", "from_sparse", "to_scipy", "unfold"},
    "testing": {
        *("assert_descending", "capabilities_table", "functions", "gaussian", "graded"),
        "limitation",
        *("low_rank_tensor", "matrix", "problems", "spectrum", "tensor"),
    },
}


def is_precise(function):
    return getattr(function, "__code__", None) is full_precision(len).__code__


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_function_that_multiplies_keeps_the_precision(room):
    module = importlib.import_module(f"tdecomp.{room}")
    functions = {n for n in module.__all__ if inspect.isfunction(getattr(module, n))}
    bare = {n for n in functions if not is_precise(getattr(module, n))}
    assert bare == OTHERS.get(room, set()), "decorate with full_precision, or list what is spared"
    formats = {
        n: getattr(module, n) for n in module.__all__ if hasattr(getattr(module, n), "to_array")
    }
    for fmt in formats.values():
        assert is_precise(fmt.to_array)
        assert is_precise(getattr(fmt, "__matmul__", fmt.to_array))
    assert is_precise(td.relative_error)


def products(jaxpr):
    """Yield the products of matrices in a traced program, those in programs inside it too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from products(inner)


TRACED = {
    "truncated_svd": lambda x: td.truncated_svd(x[0], rank=2),
    "randomized_svd": lambda x: td.randomized_svd(x[0], rank=2, power=1, rng=0),
    "hosvd": lambda x: td.hosvd(x, rank=2),
    "tt_svd": lambda x: td.tt_svd(x, rank=2),
    "to_array": lambda x: td.LowRank(x[0], x[0]).to_array(),
    "product": lambda x: td.LowRank(x[0], x[0]) @ x[1],
    "mttkrp": lambda x: td.ops.mttkrp(x, [x[0], x[0], x[0]], 1),
    "norm": lambda x: td.cp.norm(td.CP(x[0, 0], (x[0], x[1]))),
}


@pytest.mark.parametrize("name", TRACED)
def test_jax_is_asked_for_full_precision_gradients_included(name):
    jax = pytest.importorskip("jax")

    def total(x):
        leaves = jax.tree.leaves(TRACED[name](x))
        return sum(jax.numpy.sum(leaf) for leaf in leaves if hasattr(leaf, "dtype"))

    x = jax.numpy.asarray(gaussian((4, 4, 4), dtype="float32"))
    programs = [jax.make_jaxpr(f)(x).jaxpr for f in (TRACED[name], jax.grad(total))]
    found = [equation for program in programs for equation in products(program)]
    assert found
    for equation in found:
        assert equation.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2
    assert jax.config.jax_default_matmul_precision is None


def test_what_jax_does_by_default_would_be_seen():
    jax = pytest.importorskip("jax")
    (found,) = products(jax.make_jaxpr(lambda x: x @ x)(jax.numpy.ones((2, 2))).jaxpr)
    assert found.params["precision"] is None


def torch_precision(torch):
    new = hasattr(torch.backends.cuda.matmul, "fp32_precision")
    return (
        torch.backends.cuda.matmul.fp32_precision
        if new
        else (torch.get_float32_matmul_precision())
    )


@pytest.fixture
def lowered():
    """PyTorch, allowed to multiply single precision with fewer digits."""
    torch = pytest.importorskip("torch")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield torch
    torch.set_float32_matmul_precision(before)


def test_torch_multiplies_in_full_precision_and_is_put_back(lowered):
    was, seen = torch_precision(lowered), []

    def ones(indices):
        seen.append(torch_precision(lowered))
        return lowered.ones(indices.shape[0])

    td.tt.tt_cross(ones, (4, 4, 4), rank=1, like=lowered.zeros(1), rng=0)
    assert seen
    assert set(seen) <= {"ieee", "highest"}
    assert torch_precision(lowered) == was
    assert lowered.get_float32_matmul_precision() == "medium"


def test_an_error_puts_the_precision_back(lowered):
    was = torch_precision(lowered)
    with pytest.raises(ValueError, match="rank"):
        td.truncated_svd(np.eye(3), rank=-1)
    assert torch_precision(lowered) == was


def test_a_thread_that_ends_leaves_the_others_in_full_precision(lowered):
    was, inside, over = torch_precision(lowered), threading.Event(), threading.Event()

    @full_precision
    def first():
        inside.set()
        assert over.wait(10)

    @full_precision
    def second():
        over.set()
        thread.join(10)
        return torch_precision(lowered)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(10)
    assert second() in ("ieee", "highest")
    assert torch_precision(lowered) == was


def test_an_older_torch_has_one_setting_for_all_devices(monkeypatch):
    now = ["high"]
    older = SimpleNamespace(
        backends=SimpleNamespace(cuda=SimpleNamespace(matmul=object()), mkldnn=object()),
        get_float32_matmul_precision=lambda: now[-1],
        set_float32_matmul_precision=now.append,
    )
    monkeypatch.setitem(sys.modules, "torch", older)
    assert full_precision(lambda: now[-1])() == "highest"
    assert now == ["high", "highest", "high"]


NARROW = {
    "truncated_svd": lambda x: td.truncated_svd(x, rtol=0.9).S,
    "evaluate": lambda x: td.tt.evaluate(td.tt_svd(x, rank=1), [[0, 1]]),
    "tokens": lambda x: td.compress.TokenCounts.of(x.astype(int), size=2).to_arrays()["counts"],
    "calibration": lambda x: td.compress.Calibration.of(x).to_arrays()["n_inputs"],
}


@pytest.mark.parametrize("name", NARROW)
def test_jax_without_doubles_is_not_asked_for_them(name):
    jax = pytest.importorskip("jax")
    switch = (jax if hasattr(jax, "enable_x64") else jax.experimental).enable_x64
    with switch(False):
        found = NARROW[name](jax.numpy.eye(3))  # a request for 64 bits would warn
    assert found.dtype.itemsize == 4
