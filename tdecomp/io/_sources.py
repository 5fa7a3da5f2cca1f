"""Readers, one for each file format: they list the tensors at once and read each when asked."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tdecomp.io._locate import INDEX_SUFFIX
from tdecomp.io._tensors import (
    CheckpointError,
    TensorInfo,
    cli_extra,
    dtype_code,
    itemsize,
    numpy_dtype,
    storable,
)

METADATA = "__metadata__"
"""The name that safetensors reserves for metadata; npz files use it too."""


class Source(NamedTuple):
    """An open file: its tensors by name, its metadata, and the way to read one tensor."""

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]
    read: Callable[[str], NDArray[Any]]


def open_source(path: Path, stack: ExitStack) -> Source:
    """Open `path` with the reader of its format; `stack` closes what stays open."""
    if path.name.endswith(INDEX_SUFFIX):
        return _shards(path, stack)
    readers = {".safetensors": _safetensors, ".npz": _npz, ".npy": _npy}
    if path.suffix not in readers:
        raise CheckpointError(
            f"{path} is none of {', '.join(readers)} or a directory; other formats must be "
            "converted first (files that can hold pickled objects are never opened)"
        )
    return readers[path.suffix](path, stack)


@contextmanager
def _blame(path: Path) -> Iterator[None]:
    """Raise one CheckpointError for whatever damaged bytes make a parser raise."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise CheckpointError(f"{path} is damaged or not a {path.suffix} file: {error}") from error


def _check_shape(shape: tuple[int, ...]) -> None:
    """Refuse a shape that no array can have, with NumPy's own words."""
    np.broadcast_to(False, shape)


def safetensors_header(path: Path) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """Return the tensors in the order of their data, which fill the file, and the metadata."""
    with cli_extra():
        from safetensors import safe_open
    with _blame(path), safe_open(path, framework="numpy") as file:
        tensors = [_safetensors_info(file, name) for name in file.offset_keys()]
        starts = accumulate((info.nbytes for info in tensors), initial=0)
        # Empty tensors lie at one place, and the library gives them in an order of chance.
        placed = sorted(
            (start, info.nbytes, info) for start, info in zip(starts, tensors, strict=False)
        )
        return {info.name: info for _, _, info in placed}, file.metadata() or {}


def _safetensors_info(file: Any, name: str) -> TensorInfo:
    """Return what the header of an open safetensors file says of a tensor."""
    view = file.get_slice(name)
    shape, code = tuple(view.get_shape()), view.get_dtype()
    if not storable(code):
        raise ValueError(f"tensor {name!r} has dtype {code}, which NumPy cannot hold")
    _check_shape(shape)
    return TensorInfo(name, shape, code, math.prod(shape) * itemsize(code))


def _safetensors(path: Path, stack: ExitStack) -> Source:
    """Open one safetensors file: the library checks the header, NumPy reads the bytes.

    The library's own reader maps the file, so that a file cut short while it is read kills the
    process, and it knows neither bfloat16 nor float8.
    """
    file = stack.enter_context(path.open("rb"))
    tensors, metadata = safetensors_header(path)
    first = 8 + int.from_bytes(file.read(8), "little")
    ends = accumulate((info.nbytes for info in tensors.values()), initial=first)
    starts = dict(zip(tensors, ends, strict=False))

    def read(name: str) -> NDArray[Any]:
        info = tensors[name]
        dtype = numpy_dtype(info.dtype)
        file.seek(starts[name])
        data = np.fromfile(file, np.uint8, info.nbytes)
        if data.size != info.nbytes:
            raise CheckpointError(f"{path} ends inside the tensor {name!r}")
        return data.view(dtype).reshape(info.shape)

    return Source(tensors, metadata, read)


