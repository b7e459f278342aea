"""One run directory from the view of retention: its bytes, whether it has ended, its removal."""

from __future__ import annotations

import os
import re
import stat
from time import time

from pprofplus.errors import PprofplusError
from pprofplus.log.artefacts import ARTEFACT_NAME
from pprofplus.log.format import (
    DATA,
    PAGE_SIZE,
    STOP,
    DataHead,
    check_body,
    read_events,
    read_prefix,
    segment_capacity,
)
from pprofplus.log.log_directory import OUTCOME_NAME, PIN_NAME, SEGMENT_PATTERN, TERMINATED_NAME
from pprofplus.system.descriptor import DIRECTORY, EXISTING, close_descriptor
from pprofplus.system.locks import lock

_COUNTED = re.compile(rf"\.?(?:[0-9]{{6,9}}\.pplog|{ARTEFACT_NAME})(\.new)?")
# Other files that pprofplus writes: artefacts, unfinished files of a killed writer,
# requests and their answers, and the files about the end of the process.
_OUR_FILES = re.compile(
    rf"\.[0-9]{{6,9}}\.pplog\.new|\.?ctl-[0-9a-f]{{1,32}}\.[a-z]{{1,16}}"
    rf"|{ARTEFACT_NAME}|\.{ARTEFACT_NAME}\.new"
    rf"|{OUTCOME_NAME}|\.{OUTCOME_NAME}\.new|{TERMINATED_NAME}"
)
# A segment that its writer closed ends with the page that has the stop event, with another version
# of that page, or with a summary.
_LAST_PAGES = 3
# Without file locks, a run without a write for this long has ended: the longest interval is an
# hour.
_SILENT_S = 86_400.0
# A directory without a segment is the remains of a failed start, if it is not new.
_EMPTY_S = 600.0


class FoundRun:
    """A run, as found by a visit.

    Attributes:
        size_bytes: bytes of its segments and artefacts; the newest segment of a live run counts
            with the size that it may grow to.
        ended_s: unix seconds of its last write.
        removable: it has ended and is not pinned.
        empty: its directory is empty and not new.
    """

    __slots__ = ("empty", "ended_s", "removable", "size_bytes")

    def __init__(self, size_bytes: int, ended_s: float, *, removable: bool, empty: bool) -> None:
        self.size_bytes = size_bytes
        self.ended_s = ended_s
        self.removable = removable
        self.empty = empty


def visit(name: str, service_fd: int) -> FoundRun | None:
    """Inspect run `name` in its service's directory; None if it is gone or another user's."""
    try:
        run_fd = os.open(name, DIRECTORY, dir_fd=service_fd)
    except OSError:
        return None
    try:
        found = os.fstat(run_fd)
        if found.st_uid != os.geteuid():
            return None
        size_bytes, ended_s, newest, pinned = 0, found.st_mtime, "", False
        names = os.listdir(run_fd)
        for entry in names:
            if entry == PIN_NAME:
                pinned = True
            elif _COUNTED.fullmatch(entry):
                status, is_segment = _counted(entry, run_fd)
                if status is not None:
                    size_bytes += status.st_size
                    if is_segment and (len(entry), entry) > (len(newest), newest):
                        newest, ended_s = entry, status.st_mtime
        growing_bytes = _reserved_growth_bytes(newest, run_fd) if newest else None
        return FoundRun(
            size_bytes + (growing_bytes or 0),
            ended_s,
            removable=growing_bytes is None and not pinned,
            empty=not names and time() - ended_s > _EMPTY_S,
        )
    except OSError:  # it was removed, or must not be read
        return None
    finally:
        close_descriptor(run_fd)


def _counted(entry: str, run_fd: int) -> tuple[os.stat_result | None, bool]:
    """Return the status of a file that counts, None for another one, and if it is a segment.

    Raises OSError.
    """
    is_segment = SEGMENT_PATTERN.fullmatch(entry) is not None
    try:
        status = os.stat(entry, dir_fd=run_fd, follow_symlinks=False)
    except FileNotFoundError:
        if is_segment:
            raise
        return None, False  # it became complete, and has another name now
    return (status if stat.S_ISREG(status.st_mode) else None), is_segment


