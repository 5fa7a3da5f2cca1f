"""Where a checkpoint lies: a path, a directory, or a file inside an installed package."""

from __future__ import annotations

import errno
import importlib.util
import os
from pathlib import Path

from tdecomp.io._tensors import CheckpointError

INDEX_SUFFIX = ".safetensors.index.json"
_PACKAGE = "pkg:"


def locate(source: str | os.PathLike[str]) -> Path:
    """Return the file that `source` stands for: the index of a sharded checkpoint, or the data."""
    text = os.fspath(source)
    path = _in_package(text) if text.startswith(_PACKAGE) else Path(text)
    if path.is_dir():
        path = _in_directory(path)
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return path


def _in_directory(folder: Path) -> Path:
    """Return the one index of `folder`, or else its one safetensors file."""
    for pattern in (f"*{INDEX_SUFFIX}", "*.safetensors"):
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(path.name for path in found)
            raise CheckpointError(
                f"{folder} holds {len(found)} possible files ({names}); name one of them"
            )
    raise CheckpointError(f"{folder} holds no safetensors file")


def _in_package(text: str) -> Path:
    """Return the path behind ``pkg:package/path/inside``, without importing the package."""
    package, _, inside = text.removeprefix(_PACKAGE).partition("/")
    if not package.isidentifier() or not inside:
        raise ValueError(
            f"a source inside a package is written pkg:package/path/inside, got {text!r}"
        )
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    if folders is None:
        missing = "is not a package" if spec else "is not installed"
        raise FileNotFoundError(
            errno.ENOENT,
            f"{package} {missing} in this Python; try: pip install {package.replace('_', '-')}",
            text,
        )
    candidates = [Path(folder, inside) for folder in folders]
    return next((path for path in candidates if path.exists()), candidates[0])
