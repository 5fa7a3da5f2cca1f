"""A checkpoint as a lazy mapping from names to arrays."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tdecomp.io._locate import locate
from tdecomp.io._sources import open_source
from tdecomp.io._tensors import TensorInfo


class Checkpoint(Mapping[str, NDArray[Any]]):
    """The tensors of a file by name, in the order of the file, each read when it is asked for.

    Nothing is kept: a loop over ``items()`` holds one tensor at a time. Use it as a context
    manager, or call `close`. `open_checkpoint` makes it.

    Attributes
    ----------
    path : pathlib.Path
        The file, or the index of the shards.
    names : tuple of str
        The names of the tensors.
    metadata : dict of str to str
        The text that the file carries beside its tensors.
    nbytes : int
        The bytes of all tensors together.
    tied : dict of str to str
        Names that the metadata record as aliases of a stored tensor, as
        ``safetensors.torch.save_model`` does; `duplicates` finds copies that nobody recorded.
    """

    def __init__(self, source: str | os.PathLike[str]) -> None:
        self.path = locate(source)
        with ExitStack() as stack:
            self._tensors, self.metadata, self._read = open_source(self.path, stack)
            self._files = stack.pop_all()
        self._closed = False
        self.names = tuple(self._tensors)
        self.nbytes = sum(info.nbytes for info in self._tensors.values())
        self.tied = {
            alias: name
            for alias, name in self.metadata.items()
            if name in self._tensors and alias not in self._tensors
        }

    def info(self, name: str) -> TensorInfo:
        """Return the name, shape, dtype and size of a tensor without reading it."""
        try:
            return self._tensors[name]
        except KeyError:
            raise KeyError(f"{self.path} has no tensor {name!r}") from None

    def read(self, name: str) -> NDArray[Any]:
        """Read one tensor into a new array of its own dtype and native byte order."""
        self.info(name)
        if self._closed:
            raise ValueError(f"{self.path} is closed; read inside the with block")
        return self._read(name)

    def close(self) -> None:
        """Close the files; what was read stays valid."""
        self._closed = True
        self._files.close()

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.read(name)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    # Equality of contents, which Mapping would give, reads everything.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<Checkpoint {str(self.path)!r}: {len(self)} tensors, {self.nbytes:,} bytes>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_checkpoint(source: str | os.PathLike[str]) -> Checkpoint:
    """Open a checkpoint of any size: its headers are checked, none of its data is read.

    Parameters
    ----------
    source : str or path
        A ``.safetensors``, ``.npz`` or ``.npy`` file; the ``.safetensors.index.json`` of a
        sharded checkpoint; a directory with one index or one safetensors file; or
        ``pkg:package/path/inside`` for any of these inside an installed package, which is
        found without being imported.

    Returns
    -------
    Checkpoint
        The tensors by name. An npy file has one, under the name of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or the package is not installed.
    CheckpointError
        If the file is damaged, of another kind, ambiguous, or holds pickled objects; if an
        index names a missing shard or disagrees with its shards.
    ImportError
        If safetensors is not installed, or ml_dtypes where a dtype needs it.

    Notes
    -----
    safetensors files are ordered by the position of their data (empty tensors, which have
    none, by name), sharded ones by their index,
    npz archives by their directory. bfloat16 and float8 arrays have the dtypes of ml_dtypes.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> from tdecomp.io import open_checkpoint
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.npz")
    >>> np.savez(path, embedding=np.ones((5, 3), np.float32), bias=np.zeros(3))
    >>> with open_checkpoint(path) as checkpoint:
    ...     for name in checkpoint:
    ...         print(checkpoint.info(name))
    ...     checkpoint["embedding"].sum()
    TensorInfo(name='embedding', shape=(5, 3), dtype='F32', nbytes=60)
    TensorInfo(name='bias', shape=(3,), dtype='F64', nbytes=24)
    np.float32(15.0)
    """
    return Checkpoint(source)


def duplicates(checkpoint: Checkpoint, names: Iterable[str] | None = None) -> dict[str, str]:
    """Find the tensors that repeat an earlier one: the same shape, dtype and bytes.

    Files store no shared memory, so this is how tied weights show. Only tensors that share
    their shape and dtype with another are read, one at a time.

    Parameters
    ----------
    checkpoint : Checkpoint
        An open checkpoint.
    names : iterable of str, optional
        The tensors to compare; all by default.

    Returns
    -------
    dict of str to str
        For each repetition, the name of the first tensor that it repeats. Empty tensors
        repeat nothing.

    Raises
    ------
    KeyError
        If a name is not in the checkpoint.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> from tdecomp.io import duplicates, open_checkpoint
    >>> path = os.path.join(tempfile.mkdtemp(), "tied.npz")
    >>> np.savez(path, embedding=np.eye(3), other=np.ones((3, 3)), head=np.eye(3))
    >>> with open_checkpoint(path) as checkpoint:
    ...     duplicates(checkpoint)
    {'head': 'embedding'}
    """
    alike: defaultdict[tuple[tuple[int, ...], str], list[str]] = defaultdict(list)
    for name in checkpoint.names if names is None else names:
        info = checkpoint.info(name)
        if info.nbytes:
            alike[info.shape, info.dtype].append(name)
    return {
        alias: first
        for group in alike.values()
        if len(group) > 1
        for alias, first in _repeats(checkpoint, group)
    }


def _repeats(checkpoint: Checkpoint, group: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each tensor of `group` whose bytes an earlier one has, with that one."""
    seen: dict[bytes, str] = {}
    for name in group:
        data = np.ascontiguousarray(checkpoint.read(name)).reshape(-1).view(np.uint8)
        first = seen.setdefault(hashlib.blake2b(data.data).digest(), name)
        if first != name:
            yield name, first
