"""The run directory: creates it, and opens the next segment if both caps leave room."""

from __future__ import annotations

import errno
import os
from time import monotonic

from pprofplus.errors import UnsafeDirectoryError
from pprofplus.log.format import PAGE_SIZE, RunHeader, pack_header
from pprofplus.log.ledger import TIMEOUT_S, Account, Ledger, LedgerBusyError
from pprofplus.log.log_directory import (
    make_run,
    open_log_directory,
    open_run,
    remove_empty_run,
    run_name,
)
from pprofplus.log.retention import (
    NO_ROOM,
    find_room,
    is_ready,
    load,
    maintain,
    schedule_maintenance,
)
from pprofplus.log.segment import (
    SEGMENT_BYTES,
    Segment,
    drop_oldest,
    largest_file_bytes,
    make_room,
)
from pprofplus.system.descriptor import close_descriptor

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_MAX_BYTES = 64 << 20
MIN_MAX_BYTES = 256 << 10
_SEGMENTS = 4  # at least, so that dropping one keeps most of the run
# A process that is killed leaves its reservation until a scan corrects that. So the first segment
# of a run is small, and a later one is no larger than all previous ones together.
_FIRST_BYTES = 64 << 10
_CLOSE_TIMEOUT_S = 0.01
# The first segment is worth a longer wait: a job may end before another attempt.
_FIRST_TIMEOUT_S = 0.25
_BUSY_TIMEOUT_S = 10.0
_FULL_PAUSE_S = 30.0