def _npy_header(file: IO[bytes], name: str, stored: int) -> TensorInfo:
    """Read the header of an npy stream that is `stored` bytes long."""
    old = npy.read_magic(file) == (1, 0)
    shape, _, dtype = (npy.read_array_header_1_0 if old else npy.read_array_header_2_0)(file)
    _check_shape(shape)
    if dtype.kind not in "biufc":
        kind = "pickled objects, which are never loaded" if dtype.hasobject else "no numbers"
        raise ValueError(f"tensor {name!r} has dtype {dtype} and holds {kind}")
    nbytes = math.prod(shape) * dtype.itemsize
    if file.tell() + nbytes != stored:
        raise ValueError(
            f"tensor {name!r} should have {nbytes} bytes of data, found {stored - file.tell()}"
        )
    return TensorInfo(name, shape, dtype_code(dtype), nbytes)


def _read_npy(file: IO[bytes]) -> NDArray[Any]:
    """Read an npy stream into an array of native byte order."""
    array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _npy(path: Path, stack: ExitStack) -> Source:
    """Open the one array of an npy file under the name of the file."""
    file = stack.enter_context(path.open("rb"))
    with _blame(path):
        info = _npy_header(file, path.stem, path.stat().st_size)

    def read(_: str) -> NDArray[Any]:
        file.seek(0)
        with _blame(path):
            return _read_npy(file)

    return Source({info.name: info}, {}, read)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build the dict of a JSON object, in which no key may come twice."""
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice!r} is listed twice")
    return result


def _npz_metadata(archive: zipfile.ZipFile, member: zipfile.ZipInfo | None) -> dict[str, str]:
    """Read the JSON text that `save` leaves in an npz archive; other archives have none."""
    if member is None:
        return {}
    with archive.open(member) as stream:
        return {str(key): str(text) for key, text in json.loads(str(_read_npy(stream))).items()}


def _npz(path: Path, stack: ExitStack) -> Source:
    """Open an npz archive; its metadata are the JSON text in the entry `METADATA`."""
    file = stack.enter_context(path.open("rb"))
    tensors: dict[str, TensorInfo] = {}
    with _blame(path):
        archive = stack.enter_context(zipfile.ZipFile(file))
        members = _once([(m.filename.removesuffix(".npy"), m) for m in archive.infolist()])
        metadata = _npz_metadata(archive, members.pop(METADATA, None))
        for name, member in members.items():
            with archive.open(member) as stream:
                tensors[name] = _npy_header(stream, name, member.file_size)

    def read(name: str) -> NDArray[Any]:
        with _blame(path), archive.open(members[name]) as stream:
            return _read_npy(stream)

    return Source(tensors, metadata, read)


def _weight_map(index: Path) -> dict[str, str]:
    """Read which shard holds each tensor, in the order of the index."""
    text = index.read_bytes()
    with _blame(index):
        weight_map: dict[str, str] = json.loads(text, object_pairs_hook=_once)["weight_map"]
        for name, shard in weight_map.items():
            if Path(shard).name != shard:
                raise ValueError(f"the shard {shard!r} of {name!r} is not a file name")
    return weight_map


def _shards(index: Path, stack: ExitStack) -> Source:
    """Open the shards that `index` names and check that they hold what it says, once each."""
    weight_map = _weight_map(index)
    shards: dict[str, Source] = {}
    for shard in dict.fromkeys(weight_map.values()):
        path = index.parent / shard
        if not path.is_file():
            raise CheckpointError(f"{index} names the shard {shard}, which is not there")
        shards[shard] = _safetensors(path, stack)
    listed = set(weight_map.items())
    held = {(name, shard) for shard, source in shards.items() for name in source.tensors}
    for name, shard in listed - held:
        raise CheckpointError(f"{index}: tensor {name!r} is missing from the shard {shard}")
    for name, shard in held - listed:
        raise CheckpointError(f"{index} does not say that tensor {name!r} lies in {shard}")
    return Source(
        {name: shards[shard].tensors[name] for name, shard in weight_map.items()},
        {key: text for source in shards.values() for key, text in source.metadata.items()},
        lambda name: shards[weight_map[name]].read(name),
    )
