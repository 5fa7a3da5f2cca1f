"""A file that appears under its name only when it is complete."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self


class AtomicFile:
    """A binary file that takes its name by `publish`; until then, no error leaves a trace.

    The target is checked at once, before any work. Inside the ``with`` block `file` is a
    hidden temporary beside the target, which leaving the block removes.
    """

    file: BinaryIO

    def __init__(
        self, path: str | os.PathLike[str], *, overwrite: bool, expected_nbytes: int = 0
    ) -> None:
        self.path = Path(os.path.realpath(path))
        self.part = self.path.with_name(f".tdecomp-{secrets.token_hex(8)}.part")
        self._overwrite = overwrite
        self._check_target()
        self._check_folder(expected_nbytes)

    def _check_target(self) -> None:
        if self.path.is_dir():
            raise self._error(errno.EISDIR, "is a directory; name a file in it")
        if not self.path.exists():
            return
        if not self.path.is_file():
            raise self._error(errno.EINVAL, "is not a regular file")
        if not self._overwrite:
            raise self._error(errno.EEXIST, "exists already; ask for overwrite to replace it")

    def _check_folder(self, expected_nbytes: int) -> None:
        folder = self.path.parent
        if not folder.is_dir():
            raise self._error(errno.ENOENT, f"there is no directory {folder}")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise self._error(errno.EACCES, f"the directory {folder} is not writable")
        free = shutil.disk_usage(folder).free
        if free < expected_nbytes:
            raise self._error(
                errno.ENOSPC, f"needs {expected_nbytes / 1e9:.3g} GB, {free / 1e9:.3g} GB are free"
            )

    def _error(self, number: int, text: str) -> OSError:
        """Build the subclass of OSError that `number` means, about the target."""
        return OSError(number, text, str(self.path))

    @contextmanager
    def naming_errors(self) -> Iterator[None]:
        """Make a failing disk name the target, which a bare write does not know."""
        try:
            yield
        except OSError as error:
            if error.filename is not None:
                raise
            raise self._error(error.errno or errno.EIO, error.strerror or str(error)) from error

    def publish(self) -> None:
        """Bring the bytes to the disk, then give the file its name in one step."""
        with self.naming_errors():
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            self._check_target()
            os.replace(self.part, self.path)
        self._sync_folder()

    def _sync_folder(self) -> None:
        """Make the new name last through a power cut, where the system lets a folder be synced."""
        with suppress(OSError):
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def __enter__(self) -> Self:
        self.file = self.part.open("xb+")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # what could not be written is lost on purpose
            self.file.close()
        self.part.unlink(missing_ok=True)
