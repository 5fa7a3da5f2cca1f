"""Routines of LAPACK and BLAS that SciPy carries for Cython, but does not wrap for Python.

They take arrays in columns (Fortran's order), run without the global lock, and on SciPy's own
threads: beside those of another library threads wait for each other.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.extending import get_cython_function_address

Matrix = npt.NDArray[Any]

_LARGEST = 2**31 - 1


class Bidiagonal(NamedTuple):
    r"""A decomposition :math:`A = Q B P^*` with a real upper bidiagonal matrix.

    ``reflectors`` (m, n) holds Householder vectors below the diagonal, which make :math:`Q`, and
    right of the superdiagonal, which make :math:`P`; ``left`` and ``right`` are their factors.
    """

    reflectors: Matrix
    diagonal: Matrix
    superdiagonal: Matrix
    left: Matrix
    right: Matrix


def bidiagonalize(a: Matrix) -> Bidiagonal:
    """Overwrite a matrix (m, n) in columns, m >= n, by its reduction to bidiagonal form."""
    m, n = a.shape
    real = a.real.dtype
    d, e = np.empty(n, real), np.empty(max(n - 1, 1), real)
    left, right = np.empty(n, a.dtype), np.empty(n, a.dtype)
    _with_room(_routine(a, "gebrd", 11), a.dtype, (m, n, a, m, d, e, left, right))
    return Bidiagonal(a, d, e[: n - 1], left, right)


def rotate(found: Bidiagonal, x: Matrix) -> None:
    """Overwrite `x` (m, n) in columns by ``Q @ x @ adjoint(P)``."""
    a = found.reflectors
    m, n = a.shape
    real = a.dtype.kind == "f"
    routine = _routine(a, "ormbr" if real else "unmbr", 14)
    for which, side, turned, factors, inner in (
        (b"Q", b"L", b"N", found.left, n),
        (b"P", b"R", b"T" if real else b"C", found.right, m),
    ):
        given = (which, side, turned, m, n, inner, a, m, factors, x, m)
        _with_room(routine, a.dtype, given)


def product(a: Matrix, b: Matrix, out: Matrix) -> None:
    """Write ``a @ b`` to `out`, all parts of arrays in columns, or `a` and `b` in rows."""
    routine = _routine(a, "gemm", 13)
    (first, da), (second, db) = _stored(a), _stored(b)
    dc = out.strides[1] // out.itemsize
    one, zero = np.ones(1, a.dtype), np.zeros(1, a.dtype)
    routine(*_pointers((first, second, *out.shape, a.shape[1], one, a, da, b, db, zero, out, dc)))


def _stored(a: Matrix) -> tuple[bytes, int]:
    """Return how BLAS has to read a matrix, and the distance of its columns or rows.

    Of an axis of length one no step is ever made, and it may say anything.
    """
    (rows, columns), (down, along) = a.shape, (step // a.itemsize for step in a.strides)
    if columns == 1:
        return (b"N", rows) if rows == 1 or down == 1 else (b"T", down)
    return (b"N", along) if rows == 1 or down == 1 else (b"T", down)


def _with_room(routine: Callable[..., None], dtype: np.dtype[Any], given: tuple[Any, ...]) -> None:
    """Call a routine with as much room to work in as it asks for."""
    room, info = np.empty(1, dtype), np.zeros(1, np.int32)
    routine(*_pointers((*given, room, -1, info)))
    room = np.empty(int(room[0].real), dtype)
    routine(*_pointers((*given, room, room.size, info)))
    if info[0]:
        raise np.linalg.LinAlgError(f"argument {-info[0]} of a routine of LAPACK is not valid")


def _pointers(given: tuple[Any, ...]) -> list[Any]:
    """Return the addresses of arguments, as Fortran takes them."""
    return [_pointer(x) for x in given]


def _pointer(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return x.ctypes.data
    if isinstance(x, bytes):
        return ctypes.byref(ctypes.c_char(x))
    if not -1 <= x <= _LARGEST:
        raise ValueError(f"LAPACK counts in 32 bits, and a matrix needs {x}")
    return ctypes.byref(ctypes.c_int(x))


def _routine(a: Matrix, name: str, arguments: int) -> Callable[..., None]:
    prefix = {"f": "s", "d": "d", "F": "c", "D": "z"}[a.dtype.char]
    return _found(prefix + name, arguments)


@lru_cache(maxsize=16)
def _found(name: str, arguments: int) -> Callable[..., None]:
    """Return a routine by its name: of BLAS, if it makes products."""
    room = "blas" if name.endswith("gemm") else "lapack"
    address = get_cython_function_address(f"scipy.linalg.cython_{room}", name)
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)
    found: Callable[..., None] = kind(address)
    return found