class RunDirectory:
    """The files of one run.

    Attributes:
        skipped_number: number of a segment whose name was taken by another file when the last one
            was opened, or 0.
    """

    def __init__(
        self,
        log_directory: str,
        header: RunHeader,
        *,
        max_bytes: int,
        max_total_bytes: int,
        group_readable: bool,
    ) -> None:
        self.skipped_number = 0
        self._log_directory = log_directory
        self._header = header
        self._max_bytes = max_bytes
        self._max_total_bytes = max_total_bytes
        self._group_readable = group_readable
        self._created = False
        self._account = Account(header.start_ms, None)
        self._number = 0  # of the newest segment
        self._reserved_bytes = 0  # for the newest segment, as in the ledger
        self._opened_bytes = 0  # of all segments
        self._busy_since_s: float | None = None
        self._full_until_s = 0.0

    @property
    def directory(self) -> str:
        """The run directory."""
        header = self._header
        return "/".join(
            (self._log_directory, header.service, run_name(header.pid, header.start_ms))
        )

    @property
    def _mode(self) -> int:
        return 0o640 if self._group_readable else 0o600

    def open_next(self, spare: int | None, end_previous: Callable[[], int]) -> Segment:
        """Create the next segment, and the run directory if missing, if both caps leave room.

        `spare` is the number of the segment being written, which is not dropped to make room. When
        the next one exists, `end_previous` ends that one, and returns its end in bytes. Raises
        OSError, PprofplusError; LedgerBusyError if it may work in a moment.
        """
        log_directory_fd = open_log_directory(
            self._log_directory, group_readable=self._group_readable
        )
        try:
            ledger = self._take_ledger(log_directory_fd)
            try:
                return self._open_within(log_directory_fd, ledger, spare, end_previous)
            finally:
                if ledger is not None:
                    ledger.unlock()
        finally:
            close_descriptor(log_directory_fd)

    def store_artefact(
        self, unix_ms: int, kind: str, data: bytes, *, why: str = "", suffix: str = ""
    ) -> str:
        """Write an artefact into the run directory, complete or not at all; return its name.

        The oldest artefacts of the run are evicted for it. Raises ValueError for a name that is not
        allowed, OSError, PprofplusError; LedgerBusyError if it may work in a moment.
        """
        from pprofplus.log import artefact_writer, artefacts

        log_directory_fd = open_log_directory(
            self._log_directory, group_readable=self._group_readable
        )
        try:
            run_fd = self._open_directory()
            if run_fd is None:
                raise OSError(errno.ENOENT, "the run has no directory")
            try:
                suffix = suffix or artefacts.PROFILE_SUFFIX
                name = artefacts.free_name(run_fd, unix_ms, kind, why, suffix)
                artefact_writer.ArtefactWriter(
                    log_directory_fd,
                    run_fd,
                    self._take_ledger,
                    self._account,
                    self._max_total_bytes,
                ).write(name, data, self._mode)
            finally:
                close_descriptor(run_fd)
        finally:
            close_descriptor(log_directory_fd)
        return name

    def maintain(self) -> None:
        """Do what is due for the log directory, for milliseconds; cheap if nothing is due."""
        maintain(self._log_directory, self._max_total_bytes)

    def close(self, end: Callable[[], int]) -> None:
        """Let `end` end the newest segment, and release the bytes that it did not take.

        It returns the end in bytes. It is called while the ledger is locked, if
        possible: a scan in between would count the segment as it is, and then the release would
        subtract too much. Never raises OSError.
        """
        ended: list[int] = []

        def end_once() -> int:
            if not ended:
                ended.append(end())
            return ended[0]

        try:
            if self._reserved_bytes:
                self._close_within(end_once)
        except (OSError, UnsafeDirectoryError):
            # then the sum is too large until the next scan
            pass
        end_once()
        self._reserved_bytes = 0

    def _close_within(self, end: Callable[[], int]) -> None:
        log_directory_fd = open_log_directory(
            self._log_directory, group_readable=self._group_readable
        )
        try:
            ledger = Ledger.acquire(log_directory_fd, _CLOSE_TIMEOUT_S)
            try:
                ledger.release(max(0, self._reserved_bytes - end()), self._account)
                ledger.save()
            finally:
                ledger.unlock()
        finally:
            close_descriptor(log_directory_fd)

    def _take_ledger(self, log_directory_fd: int) -> Ledger | None:
        """Return the log directory's ledger, or None if its holder seems to hang.

        Raises LedgerBusyError, UnsafeDirectoryError, OSError.
        """
        timeout_s = TIMEOUT_S if self._number else _FIRST_TIMEOUT_S
        try:
            ledger = Ledger.acquire(log_directory_fd, timeout_s)
            if not is_ready(ledger, log_directory_fd, self._max_total_bytes):
                ledger.unlock()
                load()
                ledger = Ledger.acquire(log_directory_fd, timeout_s)
        except LedgerBusyError:
            now_s = monotonic()
            if self._busy_since_s is None:
                self._busy_since_s = now_s
            if now_s - self._busy_since_s < _BUSY_TIMEOUT_S:
                raise
            return None  # better to exceed the cap for a while than to lose the run's log
        self._busy_since_s = None
        return ledger

    def _open_within(
        self,
        log_directory_fd: int,
        ledger: Ledger | None,
        spare: int | None,
        end_previous: Callable[[], int],
    ) -> Segment:
        directory = self._open_directory()
        try:
            size_bytes = self._wanted_bytes()
            # otherwise it is created when there is room for its first segment
            if directory is not None:
                freed = make_room(directory, spare, size_bytes, self._max_bytes)
                if ledger is not None:
                    ledger.release(freed, self._account)
            if ledger is None:
                self._account.created_in = None
            else:
                size_bytes = self._reserve(log_directory_fd, ledger, directory, spare, size_bytes)
            made = directory is None
            try:
                if directory is None:
                    directory = self._make_directory()
                new = self._make_segment(directory, size_bytes)
            except BaseException:
                if ledger is not None:
                    ledger.release(size_bytes, self._account)
                    ledger.save()
                if made:
                    self._remove_directory(log_directory_fd)
                raise
        finally:
            if directory is not None:
                close_descriptor(directory)
        self._end_previous(ledger, spare, size_bytes, end_previous)
        return new

    def _end_previous(
        self,
        ledger: Ledger | None,
        spare: int | None,
        size_bytes: int,
        end_previous: Callable[[], int],
    ) -> None:
        """End the segment before the newest, which has `size_bytes`. Never raises OSError."""
        before_bytes, self._reserved_bytes = self._reserved_bytes, 0
        self._opened_bytes += size_bytes
        end_bytes = before_bytes if spare is None else end_previous()
        if ledger is not None:
            self._reserved_bytes = size_bytes
            if end_bytes < before_bytes:
                ledger.release(before_bytes - end_bytes, self._account)
                try:
                    ledger.save()
                except OSError:
                    # then the sum is too large until the next scan
                    pass
            schedule_maintenance(self._log_directory, ledger, self._max_total_bytes)

    def _open_directory(self) -> int | None:
        """Return the run directory, None if it is not created yet or was removed.

        Raises UnsafeDirectoryError, OSError.
        """
        if not self._created:
            return None
        header = self._header
        try:
            return open_run(self._log_directory, header.service, header.pid, header.start_ms)
        except FileNotFoundError:
            return None

    def _make_directory(self) -> int:
        """Create the run directory; return a descriptor. Raises UnsafeDirectoryError, OSError."""
        header = self._header
        location = (self._log_directory, header.service, header.pid)
        header.start_ms = make_run(*location, header.start_ms, group_readable=self._group_readable)
        self._account.start_ms = header.start_ms
        self._created = True
        return open_run(*location, header.start_ms)

    def _remove_directory(self, log_directory_fd: int) -> None:
        """Remove the run directory again if it has no segment. Never raises OSError."""
        if self._created and not self._number:
            self._created = False
            header = self._header
            remove_empty_run(log_directory_fd, header.service, header.pid, header.start_ms)

    def _make_segment(self, directory: int, size_bytes: int) -> Segment:
        wanted = self._number + 1
        pages = pack_header(self._header, size_bytes)
        new = Segment(directory, wanted, pages, size_bytes, self._mode)
        self.skipped_number = wanted if new.number != wanted else 0
        self._number = new.number
        return new

    def _wanted_bytes(self) -> int:
        """Return the size of the next segment, so that several of them fit into the caps.

        Raises OSError if this process may not write a file of that size.
        """
        share = min(self._max_bytes, self._max_total_bytes) // _SEGMENTS
        size_bytes = min(SEGMENT_BYTES, share, max(_FIRST_BYTES, self._opened_bytes))
        least_bytes, largest_bytes = self._min_pages() * PAGE_SIZE, largest_file_bytes()
        if least_bytes > largest_bytes:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return max(min(size_bytes, largest_bytes) // PAGE_SIZE * PAGE_SIZE, least_bytes)

    def _min_pages(self) -> int:
        """Return the pages of the smallest segment: header, a page, its other version, one more."""
        return len(pack_header(self._header)) + 3

    def _reserve(
        self,
        log_directory_fd: int,
        ledger: Ledger,
        directory: int | None,
        spare: int | None,
        size_bytes: int,
    ) -> int:
        """Find room in the log directory and reserve it; return the size, at most `size_bytes`.

        Ended runs are removed first, then the oldest segments of this run. Raises LedgerBusyError
        if there may be room in a moment, OSError with EDQUOT if not.
        """
        if monotonic() < self._full_until_s:  # another search takes long where there are many runs
            raise OSError(errno.EDQUOT, NO_ROOM)
        # a short job never needs more; a long run would get a very large number of small segments
        enough_bytes = size_bytes if self._number else self._min_pages() * PAGE_SIZE
        room, certain = find_room(
            ledger, log_directory_fd, size_bytes, enough_bytes, self._max_total_bytes
        )
        if room < size_bytes and directory is not None:
            freed = drop_oldest(directory, spare, size_bytes - room)
            ledger.release(freed, self._account)
            room = min(size_bytes, room + freed)
            min_bytes = self._min_pages() * PAGE_SIZE
            if room < min_bytes:  # the log matters more than old artefacts
                freed = _evict_artefacts(directory, min_bytes - room)
                ledger.release(freed, self._account)
                room = min(size_bytes, room + freed)
        size_bytes = room // PAGE_SIZE * PAGE_SIZE
        if size_bytes < self._min_pages() * PAGE_SIZE:
            ledger.save()
            schedule_maintenance(self._log_directory, ledger, self._max_total_bytes)
            if not certain:
                raise LedgerBusyError(errno.EAGAIN, "another process is evicting runs to make room")
            self._full_until_s = monotonic() + _FULL_PAUSE_S
            raise OSError(errno.EDQUOT, NO_ROOM)
        if directory is None:
            self._account.created_in = ledger.scan.number
        ledger.reserve(size_bytes, self._account)
        ledger.save()
        return size_bytes


def _evict_artefacts(directory: int, wanted_bytes: int) -> int:
    """Evict a run's oldest artefacts until `wanted_bytes` are free; return how many are.

    Raises OSError.
    """
    try:
        from pprofplus.log import artefacts
    except ImportError:  # a server that was root may not read the library any more
        return 0
    return artefacts.evict_artefacts(directory, wanted_bytes, artefacts.artefacts_bytes(directory))
