"""Saving and loading the formats of the library: tuples of arrays, by field name."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_args

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from tdecomp._typing import Array
from tdecomp._xp import namespace
from tdecomp.chebyshev import ChebyshevTucker
from tdecomp.chebyshev._format import as_function
from tdecomp.completion import Completion, Inductive
from tdecomp.completion.robust import LowRankPlusSparse
from tdecomp.compress import Adapted, Affine
from tdecomp.cp import CP
from tdecomp.io._atomic import AtomicFile
from tdecomp.io._checkpoint import open_checkpoint
from tdecomp.io._sources import METADATA
from tdecomp.io._tensors import CheckpointError, dtype_code, numpy_dtype, storable
from tdecomp.io._writer import CheckpointWriter
from tdecomp.kronecker import Butterfly, KroneckerEigh, KroneckerSum, Monarch
from tdecomp.linalg import SVD, LowRank
from tdecomp.ops import COO
from tdecomp.tt import TensorRing, TensorTrain
from tdecomp.tucker import Tucker

T = TypeVar("T")

Format: TypeAlias = (
    SVD
    | LowRank
    | Tucker
    | CP
    | TensorTrain
    | TensorRing
    | COO
    | KroneckerSum
    | Monarch
    | Butterfly
    | KroneckerEigh
    | Adapted
    | Affine
    | ChebyshevTucker
    | Completion
    | Inductive
    | LowRankPlusSparse
)

_CLASS_KEY, _FIELDS_KEY, _SUM_KEY = "tdecomp.class", "tdecomp.fields", "tdecomp.crc32"
_PARTS_KEY = "tdecomp.parts"
_CLASSES: dict[str, type[Format]] = {cls.__name__: cls for cls in get_args(Format)}


def save(path: str | os.PathLike[str], fmt: Format, /) -> None:
    """Save a format so that `load` gives it back bit for bit; a file of that name is replaced.

    Parameters
    ----------
    path : str or path
        A name that ends in ``.safetensors`` or ``.npz``.
    fmt : format
        One of `SVD`, `LowRank`, `Tucker`, `CP`, `TensorTrain`, `TensorRing`, `COO`,
        `KroneckerSum`, `Monarch`, `Butterfly`, `KroneckerEigh`, `Adapted`, `Affine`,
        `ChebyshevTucker`, `Completion`, `Inductive`, `LowRankPlusSparse`: what to save; arrays of
        PyTorch and JAX, on any device, are copied to NumPy.

    Raises
    ------
    ValueError
        If the name has another ending, or a function has shapes that do not match, or entries
        that are not finite.
    TypeError
        If `fmt` is no format, or the file cannot hold its dtype: safetensors has no
        complex128, npz no bfloat16; each holds what the other cannot.
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
    if not _is_format(fmt):
        way = "; of a fit pass its tensor" if name == "Fit" else ""
        raise TypeError(f"fmt must be one of {', '.join(_CLASSES)}, got {name}{way}")
    if isinstance(fmt, ChebyshevTucker):
        fmt = fmt._replace(factors=tuple(fmt.factors), domain=_box(fmt))
    fields = dict(_fields(fmt))
    arrays = {key: _to_numpy(part) for key, part in _flat(fields) if part is not None}
    metadata = {_CLASS_KEY: name, _SUM_KEY: _checksum(arrays)}
    layout = {field: len(part) for field, part in fields.items() if _is_several(part)}
    if layout:
        metadata[_FIELDS_KEY] = json.dumps(layout)
    parts = fmt._asdict().items()
    inside = {field: type(part).__name__ for field, part in parts if _is_format(part)}
    if inside:
        metadata[_PARTS_KEY] = json.dumps(inside)
    suffix = Path(path).suffix
    if suffix == ".safetensors":
        _check_storable(arrays)
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
    format
        One of those that `save` takes.

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
        arrays = dict(checkpoint)
        if checkpoint.metadata.get(_SUM_KEY, "") not in ("", _checksum(arrays)):
            raise CheckpointError(f"{path} is damaged: its checksum is another")
        try:
            layout = _counts(checkpoint.metadata.get(_FIELDS_KEY, "{}"))
            inside = _classes(checkpoint.metadata.get(_PARTS_KEY, "{}"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged: {error}") from error
        return _restored(path, _CLASSES[name], arrays, layout, inside)


def _counts(text: str) -> dict[str, int]:
    """Return how many arrays the fields have that hold several."""
    return {str(field): int(n) for field, n in json.loads(text).items()}


def _classes(text: str) -> dict[str, type[Format]]:
    """Return of which class the fields are that hold a format."""
    return {str(field): _CLASSES[name] for field, name in json.loads(text).items()}


def _is_format(part: Any) -> bool:
    return _CLASSES.get(type(part).__name__) is type(part)


def _fields(fmt: Format) -> Iterator[tuple[str, Any]]:
    """Yield all fields by name; of a field that is a format those of it, as ``field.name``."""
    for field, part in fmt._asdict().items():
        if _is_format(part):
            yield from ((f"{field}.{name}", item) for name, item in _fields(part))
        else:
            yield field, part


def _box(f: ChebyshevTucker) -> Array:
    """Refuse what is no function; return its box as it is, or an array of one that is listed."""
    _, _, _, box = as_function(f, name="fmt", trains=True)
    return f.domain if hasattr(f.domain, "dtype") else box


def _is_several(part: Any) -> bool:
    """Tell whether a field holds a tuple of arrays; a tuple of ints, a shape, is one array."""
    return isinstance(part, tuple) and not (part and all(isinstance(n, int) for n in part))


def _flat(fields: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield all parts by name: a field that is one array, or ``field.0``, ``field.1``, ..."""
    for field, part in fields.items():
        if _is_several(part):
            yield from ((f"{field}.{k}", item) for k, item in enumerate(part))
        else:
            yield field, part


def _restored(
    path: str | os.PathLike[str],
    cls: type[Format],
    arrays: dict[str, NDArray[Any]],
    layout: dict[str, int],
    inside: dict[str, type[Format]],
) -> Format:
    """Put the arrays of a file into the fields of their class."""
    values: dict[str, Any] = {}
    for field, part in inside.items():
        mine, arrays = _split(arrays, field)
        counts, layout = _split(layout, field)
        values[field] = _restored(path, part, mine, counts, {})
    several = {field: [f"{field}.{k}" for k in range(n)] for field, n in layout.items()}
    fields = [field for field in cls._fields if field not in inside]
    expected = {name for field in fields for name in several.get(field, [field])}
    # What is None is not in the file: a Tucker factor of the identity, a metric that is none.
    optional = set(several.get("factors", [])) if cls is Tucker else set()
    if cls is KroneckerEigh:
        optional = {"metric_logdet"}
    if cls is Inductive and not {"residual_left", "residual_right"} & set(arrays):
        optional = {"residual_left", "residual_right"}
    known = set(cls._fields) >= {*layout, *inside}
    if not (expected - optional <= set(arrays) <= expected and known):
        raise CheckpointError(
            f"{path}: {cls.__name__} has the fields {cls._fields}, found {tuple(arrays)}"
        )
    for field in fields:
        names = several.get(field)
        values[field] = arrays.get(field) if names is None else tuple(map(arrays.get, names))
    if "shape" in values:
        values["shape"] = tuple(values["shape"].tolist())
    return cls(**values)


def _split(named: dict[str, T], field: str) -> tuple[dict[str, T], dict[str, T]]:
    """Return what belongs to a field, by its name there, and the rest."""
    start = f"{field}."
    mine = {name.removeprefix(start): x for name, x in named.items() if name.startswith(start)}
    return mine, {name: x for name, x in named.items() if not name.startswith(start)}


def _checksum(arrays: dict[str, NDArray[Any]]) -> str:
    """Sum up names, dtypes, shapes and bytes, whatever order a file keeps them in."""
    total = 0
    for name, array in sorted(arrays.items()):
        total = zlib.crc32(f"{name} {array.dtype.name} {array.shape}".encode(), total)
        plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        total = zlib.crc32(plain.reshape(-1).view(np.uint8).data, total)
    return f"{total:08x}"


def _to_numpy(x: Array) -> NDArray[Any]:
    """Copy an array of any library and device to NumPy."""
    if not array_api_compat.is_torch_array(x):
        return np.asarray(x)
    xp = namespace(x)
    if x.dtype == xp.bfloat16:
        return np.asarray(x.detach().cpu().view(xp.int16)).view(numpy_dtype("BF16"))
    return np.asarray(x.numpy(force=True))


def _check_storable(arrays: dict[str, NDArray[Any]]) -> None:
    """Refuse what safetensors has no word for, before a file is begun."""
    for field, array in arrays.items():
        if not storable(dtype_code(array.dtype)):
            raise TypeError(f"safetensors cannot hold {array.dtype} ({field}); save as .npz")


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
