"""Where a run's segments go: its directory, and room in run and home for the next one."""

from __future__ import annotations

import errno
import os
from time import monotonic

from pprofplus.errors import UnsafePlaceError
from pprofplus.format import PAGE_SIZE, RunHeader, pack_header
from pprofplus.home import make_run, open_home, open_run, run_name
from pprofplus.retention import Ledger, LedgerBusyError, make_home_room, relieve
from pprofplus.segment import SEGMENT_BYTES, Segment, drop_oldest, make_room

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_MAX_BYTES = 64 << 20
LEAST_MAX_BYTES = 256 << 10
_SEGMENTS = 4  # at the least, so that dropping one keeps most of the run
_BUSY_PATIENCE_S = 10.0
_FULL_PAUSE_S = 30.0
_HOME_IS_FULL = (
    "live and pinned runs take all of max_total_bytes: raise it, or unpin what is not needed"
)


class RunFiles:
    """The files of one run.

    Attributes:
        tight: the home is near its cap: `relieve` it before the next segment has to.
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
        self.tight = False
        self.passed_over = 0
        self._home = home
        self._header = header
        self._max_bytes = max_bytes
        self._max_total_bytes = max_total_bytes
        self._group_readable = group_readable
        self._made = False
        self._number = 0  # of the newest segment
        self._capacity_bytes = 0  # of that, as the ledger has it
        self._busy_since_s: float | None = None
        self._full_until_s = 0.0

    @property
    def directory(self) -> str:
        """The run's directory."""
        header = self._header
        return "/".join((self._home, header.service, run_name(header.pid, header.start_ms)))

    def open_next(self, spare: int | None) -> Segment:
        """Make the next segment where run and home have room for it, and the directory with it.

        `spare` is the number of the one being written, which is not dropped for it. Raises OSError,
        PprofplusError; LedgerBusyError if it is only a moment too early.
        """
        home_fd = open_home(self._home, group_readable=self._group_readable)
        try:
            ledger = self._take_ledger(home_fd)
            try:
                return self._open_within(home_fd, ledger, spare)
            finally:
                if ledger is not None:
                    ledger.release()
        finally:
            os.close(home_fd)

    def relieve(self) -> None:
        """Drop ended runs until there is room again: it may take long, and no start() waits for it.

        Never raises OSError.
        """
        self.tight = False
        self._with_ledger(lambda home_fd, ledger: relieve(ledger, home_fd, self._max_total_bytes))

    def settle(self, end_bytes: int) -> None:
        """Give back what the newest segment, which ends at `end_bytes`, has not come to take."""
        unused, self._capacity_bytes = self._capacity_bytes - end_bytes, 0
        if unused > 0:
            self._with_ledger(lambda _, ledger: ledger.gave_back(unused))

    def _with_ledger(self, action: Callable[[int, Ledger], None]) -> None:
        """Do something with the ledger if it is free, and write it down. Never raises OSError."""
        try:
            home_fd = open_home(self._home, group_readable=self._group_readable)
            try:
                ledger = Ledger.take(home_fd, tries=1)
                try:
                    action(home_fd, ledger)
                    ledger.note()
                finally:
                    ledger.release()
            finally:
                os.close(home_fd)
        except (OSError, UnsafePlaceError):
            # then the sum is too large for a while, and somebody looks sooner than needed
            return

    def _take_ledger(self, home_fd: int) -> Ledger | None:
        """Return the home's ledger, or None if its holder seems to hang.

        Raises LedgerBusyError, UnsafePlaceError, OSError.
        """
        try:
            ledger = Ledger.take(home_fd)
        except LedgerBusyError:
            now_s = monotonic()
            if self._busy_since_s is None:
                self._busy_since_s = now_s
            if now_s - self._busy_since_s < _BUSY_PATIENCE_S:
                raise
            return None  # rather a home above its cap for a while than a run without a log
        self._busy_since_s = None
        return ledger

    def _open_within(self, home_fd: int, ledger: Ledger | None, spare: int | None) -> Segment:
        header = self._header
        place = (self._home, header.service, header.pid)
        if not self._made:
            header.start_ms = make_run(*place, header.start_ms, group_readable=self._group_readable)
            self._made = True
        directory = open_run(*place, header.start_ms, group_readable=self._group_readable)
        try:
            size_bytes = self._wanted_bytes()
            freed = make_room(directory, spare, size_bytes, self._max_bytes)
            if ledger is not None:
                ledger.gave_back(freed)
                size_bytes = self._within_home(home_fd, ledger, directory, spare, size_bytes)
            wanted = self._number + 1
            pages = pack_header(header, size_bytes)
            mode = 0o640 if self._group_readable else 0o600
            new = Segment(directory, wanted, pages, size_bytes, mode)
        finally:
            os.close(directory)
        self.passed_over = wanted if new.number != wanted else 0
        self._number = new.number
        return new

    def _wanted_bytes(self) -> int:
        """Return the size of a segment, given that several make up the least that is kept."""
        share = min(self._max_bytes, self._max_total_bytes) // _SEGMENTS
        pages = max(min(SEGMENT_BYTES, share) // PAGE_SIZE, self._least_pages())
        return pages * PAGE_SIZE

    def _least_pages(self) -> int:
        """Return the pages of the smallest segment: header, a page, its other version, one more."""
        return len(pack_header(self._header)) + 3

    def _within_home(
        self, home_fd: int, ledger: Ledger, directory: int, spare: int | None, size_bytes: int
    ) -> int:
        """Find room in the home, and note it; return the size found, `size_bytes` or less.

        Ended runs go first, then our own past. Raises OSError with EDQUOT if that does not do.
        """
        if monotonic() < self._full_until_s:  # looking again takes long where there are many runs
            raise OSError(errno.EDQUOT, _HOME_IS_FULL)
        over = make_home_room(ledger, home_fd, size_bytes, self._max_total_bytes)
        if over:
            freed = drop_oldest(directory, spare, over)
            ledger.gave_back(freed)
            over = max(0, over - freed)
        size_bytes -= -(-over // PAGE_SIZE) * PAGE_SIZE
        if size_bytes < self._least_pages() * PAGE_SIZE:
            ledger.note()
            self._full_until_s = monotonic() + _FULL_PAUSE_S
            raise OSError(errno.EDQUOT, _HOME_IS_FULL)
        ledger.take_up(size_bytes)
        ledger.note()
        self._capacity_bytes = size_bytes
        self.tight = ledger.tight(self._max_total_bytes)
        return size_bytes
