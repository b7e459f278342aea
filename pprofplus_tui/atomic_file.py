"""Atomic creation of output files: complete or absent, and never over an existing file."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pprofplus.errors import PprofplusError

_MODE = 0o600  # other users must not read what a service does


class OutputError(PprofplusError):
    """A file could not be written; the text is one line with the reason."""


def _exists_error(target: Path) -> FileExistsError:
    return FileExistsError(f"{target}: already exists, choose another name")


def free_path(directory: Path, stem: str, suffix: str) -> Path:
    """Return an unused path in `directory`: the stem, with a number appended if it is taken."""
    path = directory / (stem + suffix)
    count = 1
    while os.path.lexists(path):
        count += 1
        path = directory / f"{stem}-{count}{suffix}"
    return path


@contextmanager
def new_file(path: str | Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Yield a file to write to; it appears at `path` when the block ends without an error.

    Raises FileExistsError if `path` exists and not `overwrite`, OutputError if the file cannot be
    written. An exception of the block propagates, and no file remains.
    """
    target = Path(path)
    if not overwrite and os.path.lexists(target):
        raise _exists_error(target)
    if os.path.isdir(target) or "\0" in str(target):  # noqa: PTH112 - Path.is_dir raises on long names
        raise OutputError(f"{target!s}: not a valid file name".replace("\0", "?"))
    draft = target.with_name(f".pprofplus-{secrets.token_hex(6)}.part")
    try:
        number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        try:
            with os.fdopen(number, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _publish(draft, target, overwrite=overwrite)
        finally:
            with suppress(FileNotFoundError):
                draft.unlink()
    except FileExistsError:
        raise _exists_error(target) from None
    except OSError as error:
        raise OutputError(f"{target}: {error.strerror or error}") from error


def _publish(draft: Path, target: Path, *, overwrite: bool) -> None:
    """Rename the finished file to `target`. Raises FileExistsError if `target` exists."""
    if overwrite:
        draft.replace(target)
        return
    try:
        os.link(draft, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # The file system has no hard links: an empty file reserves the name until the rename.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE))
        try:
            draft.replace(target)
        except BaseException:
            target.unlink()
            raise
