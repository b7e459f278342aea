"""Where a run's segments go: its directory, and room in run and home for the next one."""

from __future__ import annotations

import errno
import os
from time import monotonic

from pprofplus.errors import UnsafePlaceError
from pprofplus.log.artefact_writer import HOME_IS_FULL, ArtefactWriter
from pprofplus.log.artefacts import (
    PROFILE_SUFFIX,
    artefacts_bytes,
    evict_artefacts,
    free_name,
)
from pprofplus.log.format import PAGE_SIZE, RunHeader, pack_header
from pprofplus.log.ledger import PATIENCE_S, Account, Ledger, LedgerBusyError
from pprofplus.log.log_directory import make_run, open_home, open_run, remove_empty_run, run_name
from pprofplus.log.retention import is_ready, load, look_soon, make_home_room, tend
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
LEAST_MAX_BYTES = 256 << 10
_SEGMENTS = 4  # at the least, so that dropping one keeps most of the run
# A process that is killed leaves its reservation until a scan finds that. So the first segment of
# a run is small, and a later one is no larger than all before it together.
_FIRST_BYTES = 64 << 10
_CLOSE_PATIENCE_S = 0.01
# The first segment is worth more of it: a job may not live for another attempt.
_FIRST_PATIENCE_S = 0.25
_BUSY_PATIENCE_S = 10.0
_FULL_PAUSE_S = 30.0


