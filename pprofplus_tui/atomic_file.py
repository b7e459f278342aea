"""New files: there whole or not at all, and never in the place of another."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pprofplus.errors import PprofplusError

_MODE = 0o600  # what a service does is not for all to read


class OutputError(PprofplusError):
    """The file could not be written; its text is one line that says why."""


def _taken(target: Path) -> FileExistsError:
    return FileExistsError(f"{target}: is there already, choose another name")


def free_path(directory: Path, stem: str, suffix: str) -> Path:
    """Return a path in `directory` at which nothing is: the stem, if need be with a number."""
    path = directory / (stem + suffix)
    count = 1
    while os.path.lexists(path):
        count += 1
        path = directory / f"{stem}-{count}{suffix}"
    return path


@contextmanager
def new_file(path: str | Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Give a file to write to, which appears at `path` when the block ends without an error.

    Raises FileExistsError if there is something at `path` and not `overwrite`, OutputError if the
    disk will not have it. What the block raises passes through, and nothing is left behind.
    """
    target = Path(path)
    if not overwrite and os.path.lexists(target):
        raise _taken(target)
    if os.path.isdir(target) or "\0" in str(target):  # noqa: PTH112 - Path.is_dir raises on long names
        raise OutputError(f"{target!s}: no name for a file".replace("\0", "?"))
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
        raise _taken(target) from None
    except OSError as error:
        raise OutputError(f"{target}: {error.strerror or error}") from error


def _publish(draft: Path, target: Path, *, overwrite: bool) -> None:
    """Give the finished file its name. Raises FileExistsError if that is taken."""
    if overwrite:
        draft.replace(target)
        return
    try:
        os.link(draft, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # No hard links here: an empty file keeps the name for us until it is replaced.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE))
        try:
            draft.replace(target)
        except BaseException:
            target.unlink()
            raise
