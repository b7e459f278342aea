"""The parent's files that a forked child inherits, and how the child closes them."""

from __future__ import annotations

import os

from pprofplus.log.log_directory import (
    LEDGER_NAME,
    NEW_RUN_LIST_NAME,
    RUN_LIST_NAME,
    SEGMENT_SUFFIX,
    UNFINISHED_ARTEFACT_SUFFIX,
)
from pprofplus.system.descriptor import close_descriptor

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from pprofplus.recording.run_recorder import RunRecorder

_DESCRIPTORS = "/proc/self/fd"
_LOCKED = (
    SEGMENT_SUFFIX,
    f"{SEGMENT_SUFFIX}.new",
    f"/{LEDGER_NAME}",
    f"/{RUN_LIST_NAME}",
    f"/{NEW_RUN_LIST_NAME}",
    UNFINISHED_ARTEFACT_SUFFIX,  # has no lock, but its blocks stay in use as long as it is open
)


class Inherited:
    """The parent's files that a forked child must close.

    Copies of its descriptors hold the parent's locks: an ended parent would look alive, and the
    ledger would stay locked. A close may wait for the disk, so a thread of ours does it.
    """

    __slots__ = ("_recorders", "_torn")

    def __init__(self) -> None:
        self._recorders: list[RunRecorder] = []
        self._torn = False

    def __bool__(self) -> bool:
        """Return whether there is anything to close."""
        return self._torn or bool(self._recorders)

    def add(self, recorder: RunRecorder | None, *, torn: bool) -> None:
        """Add the files that a fork has copied.

        `torn`: the fork came during a change of files, because it does not wait for a disk that
        hangs. There may be descriptors whose numbers no object of the parent held yet.
        """
        if recorder is not None and not recorder.closed:
            self._recorders.append(recorder)
        self._torn = self._torn or torn

    def close(self, log_directory: str) -> None:
        """Close all of it; call this before this process opens a log."""
        for recorder in self._recorders:
            recorder.abandon()
        self._recorders.clear()
        if self._torn:
            close_strays(log_directory)
            self._torn = False


def close_strays(log_directory: str) -> int:
    """Close descriptors that may hold a lock on a file of the log directory; return how many.

    Only those open for writing: a program that reads logs keeps its own. Call it before this
    process opens a log. Without /proc nothing is found. Never raises OSError.
    """
    try:
        numbers = [int(name) for name in os.listdir(_DESCRIPTORS)]
    except OSError:
        return 0
    return sum(_close_stray(number, f"{log_directory}/") for number in numbers)


def _close_stray(number: int, log_directory: str) -> bool:
    import fcntl

    try:
        path = os.readlink(f"{_DESCRIPTORS}/{number}").removesuffix(" (deleted)")
        writes = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except OSError:  # the listing's own descriptor is closed
        return False
    if writes and path.startswith(log_directory) and path.endswith(_LOCKED):
        close_descriptor(number)
        return True
    return False
