"""Text files of sparse tensors, as the FROSTT collection has them: coordinates, then the value."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from tdecomp._errors import check_count
from tdecomp.io._atomic import AtomicFile
from tdecomp.io._tensors import CheckpointError
from tdecomp.ops._coo import COO, check_coo, coo, is_host

_CHUNK = 1 << 23
_BLOCK_LINES = 1 << 16
_LINE_END, _SPACE, _ZERO, _NINE = 10, 32, 48, 57
# Coordinates of more digits may not fit in 64 bits.
_DIGITS = 18
_SHAPE = re.compile(rb"^\s*#\s*shape:([ \t\d]+)\s*$", re.MULTILINE)
_COMMENT = re.compile(rb"#[^\n]*")


class _Chunk(NamedTuple):
    """Whole lines of a file: their bytes, and the number of the first."""

    path: Path
    line: int
    data: bytes

    def text(self, line: int) -> str:
        """Return a line, cut short."""
        return self.data.split(b"\n")[line - self.line].strip()[:60].decode(errors="replace")

    def refuse(self, line: int, problem: str) -> NoReturn:
        """Name the line that is at fault."""
        raise CheckpointError(f"{self.path}, line {line}: {problem}")


def read_tns(path: str | os.PathLike[str], /, *, shape: Sequence[int] | None = None) -> COO:
    r"""Read a sparse tensor from a text file with one entry in each line.

    A line holds the coordinates, which count from 1, and the value, in any white space. Blank
    lines and what follows a ``#`` are skipped. Entries at one coordinate are summed.

    Parameters
    ----------
    path : str or path
        The file; it may be compressed by gzip, whatever its name.
    shape : sequence of int, optional
        Lengths of the modes. By default they come from the file, if a line ``# shape: n_0 n_1
        ...`` or, before all entries, one line with the number of modes and one with their lengths
        tell them; else they are the smallest that hold all coordinates.

    Returns
    -------
    COO
        The tensor, in double precision.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If a line is not as it should be, which the message names, or the file is damaged or has
        no entries and no shape.

    See Also
    --------
    write_tns : the way back.
    load : reads what `save` saved, in any dtype, and faster.

    References
    ----------
    .. [1] S. Smith et al., "FROSTT: The formidable repository of open sparse tensors and tools",
       2017. http://frostt.io/

    Examples
    --------
    >>> import tempfile, os
    >>> from tdecomp.io import read_tns
    >>> path = os.path.join(tempfile.mkdtemp(), "small.tns")
    >>> with open(path, "w") as file:
    ...     _ = file.write("# two entries\n1 1 2 0.5\n2 1 3 4\n")
    >>> read_tns(path).to_array()[1, 0]
    array([0., 0., 4.])
    """
    source = Path(path)
    lengths = None if shape is None else _checked(shape)
    rows: list[NDArray[Any]] = []
    values: list[NDArray[Any]] = []
    with source.open("rb") as file:
        for chunk in _chunks(source, file):
            bare = chunk._replace(data=_COMMENT.sub(b"", chunk.data))
            if not rows:
                bare, found = _without_header(chunk, bare)
                lengths = found if lengths is None else lengths
            part = _parsed(bare, rows[0].shape[0] if rows else None, lengths)
            if part is not None:
                rows.append(part[0])
                values.append(part[1])
    if not rows:
        if lengths is None:
            raise CheckpointError(f"{source} has no entries, and does not tell its shape")
        return coo(np.empty((len(lengths), 0), np.int64), np.empty(0), lengths)
    return coo(np.concatenate(rows, axis=1), np.concatenate(values), lengths)


def _checked(shape: Sequence[int]) -> tuple[int, ...]:
    """Validate the lengths of modes."""
    return tuple(check_count(n, name=f"shape[{k}]", least=1) for k, n in enumerate(shape))


def _chunks(path: Path, file: BinaryIO) -> Iterator[_Chunk]:
    """Yield whole lines, many at a time, unpacked if need be."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream: Any = gzip.GzipFile(fileobj=file) if packed else file
    line, rest = 1, b""
    while True:
        try:
            data = stream.read(_CHUNK)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CheckpointError(f"{path} is damaged: {error}") from error
        whole, end, rest = (rest + data).rpartition(b"\n") if data else (rest, b"\n", b"")
        if whole or end:
            yield _Chunk(path, line, whole + b"\n")
            line += whole.count(b"\n") + 1
        if not data:
            return


def _without_header(chunk: _Chunk, bare: _Chunk) -> tuple[_Chunk, tuple[int, ...] | None]:
    """Return a first chunk without lines of lengths, and the lengths if it tells them.

    `bare` is the chunk without its comments, one of which may be the one that tells.
    """
    noted = _SHAPE.search(chunk.data)
    lengths = tuple(map(int, noted[1].split())) if noted else None
    data = bare.data
    header = re.match(rb"\s*(\d+)[ \t\r]*\n\s*(\d+(?:[ \t]+\d+)*)[ \t\r]*\n", data)
    if header:
        found = tuple(map(int, header[2].split()))
        if len(found) != int(header[1]):
            line = chunk.line + data[: header.start(2)].count(b"\n")
            bare.refuse(line, f"{int(header[1])} lengths are announced, found {len(found)}")
        lengths = found if lengths is None else lengths
        data = b"\n" * header[0].count(b"\n") + data[header.end() :]
    if lengths is not None and (not lengths or 0 in lengths):
        raise CheckpointError(f"{chunk.path} tells the shape {lengths}, which no tensor has")
    return bare._replace(data=data), lengths


