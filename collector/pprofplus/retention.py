"""What a whole home may take: its ledger, and which ended runs go first.

Every writer notes in the ledger what it may come to fill, before it opens a segment, under the
ledger's lock. So the sum there is never less than what is on disk, the cap holds to the byte
however many processes write at once, and a process that starts reads 32 bytes instead of a
thousand directories. Only when the sum reaches the cap are the directories looked at.
"""

# pathlib costs each service 5 ms, and has no openat
# ruff: noqa: PTH208

from __future__ import annotations

import errno
import os
import re
import stat
from struct import Struct
from time import sleep, time
from zlib import crc32

from pprofplus.descriptor import DIRECTORY, EITHER, EXISTING
from pprofplus.errors import UnsafePlaceError
from pprofplus.format import segment_capacity
from pprofplus.home import (
    LEDGER_NAME,
    OUTCOME_NAME,
    PIN_NAME,
    SEGMENT_PATTERN,
    TERMINATED_NAME,
    open_home,
    parse_run_name,
    valid_service,
)
from pprofplus.locks import lock

DEFAULT_MAX_TOTAL_BYTES = 1 << 30
DEFAULT_MAX_AGE_DAYS = 14.0

SWEEP_PERIOD_S = 3600.0

_DAY_S = 86_400.0
_RECORD = Struct("<8sqdI")  # magic, bound in bytes, unix seconds of the last sweep, CRC-32
_CRC_BYTES = 4
_MAGIC = b"PPLEDG1\n"
_TRIES = 20  # with a millisecond between: whoever holds the lock holds it for microseconds
_COUNTED = re.compile(r"\.?[0-9]{6,9}\.pplog(\.new)?")
# besides the segments: one in the making when its writer died, requests and their answers, and
# how the process ended
_OURS = re.compile(
    rf"\.[0-9]{{6,9}}\.pplog\.new|\.?ctl-[0-9a-f]{{1,32}}\.[a-z]{{1,16}}"
    rf"|{OUTCOME_NAME}|\.{OUTCOME_NAME}\.new|{TERMINATED_NAME}"
)
# what is freed at once when the cap is met, so that not every opening has to look: a 16th
_SLACK = 16
_NO_FILE = f"{LEDGER_NAME} in the log directory is no file: remove it"


class LedgerBusyError(OSError):
    """Another process has the ledger; try again with the next sample."""


class Ledger:
    """The home's ledger, locked from `take` to `release`.

    Attributes:
        bound_bytes: no less than what all segments of the home take or may come to take; None if
            nobody knows.
        swept_s: unix seconds of the last look for runs that are too old; 0 if there was none.
    """

    __slots__ = ("_fd", "bound_bytes", "swept_s")

    def __init__(self, fd: int) -> None:
        """Read the ledger from its locked descriptor, which is taken over."""
        self._fd = fd
        self.bound_bytes: int | None = None
        self.swept_s = 0.0
        raw = os.pread(fd, _RECORD.size, 0)
        if len(raw) == _RECORD.size:
            magic, bound, swept_s, crc = _RECORD.unpack(raw)
            if magic == _MAGIC and crc32(raw[:-_CRC_BYTES]) == crc:
                self.bound_bytes = bound if bound >= 0 else None
                self.swept_s = swept_s

    @classmethod
    def take(cls, home_fd: int, tries: int = _TRIES) -> Ledger:
        """Return the ledger, locked. Raises LedgerBusyError, UnsafePlaceError, OSError."""
        try:
            fd = os.open(LEDGER_NAME, EITHER, 0o600, dir_fd=home_fd)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
                raise UnsafePlaceError(_NO_FILE) from error
            raise
        try:
            _wait_for(fd, tries)
            return cls(fd)
        except BaseException:
            os.close(fd)
            raise

    def take_up(self, size_bytes: int) -> None:
        """Count bytes that are about to be taken."""
        if self.bound_bytes is not None:
            self.bound_bytes += size_bytes

    def gave_back(self, size_bytes: int) -> None:
        """Count bytes that were freed."""
        if self.bound_bytes is not None:
            self.bound_bytes = max(0, self.bound_bytes - size_bytes)

    def tight(self, max_total_bytes: int) -> bool:
        """Tell whether the next openings may find no room without a look."""
        bound = self.bound_bytes
        return bound is not None and bound > max_total_bytes - max_total_bytes // _SLACK

    def note(self) -> None:
        """Write it down. Raises OSError."""
        bound = -1 if self.bound_bytes is None else self.bound_bytes
        start = _RECORD.pack(_MAGIC, bound, self.swept_s, 0)[:-_CRC_BYTES]
        raw = start + crc32(start).to_bytes(_CRC_BYTES, "little")
        if os.pwrite(self._fd, raw, 0) != len(raw):
            raise OSError(errno.ENOSPC, "the ledger could not be written whole")

    def release(self) -> None:
        """Let the others have it; never raises."""
        fd, self._fd = self._fd, -1
        try:
            os.close(fd)
        except OSError:
            # the host closed it, and with it went the lock
            return


