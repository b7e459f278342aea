"""Writes an artefact of a run: reserves room in the ledger, writes the file, gives it its name."""

from __future__ import annotations

import errno
import os

from pprofplus.errors import UnsafePlaceError
from pprofplus.log.artefacts import (
    NewArtefact,
    artefacts_bytes,
    evict_artefacts,
    most_artefact_bytes,
    parse_artefact_name,
)
from pprofplus.log.ledger import Ledger, LedgerBusyError
from pprofplus.log.retention import make_home_room
from pprofplus.log.segment import largest_file_bytes

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from pprofplus.log.ledger import Account

HOME_IS_FULL = (
    "live and pinned runs take all of max_total_bytes: raise it, or unpin what is not needed"
)
_FINISH_PATIENCE_S = 0.25


class ArtefactWriter:
    """Writes artefacts into one run's directory.

    Other processes wait for the ledger for milliseconds only, so it is not held while the data is
    written: the file has its final size from the start, and a scan counts that.
    """

    def __init__(
        self,
        home_fd: int,
        run_fd: int,
        take_ledger: Callable[[int], Ledger | None],
        account: Account,
        max_total_bytes: int,
    ) -> None:
        """Use these descriptors; `take_ledger` returns None if the ledger's holder hangs."""
        self._home_fd = home_fd
        self._run_fd = run_fd
        self._take_ledger = take_ledger
        self._account = account
        self._max_total_bytes = max_total_bytes
        self._most_bytes = most_artefact_bytes(max_total_bytes)

    def write(self, name: str, data: bytes, mode: int) -> None:
        """Write an artefact under a name that is free. Raises LedgerBusyError, OSError."""
        size_bytes = len(data)
        if size_bytes > min(largest_file_bytes(size_bytes), self._most_bytes):
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        ledger = self._take_ledger(self._home_fd)
        reserved_bytes = 0
        try:
            if ledger is None:
                self._account.made_in = None
            self._make_room(ledger, name, size_bytes)
            if ledger is not None:
                ledger.reserve(size_bytes, self._account)
                ledger.note()
                reserved_bytes = size_bytes
            new = NewArtefact(self._run_fd, name, size_bytes, mode)
        except BaseException:
            if ledger is not None and reserved_bytes:
                ledger.give_back(reserved_bytes, self._account)
                ledger.note()
            raise
        finally:
            if ledger is not None:
                ledger.release()
        try:
            new.write(data)
            self._finish(new.publish, 0)
        except BaseException:
            self._finish(new.discard, reserved_bytes)
            raise

    def _make_room(self, ledger: Ledger | None, name: str, size_bytes: int) -> None:
        """Make room for an artefact in run and home. Raises LedgerBusyError, OSError."""
        run_fd, artefact = self._run_fd, parse_artefact_name(name)
        keep = None if artefact is None else artefact.group
        freed = evict_artefacts(run_fd, size_bytes, self._most_bytes, keep)
        if ledger is not None:
            ledger.give_back(freed, self._account)
        left_bytes = artefacts_bytes(run_fd)
        if left_bytes + size_bytes > self._most_bytes:
            if ledger is not None:
                ledger.note()
            raise OSError(errno.EDQUOT, "the artefacts of one moment take all that a run may keep")
        if ledger is None:
            return
        room, certain = make_home_room(
            ledger, self._home_fd, size_bytes, size_bytes, self._max_total_bytes
        )
        if size_bytes > room >= size_bytes - left_bytes:
            freed = evict_artefacts(run_fd, size_bytes - room, left_bytes, keep)
            ledger.give_back(freed, self._account)
            room += freed
        if room < size_bytes:
            ledger.note()
            if not certain:
                raise LedgerBusyError(errno.EAGAIN, "room is being made in the log directory")
            raise OSError(errno.EDQUOT, HOME_IS_FULL)

    def _finish(self, finish: Callable[[], bool], reserved_bytes: int) -> None:
        """Call `finish` with the ledger held, if that can be had soon: a scan comes between not.

        Where it returns True, what was reserved is released. Raises what `finish` raises.
        """
        ledger: Ledger | None = None
        try:  # noqa: SIM105 - contextlib costs each service 1 ms
            ledger = Ledger.take(self._home_fd, _FINISH_PATIENCE_S)
        except (OSError, UnsafePlaceError):
            # the sum may be wrong until the next scan
            pass
        try:
            if finish() and ledger is not None and reserved_bytes:
                ledger.give_back(reserved_bytes, self._account)
                ledger.note()
        finally:
            if ledger is not None:
                ledger.release()
