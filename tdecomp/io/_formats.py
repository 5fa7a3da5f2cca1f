"""Saving and loading the formats of the library: tuples of arrays, by field name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeAlias

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from tdecomp._typing import Array
from tdecomp._xp import namespace
from tdecomp.io._atomic import AtomicFile
from tdecomp.io._checkpoint import open_checkpoint
from tdecomp.io._sources import METADATA
from tdecomp.io._tensors import CheckpointError, numpy_dtype
from tdecomp.io._writer import CheckpointWriter
from tdecomp.linalg import SVD, LowRank

Format: TypeAlias = SVD | LowRank

_CLASS_KEY = "tdecomp.class"
_CLASSES: dict[str, type[Format]] = {cls.__name__: cls for cls in (SVD, LowRank)}


def save(path: str | os.PathLike[str], fmt: Format, /) -> None:
    """Save a format so that `load` gives it back bit for bit; a file of that name is replaced.

    Parameters
    ----------
    path : str or path
        A name that ends in ``.safetensors`` or ``.npz``.
    fmt : SVD or LowRank
        What to save; arrays of PyTorch and JAX, on any device, are copied to NumPy.

    Raises
    ------
    ValueError
        If the name has another ending.
    TypeError
        If `fmt` is no format, or the file cannot hold its dtype: safetensors has no
        complex128, npz no bfloat16.
    OSError
        If the file cannot be written; then the old one, if any, is still there.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp.io import load, save
    >>> path = os.path.join(tempfile.mkdtemp(), "diagonal.npz")
    >>> save(path, td.truncated_svd(np.diag([3.0, 2.0, 1.0]), rank=2))
    >>> load(path).S
    array([3., 2.])
    """
    name = type(fmt).__name__
    if _CLASSES.get(name) is not type(fmt):
        raise TypeError(f"fmt must be one of {', '.join(_CLASSES)}, got {name}")
    arrays = {field: _to_numpy(array) for field, array in fmt._asdict().items()}
    metadata = {_CLASS_KEY: name}
    suffix = Path(path).suffix
    if suffix == ".safetensors":
        with CheckpointWriter(path, overwrite=True) as writer:
            for field, array in arrays.items():
                writer.add(field, array)
            writer.finish(metadata)
    elif suffix == ".npz":
        _save_npz(path, arrays, metadata)
    else:
        raise ValueError(f"path must end in .safetensors or .npz, got {os.fspath(path)!r}")


def load(path: str | os.PathLike[str], /) -> Format:
    """Load what `save` saved, as NumPy arrays in the class it had.

    Parameters
    ----------
    path : str or path
        A file that `save` wrote.

    Returns
    -------
    SVD or LowRank
        The format.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If the file is damaged or was not written by `save`.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp.io import load, save
    >>> path = os.path.join(tempfile.mkdtemp(), "ones.safetensors")
    >>> save(path, td.LowRank(np.ones((4, 1)), np.ones((1, 3))))
    >>> load(path).shape
    (4, 3)
    """
    with open_checkpoint(path) as checkpoint:
        name = checkpoint.metadata.get(_CLASS_KEY)
        if name is None:
            raise CheckpointError(f"{path} was not written by tdecomp.io.save")
        if name not in _CLASSES:
            raise CheckpointError(f"{path} holds a {name}, which this version does not know")
        cls = _CLASSES[name]
        if set(checkpoint.names) != set(cls._fields):
            raise CheckpointError(
                f"{path}: {name} has the fields {cls._fields}, found {checkpoint.names}"
            )
        return cls(**checkpoint)


def _to_numpy(x: Array) -> NDArray[Any]:
    """Copy an array of any library and device to NumPy."""
    if not array_api_compat.is_torch_array(x):
        return np.asarray(x)
    xp = namespace(x)
    if x.dtype == xp.bfloat16:
        return np.asarray(x.detach().cpu().view(xp.int16)).view(numpy_dtype("BF16"))
    return np.asarray(x.numpy(force=True))


def _save_npz(
    path: str | os.PathLike[str], arrays: dict[str, NDArray[Any]], metadata: dict[str, str]
) -> None:
    """Write an npz archive in one step; `METADATA` is an entry of JSON text."""
    for field, array in arrays.items():
        if array.dtype.kind not in "biufc":
            raise TypeError(f"npz cannot hold {array.dtype} ({field}); save as .safetensors")
    entries: dict[str, Any] = arrays | {METADATA: np.asarray(json.dumps(metadata))}
    with AtomicFile(path, overwrite=True) as output:
        with output.naming_errors():
            np.savez(output.file, **entries)
        output.publish()
