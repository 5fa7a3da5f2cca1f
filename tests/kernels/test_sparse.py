"""The kernel gives what its twin gives, compiled or not, and is loaded for real work only."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse

import tdecomp as td
from tdecomp._kernels import accepts
from tdecomp.linalg import _operand

numba = pytest.importorskip("numba")


def sparse(m, n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((m, n)) * (rng.random((m, n)) < 0.1)
    if np.dtype(dtype).kind == "c":
        a = a + 1j * np.where(a != 0, rng.standard_normal((m, n)), 0)
    return scipy.sparse.csr_array(a.astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (1, 9), (9, 1)])
@pytest.mark.parametrize("compiled", [True, False])
def test_rows_times_block_equals_scipy(shape, dtype, compiled):
    from tdecomp._kernels._sparse import compressed_rows

    a = sparse(*shape, dtype)
    x = sparse(shape[1], 7, dtype, seed=1).toarray()
    out = np.full((shape[0], 7), np.nan, dtype)
    function = compressed_rows if compiled else compressed_rows.py_func
    function(a.indptr, a.indices, a.data, x, out)
    # Both add in the order of the stored entries.
    assert np.abs(out - a @ x).max(initial=0) <= 8 * np.finfo(dtype).eps * np.abs(a @ x).max()


def test_the_search_gives_the_same_with_and_without(monkeypatch):
    a = sparse(300, 200, "float64")
    plain = td.randomized_svd(a, rank=5, rng=0)
    monkeypatch.setattr(_operand, "_KERNEL_WORK", 0)
    fast = td.randomized_svd(a, rank=5, rng=0)
    assert np.abs(fast.tensor.S - plain.tensor.S).max() <= 1e-12 * plain.tensor.S[0]


def test_only_arrays_of_numpy_in_four_dtypes_are_accepted():
    assert accepts(np.ones(2), np.ones(2, "complex64"))
    assert not accepts(np.ones(2), [1.0])
    assert not accepts(np.ones(2, "int64"))
    assert not accepts(np.ma.ones(2))


def test_a_first_call_on_small_input_loads_no_compiler():
    code = (
        "import sys, numpy as np, scipy.sparse as s, tdecomp as td\n"
        "td.randomized_svd(s.eye_array(400).tocsr(), rank=3, rng=0)\n"
        "td.randomized_svd(np.eye(400), rank=3, rng=0)\n"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_a_writable_cache_kernels_compile_all_the_same(monkeypatch):
    from tdecomp._kernels import _jit

    def strict(*_, cache, **options):
        if cache:
            raise RuntimeError("no locator available")
        return numba_njit(**options)

    numba_njit = numba.njit
    monkeypatch.setattr(_jit.numba, "njit", strict)

    def double(x, out):
        for i in numba.prange(x.size):
            out[i] = 2 * x[i]

    out = np.zeros(3)
    _jit.kernel(double)(np.arange(3.0), out)
    assert out.tolist() == [0, 2, 4]
