import numpy as np
import pytest

from tdecomp._quiet import wakes
from tdecomp.linalg._thin import _runs, _work, inner_product, mixed_columns, thin_product

# Of 30 columns: too small for pieces, and so large that there are several and the last is short.
ROWS = (100, 2001)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_products_in_pieces_are_the_products(rows, dtype):
    rng = np.random.default_rng(0)
    a, y, x = (
        (rng.standard_normal(s) + 1j * rng.standard_normal(s)).astype(dtype)
        if np.dtype(dtype).kind == "c"
        else rng.standard_normal(s).astype(dtype)
        for s in ((rows, 30), (rows, 30), (30, 20))
    )
    # An inner product of `k` terms is off by k eps times that of the absolute values.
    near = 30 * np.finfo(dtype).eps * (np.abs(a) @ np.abs(x))
    for product in (thin_product(a, x, np), mixed_columns(a, x)):
        assert (np.abs(product - a @ x) <= near).all()
        assert product.dtype == dtype
    near = rows * np.finfo(dtype).eps * (np.abs(a).T @ np.abs(y))
    assert (np.abs(inner_product(a, y, np) - a.conj().T @ y) <= near).all()


@pytest.mark.parametrize("shape", [(1000, 36), (5000, 10), (40, 4000)])
@pytest.mark.parametrize("dtype", [np.float64, np.complex64])
def test_no_piece_is_worth_a_thread_and_none_is_left_out(shape, dtype):
    a, x = np.ones(shape, dtype), np.ones((shape[1], 24), dtype)
    pieces = [a[rows] for rows in _runs(a, x)]
    assert len(pieces) > 1
    assert not any(wakes(_work(piece, x)) for piece in pieces if piece.shape[0] > 1)
    assert sum(piece.shape[0] for piece in pieces) == shape[0]