class RunDirectory:
    """The files of one run.

    Attributes:
        passed_over: number of a segment whose name something else had when the last one was
            opened, or 0.
    """

    def __init__(
        self,
        home: str,
        header: RunHeader,
        *,
        max_bytes: int,
        max_total_bytes: int,
        group_readable: bool,
    ) -> None:
        self.passed_over = 0
        self._home = home
        self._header = header
        self._max_bytes = max_bytes
        self._max_total_bytes = max_total_bytes
        self._group_readable = group_readable
        self._made = False
        self._account = Account(header.start_ms, None)
        self._number = 0  # of the newest segment
        self._reserved_bytes = 0  # for that, as the ledger has it
        self._opened_bytes = 0  # of all segments
        self._busy_since_s: float | None = None
        self._full_until_s = 0.0

    @property
    def directory(self) -> str:
        """The run's directory."""
        header = self._header
        return "/".join((self._home, header.service, run_name(header.pid, header.start_ms)))

    @property
    def _mode(self) -> int:
        return 0o640 if self._group_readable else 0o600

    def open_next(self, spare: int | None, end_previous: Callable[[], int]) -> Segment:
        """Make the next segment where run and home have room for it, and the directory with it.

        `spare` is the number of the one being written, which is not dropped for it. When the next
        one is there, `end_previous` ends that one, and returns where. Raises OSError,
        PprofplusError; LedgerBusyError if it is only a moment too early.
        """
        home_fd = open_home(self._home, group_readable=self._group_readable)
        try:
            ledger = self._take_ledger(home_fd)
            try:
                return self._open_within(home_fd, ledger, spare, end_previous)
            finally:
                if ledger is not None:
                    ledger.release()
        finally:
            close_descriptor(home_fd)

    def store_artefact(
        self, unix_ms: int, kind: str, data: bytes, *, why: str = "", suffix: str = PROFILE_SUFFIX
    ) -> str:
        """Write an artefact into the run's directory, complete or not at all; return its name.

        The oldest artefacts of the run make room for it. Raises ValueError for a name that is not
        allowed, OSError, PprofplusError; LedgerBusyError if it is only a moment too early.
        """
        home_fd = open_home(self._home, group_readable=self._group_readable)
        try:
            run_fd = self._open_directory()
            if run_fd is None:
                raise OSError(errno.ENOENT, "the run has no directory")
            try:
                name = free_name(run_fd, unix_ms, kind, why, suffix)
                ArtefactWriter(
                    home_fd, run_fd, self._take_ledger, self._account, self._max_total_bytes
                ).write(name, data, self._mode)
            finally:
                close_descriptor(run_fd)
        finally:
            close_descriptor(home_fd)
        return name

    def tend(self) -> None:
        """Do what is due for the home, for milliseconds: cheap if nothing is. No OSError."""
        tend(self._home, self._max_total_bytes)

    def close(self, end: Callable[[], int]) -> None:
        """Have the newest segment ended, and give back what it has not come to take.

        `end` ends it, and returns where. It is called with the ledger held, if that can be had: a
        scan between the two would count the segment as it is, and what it gives back would be
        missing. Never raises OSError.
        """
        ended: list[int] = []

        def end_once() -> int:
            if not ended:
                ended.append(end())
            return ended[0]

        try:
            if self._reserved_bytes:
                self._close_within(end_once)
        except (OSError, UnsafePlaceError):
            # then the sum is too large until the next scan
            pass
        end_once()
        self._reserved_bytes = 0

    def _close_within(self, end: Callable[[], int]) -> None:
        home_fd = open_home(self._home, group_readable=self._group_readable)
        try:
            ledger = Ledger.take(home_fd, _CLOSE_PATIENCE_S)
            try:
                ledger.give_back(max(0, self._reserved_bytes - end()), self._account)
                ledger.note()
            finally:
                ledger.release()
        finally:
            close_descriptor(home_fd)

    def _take_ledger(self, home_fd: int) -> Ledger | None:
        """Return the home's ledger, or None if its holder seems to hang.

        Raises LedgerBusyError, UnsafePlaceError, OSError.
        """
        patience_s = PATIENCE_S if self._number else _FIRST_PATIENCE_S
        try:
            ledger = Ledger.take(home_fd, patience_s)
            if not is_ready(ledger, home_fd, self._max_total_bytes):
                ledger.release()
                load()
                ledger = Ledger.take(home_fd, patience_s)
        except LedgerBusyError:
            now_s = monotonic()
            if self._busy_since_s is None:
                self._busy_since_s = now_s
            if now_s - self._busy_since_s < _BUSY_PATIENCE_S:
                raise
            return None  # rather a home above its cap for a while than a run without a log
        self._busy_since_s = None
        return ledger

    def _open_within(
        self,
        home_fd: int,
        ledger: Ledger | None,
        spare: int | None,
        end_previous: Callable[[], int],
    ) -> Segment:
        directory = self._open_directory()
        try:
            size_bytes = self._wanted_bytes()
            if directory is not None:  # else it is made when there is room for what goes there
                freed = make_room(directory, spare, size_bytes, self._max_bytes)
                if ledger is not None:
                    ledger.give_back(freed, self._account)
            if ledger is None:
                self._account.made_in = None
            else:
                size_bytes = self._reserve(home_fd, ledger, directory, spare, size_bytes)
            made = directory is None
            try:
                if directory is None:
                    directory = self._make_directory()
                new = self._make_segment(directory, size_bytes)
            except BaseException:
                if ledger is not None:
                    ledger.give_back(size_bytes, self._account)
                    ledger.note()
                if made:
                    self._remove_directory(home_fd)
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
                ledger.give_back(before_bytes - end_bytes, self._account)
                try:  # noqa: SIM105 - contextlib costs each service 1 ms
                    ledger.note()
                except OSError:
                    # then the sum is too large until the next scan
                    pass
            look_soon(self._home, ledger, self._max_total_bytes)

    def _open_directory(self) -> int | None:
        """Return the run's directory, None if it is not made yet, or somebody removed it.

        Raises UnsafePlaceError, OSError.
        """
        if not self._made:
            return None
        header = self._header
        try:
            return open_run(self._home, header.service, header.pid, header.start_ms)
        except FileNotFoundError:
            return None

    def _make_directory(self) -> int:
        """Make the run's directory; return a descriptor. Raises UnsafePlaceError, OSError."""
        header = self._header
        place = (self._home, header.service, header.pid)
        header.start_ms = make_run(*place, header.start_ms, group_readable=self._group_readable)
        self._account.start_ms = header.start_ms
        self._made = True
        return open_run(*place, header.start_ms)

    def _remove_directory(self, home_fd: int) -> None:
        """Remove the run's directory again: it has no segment. Never raises OSError."""
        if self._made and not self._number:
            self._made = False
            header = self._header
            remove_empty_run(home_fd, header.service, header.pid, header.start_ms)

    def _make_segment(self, directory: int, size_bytes: int) -> Segment:
        wanted = self._number + 1
        pages = pack_header(self._header, size_bytes)
        new = Segment(directory, wanted, pages, size_bytes, self._mode)
        self.passed_over = wanted if new.number != wanted else 0
        self._number = new.number
        return new

    def _wanted_bytes(self) -> int:
        """Return the size of a segment, given that several make up the least that is kept.

        Raises OSError if this process may write no file of that size.
        """
        share = min(self._max_bytes, self._max_total_bytes) // _SEGMENTS
        size_bytes = min(SEGMENT_BYTES, share, max(_FIRST_BYTES, self._opened_bytes))
        least_bytes, largest_bytes = self._least_pages() * PAGE_SIZE, largest_file_bytes()
        if least_bytes > largest_bytes:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return max(min(size_bytes, largest_bytes) // PAGE_SIZE * PAGE_SIZE, least_bytes)

    def _least_pages(self) -> int:
        """Return the pages of the smallest segment: header, a page, its other version, one more."""
        return len(pack_header(self._header)) + 3

    def _reserve(
        self,
        home_fd: int,
        ledger: Ledger,
        directory: int | None,
        spare: int | None,
        size_bytes: int,
    ) -> int:
        """Find room in the home, and book it; return the size found, `size_bytes` or less.

        Ended runs go first, then our own past. Raises LedgerBusyError if there may be room in a
        moment, OSError with EDQUOT if not.
        """
        if monotonic() < self._full_until_s:  # looking again takes long where there are many runs
            raise OSError(errno.EDQUOT, HOME_IS_FULL)
        # a short job never needs more; a long run would have very many small segments
        enough_bytes = size_bytes if self._number else self._least_pages() * PAGE_SIZE
        room, certain = make_home_room(
            ledger, home_fd, size_bytes, enough_bytes, self._max_total_bytes
        )
        if room < size_bytes and directory is not None:
            freed = drop_oldest(directory, spare, size_bytes - room)
            ledger.give_back(freed, self._account)
            room = min(size_bytes, room + freed)
            least_bytes = self._least_pages() * PAGE_SIZE
            if room < least_bytes:  # the log goes on rather than that old artefacts stay
                freed = evict_artefacts(directory, least_bytes - room, artefacts_bytes(directory))
                ledger.give_back(freed, self._account)
                room = min(size_bytes, room + freed)
        size_bytes = room // PAGE_SIZE * PAGE_SIZE
        if size_bytes < self._least_pages() * PAGE_SIZE:
            ledger.note()
            look_soon(self._home, ledger, self._max_total_bytes)
            if not certain:
                raise LedgerBusyError(errno.EAGAIN, "room is being made in the log directory")
            self._full_until_s = monotonic() + _FULL_PAUSE_S
            raise OSError(errno.EDQUOT, HOME_IS_FULL)
        if directory is None:
            self._account.made_in = ledger.scan.number
        ledger.reserve(size_bytes, self._account)
        ledger.note()
        return size_bytes
