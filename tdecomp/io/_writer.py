"""Streaming writer of safetensors files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from tdecomp.io._atomic import AtomicFile
from tdecomp.io._sources import METADATA, safetensors_header
from tdecomp.io._tensors import dtype_code, storable

_LENGTH_BYTES = 8
_ALIGNMENT = 8
_CHUNK = 1 << 22
_MOST_ROOM = 1 << 24


class CheckpointWriter:
    """Write a safetensors file of any size, one tensor in memory, finished or not there at all.

    Every tensor goes to the disk when it is added. The file takes its name in `finish`; until
    then it is a hidden temporary in the same directory, which leaving the ``with`` block by any
    exception removes.

    Parameters
    ----------
    path : str or path
        The file to write; its name ends in ``.safetensors``.
    overwrite : bool, default False
        Whether a file of that name may be replaced. It stays as it is until the new one is
        complete, so that it may be the very checkpoint that is being read.
    expected_nbytes : int, default 0
        The size to come, if known: its thousandth part is kept free for the header, which
        saves `finish` from moving the data, and the disk is checked for room.

    Raises
    ------
    FileExistsError, IsADirectoryError, FileNotFoundError, PermissionError, OSError
        Before any work: if the file exists and `overwrite` is False, is a directory or a
        device, if its directory is missing or not writable, or the disk has too little room.
    ValueError
        If the name does not end in ``.safetensors``.

    Notes
    -----
    Why not the library's own writer: it takes all tensors at once and reorders them. Here they
    lie in the order of `add`, and before the file gets its name the library reads its header.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> from tdecomp.io import CheckpointWriter, open_checkpoint
    >>> path = os.path.join(tempfile.mkdtemp(), "small.safetensors")
    >>> with CheckpointWriter(path) as writer:
    ...     writer.add("weight", np.ones((2, 3), np.float32))
    ...     writer.finish({"made by": "hand"})
    >>> with open_checkpoint(path) as checkpoint:
    ...     print(checkpoint.info("weight"), checkpoint.metadata)
    TensorInfo(name='weight', shape=(2, 3), dtype='F32', nbytes=24) {'made by': 'hand'}
    """

    def __init__(
        self, path: str | os.PathLike[str], *, overwrite: bool = False, expected_nbytes: int = 0
    ) -> None:
        if not os.fspath(path).endswith(".safetensors"):
            raise ValueError(f"the output is a .safetensors file, got the name {os.fspath(path)}")
        self._output = AtomicFile(path, overwrite=overwrite, expected_nbytes=expected_nbytes)
        self._room = min(expected_nbytes // 1000, _MOST_ROOM) // _ALIGNMENT * _ALIGNMENT
        self._entries: dict[str, dict[str, Any]] = {}
        self._nbytes = 0
        self._finished = False

    @property
    def nbytes(self) -> int:
        """The bytes of the tensors added so far."""
        return self._nbytes

    def add(self, name: str, array: ArrayLike) -> None:
        """Append one tensor, in its own dtype, to the file.

        Parameters
        ----------
        name : str
            A name not added before.
        array : array_like
            The tensor: any layout, any byte order, any number of axes.

        Raises
        ------
        ValueError
            If the name is taken or reserved, or the file is finished.
        TypeError
            If safetensors has no word for the dtype.
        OSError
            If the disk is full or fails.
        """
        if self._finished:
            raise ValueError(f"{self._output.path} is finished; {name!r} comes too late")
        if name in self._entries:
            raise ValueError(f"tensor {name!r} was added before")
        if name == METADATA:
            raise ValueError(f"the name {METADATA!r} is reserved by the format")
        data, entry = _encode(name, array)
        end = self._nbytes + data.nbytes
        with self._output.naming_errors():
            self._output.file.seek(_LENGTH_BYTES + self._room + self._nbytes)
            self._output.file.write(data)
        self._entries[name] = entry | {"data_offsets": [self._nbytes, end]}
        self._nbytes = end

    def finish(self, metadata: Mapping[str, str] | None = None) -> None:
        """Write the header with `metadata`, check it, and give the file its name.

        Parameters
        ----------
        metadata : mapping of str to str, optional
            Text to keep beside the tensors.

        Raises
        ------
        TypeError
            If a key or value of the metadata is not a string.
        FileExistsError
            If the file has appeared meanwhile and `overwrite` is False.
        CheckpointError
            If safetensors would refuse the file, as it does a header above 100 MB.
        OSError
            If the disk is full or fails.
        """
        header = _encode_header(self._entries, dict(metadata or {}))
        header = header.ljust(max(self._room, -(-len(header) // _ALIGNMENT) * _ALIGNMENT))
        with self._output.naming_errors():
            self._make_room(len(header))
            self._output.file.seek(0)
            self._output.file.write(len(header).to_bytes(_LENGTH_BYTES, "little") + header)
            self._output.file.truncate(_LENGTH_BYTES + len(header) + self._nbytes)
            self._output.file.flush()
        safetensors_header(self._output.part)
        self._output.publish()
        self._finished = True

    def _make_room(self, wanted: int) -> None:
        """Move the data up, the last chunk first, until `wanted` bytes fit before them."""
        file, start = self._output.file, _LENGTH_BYTES + self._room
        shift = wanted - self._room
        chunks = range(0, self._nbytes, _CHUNK) if shift else ()
        for offset in reversed(chunks):
            file.seek(start + offset)
            data = file.read(min(_CHUNK, self._nbytes - offset))
            file.seek(start + offset + shift)
            file.write(data)
        self._room = wanted

    def __enter__(self) -> Self:
        self._output.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._output.__exit__(kind, error, trace)
        if error is None and not self._finished:
            raise RuntimeError(f"finish() was not called: {self._output.path} was not written")


def _encode(name: str, array: ArrayLike) -> tuple[memoryview, dict[str, Any]]:
    """Return the little-endian bytes of `array` and its part of the header."""
    x = np.asarray(array)
    code = dtype_code(x.dtype)
    if not storable(code):
        raise TypeError(f"tensor {name!r} has dtype {x.dtype}, which safetensors cannot hold")
    x = np.asarray(x, dtype=x.dtype.newbyteorder("<"), order="C")
    return x.reshape(-1).view(np.uint8).data, {"dtype": code, "shape": x.shape}


def _encode_header(entries: dict[str, dict[str, Any]], metadata: dict[str, str]) -> bytes:
    """Return the JSON text of the header."""
    for key, text in metadata.items():
        if not (isinstance(key, str) and isinstance(text, str)):
            raise TypeError(f"metadata are strings, got {key!r}: {text!r}")
    first = {METADATA: metadata} if metadata else {}
    return json.dumps(first | entries, ensure_ascii=False, separators=(",", ":")).encode()