def _wait_for(fd: int, tries: int) -> None:
    """Lock the ledger's descriptor. Raises LedgerBusyError, UnsafePlaceError, OSError."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise UnsafePlaceError(_NO_FILE)
    while lock(fd) is False:
        tries -= 1
        if tries <= 0:
            raise LedgerBusyError(errno.EAGAIN, "the log directory's ledger is in use")
        sleep(0.001)


class _Run:
    """A run as a look at its directory finds it.

    Attributes:
        place: (service, run) names.
        size_bytes: what its segments take, a live one's newest with what it may come to fill.
        ended_s: unix seconds of its last write.
        loose: it has ended, and nobody pinned it.
    """

    __slots__ = ("ended_s", "loose", "place", "size_bytes")

    def __init__(
        self, place: tuple[str, str], size_bytes: int, ended_s: float, *, loose: bool
    ) -> None:
        self.place = place
        self.size_bytes = size_bytes
        self.ended_s = ended_s
        self.loose = loose


def make_home_room(ledger: Ledger, home_fd: int, new_bytes: int, max_total_bytes: int) -> int:
    """Drop ended runs, oldest first, until `new_bytes` more keep the home within its cap.

    Returns the bytes that are still too many: 0 if there is room. The ledger is not written.
    """
    bound = ledger.bound_bytes
    if bound is not None and bound + new_bytes <= max_total_bytes:
        return 0
    runs = _look(home_fd)
    total = sum(run.size_bytes for run in runs)
    if total + new_bytes > max_total_bytes:
        # a little more than is needed, so that the next opening need not look again
        goal = max_total_bytes - new_bytes - max_total_bytes // _SLACK
        total -= _drop(home_fd, [run for run in runs if run.loose], total - goal)
    ledger.bound_bytes = total
    return max(0, total + new_bytes - max_total_bytes)


def relieve(ledger: Ledger, home_fd: int, max_total_bytes: int) -> None:
    """Drop ended runs, oldest first, until the home is well below its cap."""
    if ledger.tight(max_total_bytes):
        runs = _look(home_fd)
        total = sum(run.size_bytes for run in runs)
        goal = max_total_bytes - 2 * (max_total_bytes // _SLACK)
        ledger.bound_bytes = total - _drop(
            home_fd, [run for run in runs if run.loose], total - goal
        )


def sweep_home(home: str, max_age_days: float) -> None:
    """Drop what is too old in a home, if there is one and nobody is at it; never raises OSError."""
    try:
        home_fd = open_home(home)
        try:
            sweep(home_fd, max_age_days)
        finally:
            os.close(home_fd)
    except (OSError, UnsafePlaceError):
        # whatever is in the way is in the writer's way, too, which tells of it
        return


def sweep(home_fd: int, max_age_days: float) -> int:
    """Drop runs that ended too long ago, if nobody has looked within the hour; return how many.

    Raises LedgerBusyError, UnsafePlaceError, OSError.
    """
    ledger = Ledger.take(home_fd, tries=1)
    try:
        now_s, before_s = time(), ledger.swept_s
        if 0 <= now_s - before_s < SWEEP_PERIOD_S:
            return 0
        ledger.swept_s = now_s
        dropped = 0
        # After a long pause, or a step of the clock, ages may be wrong: the next look decides.
        if 0 <= now_s - before_s < _DAY_S:
            runs = _look(home_fd)
            old = [run for run in runs if now_s - run.ended_s > max_age_days * _DAY_S]
            old = [run for run in old if run.loose]
            total = sum(run.size_bytes for run in runs)
            ledger.bound_bytes = total - _drop(home_fd, old, total)
            dropped = len(old)
        ledger.note()
        return dropped
    finally:
        ledger.release()


def _drop(home_fd: int, runs: list[_Run], wanted_bytes: int) -> int:
    """Remove runs, the one that ended first before the others; return the bytes freed."""
    freed = 0
    for run in sorted(runs, key=lambda run: run.ended_s):
        if freed >= wanted_bytes:
            break
        freed += _remove_run(home_fd, run)
    return freed


def _look(home_fd: int) -> list[_Run]:
    """Return every run of the home; what cannot be looked at, or is not ours, is left out."""
    runs = []
    for service in os.listdir(home_fd):
        if not valid_service(service):
            continue
        try:
            service_fd = os.open(service, DIRECTORY, dir_fd=home_fd)
        except OSError:
            continue
        try:
            for name in os.listdir(service_fd):
                if parse_run_name(name) is not None:
                    found = _look_at((service, name), service_fd)
                    if found is not None:
                        runs.append(found)
        except OSError:  # the directory went away under us
            continue
        finally:
            os.close(service_fd)
    return runs


def _look_at(place: tuple[str, str], service_fd: int) -> _Run | None:
    try:
        run_fd = os.open(place[1], DIRECTORY, dir_fd=service_fd)
    except OSError:
        return None
    try:
        found = os.fstat(run_fd)
        if found.st_uid != os.geteuid():
            return None
        size_bytes, ended_s, newest, pinned = 0, found.st_mtime, "", False
        for name in os.listdir(run_fd):
            if name == PIN_NAME:
                pinned = True
            elif _COUNTED.fullmatch(name):
                entry = os.stat(name, dir_fd=run_fd, follow_symlinks=False)
                if stat.S_ISREG(entry.st_mode):
                    size_bytes += entry.st_size
                    if name[0] != "." and (len(name), name) > (len(newest), newest):
                        newest, ended_s = name, entry.st_mtime
        growing_bytes = _growing(newest, run_fd) if newest else None
        return _Run(
            place,
            size_bytes + (growing_bytes or 0),
            ended_s,
            loose=growing_bytes is None and not pinned,
        )
    except OSError:  # it went away, or is not to be read
        return None
    finally:
        os.close(run_fd)


def _growing(newest: str, run_fd: int) -> int | None:
    """Return None if a run has ended, else the bytes that its newest segment may yet take.

    Where there are no locks, no run is known to have ended.
    """
    fd = os.open(newest, EXISTING, dir_fd=run_fd)
    try:
        if lock(fd, shared=True) is True:
            return None
        return max(0, segment_capacity(os.pread(fd, 64, 0)) - os.fstat(fd).st_size)
    finally:
        os.close(fd)


def _remove_run(home_fd: int, run: _Run) -> int:
    """Remove a run that has ended; return the bytes freed, 0 if it turned out to be alive."""
    service, name = run.place
    try:
        service_fd = os.open(service, DIRECTORY, dir_fd=home_fd)
    except OSError:
        return 0
    freed = 0
    try:
        freed = _empty(name, service_fd)
        os.rmdir(name, dir_fd=service_fd)
        os.rmdir(service, dir_fd=home_fd)
    except OSError:
        # something that is not ours is in there, or another run of the service
        return freed
    finally:
        os.close(service_fd)
    return freed


def _empty(name: str, service_fd: int) -> int:
    """Remove what we wrote to a run's directory; return the bytes of its segments. Raises OSError.

    The newest segment goes last and its lock is held, so that no one else takes the run for one
    that lives, or removes it too.
    """
    run_fd = os.open(name, DIRECTORY, dir_fd=service_fd)
    held = None
    freed = 0
    try:
        names = os.listdir(run_fd)
        segments = sorted(filter(SEGMENT_PATTERN.fullmatch, names), key=lambda n: (len(n), n))
        if segments:
            held = os.open(segments[-1], EXISTING, dir_fd=run_fd)
            if lock(held) is not True:
                return 0
        if PIN_NAME in names:
            return 0
        for ours in (*filter(_OURS.fullmatch, names), *segments):
            size_bytes = os.stat(ours, dir_fd=run_fd, follow_symlinks=False).st_size
            os.unlink(ours, dir_fd=run_fd)
            if _COUNTED.fullmatch(ours):
                freed += size_bytes
    except FileNotFoundError:  # someone else is at it, too
        return freed
    finally:
        if held is not None:
            os.close(held)
        os.close(run_fd)
    return freed