def remove_run(service: str, name: str, log_directory_fd: int) -> int:
    """Remove a run that has ended; return the bytes freed, 0 if it is live or pinned."""
    try:
        service_fd = os.open(service, DIRECTORY, dir_fd=log_directory_fd)
    except OSError:
        return 0
    freed = 0
    try:
        freed = _remove_files(name, service_fd)
        os.rmdir(name, dir_fd=service_fd)
        os.rmdir(service, dir_fd=log_directory_fd)
    except OSError:
        # the directory contains files of others, or another run of the service
        return freed
    finally:
        close_descriptor(service_fd)
    return freed


def _reserved_growth_bytes(newest: str, run_fd: int) -> int | None:
    """Return None if a run has ended, else the bytes that its newest segment may still take."""
    fd = os.open(newest, EXISTING, dir_fd=run_fd)
    try:
        found = os.fstat(fd)
        if _has_ended(fd, found, lock(fd, shared=True)):
            return None
        return max(0, segment_capacity(os.pread(fd, 64, 0)) - found.st_size)
    finally:
        close_descriptor(fd)


def _has_ended(fd: int, found: os.stat_result, locked: bool | None) -> bool:  # noqa: FBT001 - as lock() returns it
    """Return whether the writer of a run's newest segment has ended: its lock is free.

    Without locks, it has ended if its log has a stop event, or no write for a day.
    """
    if locked is not None:
        return locked
    return time() - found.st_mtime > _SILENT_S or _is_stopped(fd, found.st_size)


def _is_stopped(fd: int, size_bytes: int) -> bool:
    """Return whether a segment's last page with samples or events ends with the stop event."""
    last = (size_bytes - 1) // PAGE_SIZE
    number, stopped = -1, False
    for slot in range(max(0, last - _LAST_PAGES + 1), last + 1):
        page = os.pread(fd, PAGE_SIZE, slot * PAGE_SIZE)
        try:
            prefix = read_prefix(page)
            if prefix.type != DATA or prefix.number < number:
                continue
            head = DataHead(prefix, page)
            check_body(prefix, page)
        except PprofplusError:
            continue
        at = prefix.head_length + sum(head.lengths)
        events = read_events(page[at : at + head.events_bytes])
        ends = bool(events) and events[-1].kind == STOP
        # of two versions of a page, the one with the stop event is the later one
        stopped = ends or (stopped and prefix.number == number)
        number = prefix.number
    return stopped


def _remove_files(name: str, service_fd: int) -> int:
    """Remove our files from a run directory; return the bytes that count. Raises OSError.

    The newest segment goes last, while its lock is held, so that no other process takes the run for
    a live one, or removes it too.
    """
    run_fd = os.open(name, DIRECTORY, dir_fd=service_fd)
    held = None
    freed = 0
    try:
        names = os.listdir(run_fd)
        segments = sorted(filter(SEGMENT_PATTERN.fullmatch, names), key=lambda n: (len(n), n))
        if segments:
            held = os.open(segments[-1], EXISTING, dir_fd=run_fd)
            if not _has_ended(held, os.fstat(held), lock(held)):
                return 0
        if PIN_NAME in names:
            return 0
        for ours in (*filter(_OUR_FILES.fullmatch, names), *segments):
            size_bytes = os.stat(ours, dir_fd=run_fd, follow_symlinks=False).st_size
            os.unlink(ours, dir_fd=run_fd)
            if _COUNTED.fullmatch(ours):
                freed += size_bytes
    except FileNotFoundError:  # another process removes it at the same time
        return freed
    finally:
        if held is not None:
            close_descriptor(held)
        close_descriptor(run_fd)
    return freed
