"""What a checkpoint says of a tensor before its data are read: name, shape and dtype."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

_NATIVE = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "F16": "float16",
    "U32": "uint32",
    "I32": "int32",
    "F32": "float32",
    "U64": "uint64",
    "I64": "int64",
    "F64": "float64",
    "C64": "complex64",
}
_EXTENDED = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}
_CODES = {name: code for code, name in (_NATIVE | _EXTENDED).items()}


class CheckpointError(ValueError):
    """A file that is damaged, or is not what its name says."""


class TensorInfo(NamedTuple):
    """A tensor of a checkpoint, known without reading it.

    Attributes
    ----------
    name : str
        Its name in the checkpoint.
    shape : tuple of int
        Its shape; ``()`` for a single number.
    dtype : str
        Its dtype as safetensors spells it (``"F32"``, ``"BF16"``, ``"I64"``); one that
        safetensors cannot hold keeps the name that NumPy gives it.
    nbytes : int
        The bytes of its data.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int

    @property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(self.shape)


@contextmanager
def cli_extra() -> Iterator[None]:
    """Make a missing optional package name the extra that brings it."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"this file needs the package {error.name}: pip install 'tdecomp-array[cli]'",
            name=error.name,
        ) from error


def storable(code: str) -> bool:
    """Tell whether safetensors and NumPy can both hold the dtype `code`."""
    return code in _NATIVE or code in _EXTENDED


def floating(code: str) -> bool:
    """Tell whether the storable dtype `code` is one of floating-point numbers."""
    return storable(code) and code.startswith(("F", "BF", "C"))


def dtype_code(dtype: np.dtype[Any]) -> str:
    """Spell `dtype` as safetensors does, or as NumPy does where safetensors has no word."""
    return _CODES.get(dtype.name, dtype.name)


def itemsize(code: str) -> int:
    """Return the bytes of one entry of the storable dtype `code`."""
    if code in _NATIVE:
        return np.dtype(_NATIVE[code]).itemsize
    return 2 if code == "BF16" else 1


def numpy_dtype(code: str) -> np.dtype[Any]:
    """Return the NumPy dtype of a dtype as safetensors spells it.

    Parameters
    ----------
    code : str
        ``"F32"``, ``"BF16"``, ``"I64"`` and so on; the narrow ones come from ml_dtypes.

    Returns
    -------
    numpy.dtype
        The dtype.

    Raises
    ------
    KeyError
        If NumPy has no such dtype.

    Examples
    --------
    >>> from tdecomp.io import numpy_dtype
    >>> numpy_dtype("F32")
    dtype('float32')
    """
    if code in _NATIVE:
        return np.dtype(_NATIVE[code])
    with cli_extra():
        import ml_dtypes
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, _EXTENDED[code]))
    return dtype