def _parsed(
    chunk: _Chunk, modes: int | None, shape: tuple[int, ...] | None
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return coordinates (d, m), from 0, and values (m,) of a chunk, None where it is blank."""
    text = np.frombuffer(chunk.data, np.uint8)
    inside = np.concatenate(([False], text > _SPACE))
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    if not starts.size:
        return None
    line_of = np.searchsorted(np.flatnonzero(text == _LINE_END), starts)
    new = np.flatnonzero(np.diff(line_of, prepend=-1))
    lines = chunk.line + line_of[new]
    counts = np.diff(new, append=starts.size)
    d = modes or (len(shape) if shape else max(1, int(counts[0]) - 1))
    odd = counts != d + 1
    if odd.any():
        line = int(lines[odd.argmax()])
        found = chunk.text(line)
        chunk.refuse(line, f"coordinates of {d} modes and a value are expected, found {found!r}")
    words = np.stack([starts, ends]).reshape(2, -1, d + 1)
    rows = np.stack([_integers(text, *words[:, :, k]) for k in range(d)]) - 1
    bad = (rows < 0) if shape is None else (rows < 0) | (rows >= np.asarray(shape)[:, None])
    if bad.any():
        line = int(lines[bad.any(axis=0).argmax()])
        limit = "" if shape is None else f" within the shape {shape}"
        found = chunk.text(line)
        chunk.refuse(line, f"coordinates are integers from 1 on{limit}, found {found!r}")
    values = _numbers(text, *words[:, :, d])
    wrong = ~np.isfinite(values)
    if wrong.any():
        line = int(lines[wrong.argmax()])
        chunk.refuse(line, f"the value must be a finite number, found {chunk.text(line)!r}")
    return rows, values


def _integers(text: NDArray[Any], starts: NDArray[Any], ends: NDArray[Any]) -> NDArray[Any]:
    """Read digits of all words at once; what are no digits, or too many, give 0."""
    lengths = ends - starts
    total = np.zeros(starts.size, np.int64)
    valid = lengths <= _DIGITS
    for k in range(min(int(lengths.max()), _DIGITS)):
        here = k < lengths
        digit = text[np.where(here, starts + k, starts)]
        valid &= ~here | ((digit >= _ZERO) & (digit <= _NINE))
        total = np.where(here, 10 * total + (digit.astype(np.int64) - _ZERO), total)
    return np.where(valid, total, 0)


def _numbers(text: NDArray[Any], starts: NDArray[Any], ends: NDArray[Any]) -> NDArray[Any]:
    """Read words as Python reads numbers; what is none gives NaN."""
    lengths = ends - starts
    columns = np.arange(int(lengths.max()))
    places = np.minimum(starts[:, None] + columns, text.size - 1)
    padded = np.where(columns < lengths[:, None], text[places], 0).astype(np.uint8)
    words = padded.view(f"S{columns.size}")[:, 0]
    try:
        return words.astype(np.float64)
    except ValueError:
        return np.asarray([_number(word) for word in words.tolist()])


def _number(word: bytes) -> float:
    """Return the number that a word is, NaN if it is none."""
    try:
        return float(word)
    except ValueError:
        return float("nan")


def write_tns(path: str | os.PathLike[str], x: COO, /) -> None:
    """Write a sparse tensor as text, one entry in each line; a file of that name is replaced.

    Coordinates count from 1. Values are written with the digits that bring back each number, and
    the shape in a comment, which `read_tns` understands and others skip.

    Parameters
    ----------
    path : str or path
        The file; if its name ends in ``.gz``, it is compressed.
    x : COO
        The tensor: real, of NumPy arrays.

    Raises
    ------
    TypeError
        If `x` is no COO, complex, or of another library.
    OSError
        If the file cannot be written; then the old one, if any, is still there.

    See Also
    --------
    read_tns : the way back.

    Examples
    --------
    >>> import tempfile, os, pathlib
    >>> from tdecomp.io import write_tns
    >>> from tdecomp.ops import coo
    >>> path = os.path.join(tempfile.mkdtemp(), "small.tns")
    >>> write_tns(path, coo([[0, 1], [2, 0]], [0.5, 4.0]))
    >>> print(pathlib.Path(path).read_text(), end="")
    # shape: 2 3
    1 3 0.5
    2 1 4.0
    """
    _, x = check_coo(x)
    if not is_host(x) or x.values.dtype.kind == "c":
        raise TypeError(f"x must hold real NumPy arrays to become text, got {x.dtype}")
    with AtomicFile(path, overwrite=True) as output:
        with output.naming_errors():
            if os.fspath(path).endswith(".gz"):
                with gzip.GzipFile("", "wb", fileobj=output.file, mtime=0) as packed:
                    _write_lines(packed, x)
            else:
                _write_lines(output.file, x)
        output.publish()


def _write_lines(file: Any, x: COO) -> None:
    """Write the shape and all entries, a block of lines at a time."""
    file.write(f"# shape: {' '.join(map(str, x.shape))}\n".encode())
    form = "%d " * x.modes + "%r\n"
    for start in range(0, x.nnz, _BLOCK_LINES):
        chosen = slice(start, start + _BLOCK_LINES)
        columns = [*(x.indices[:, chosen] + 1).tolist(), x.values[chosen].tolist()]
        file.write("".join([form % line for line in zip(*columns, strict=True)]).encode())
