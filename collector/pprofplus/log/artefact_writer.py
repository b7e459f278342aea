"""Writes an artefact of a run: reserves space in the ledger, writes the file, and renames it."""

from __future__ import annotations

import errno
import os

from pprofplus.errors import UnsafeDirectoryError
from pprofplus.log.artefacts import (
    NewArtefact,
    artefacts_bytes,
    evict_artefacts,
    most_artefact_bytes,
    parse_artefact_name,
)
from pprofplus.log.ledger import Ledger, LedgerBusyError
from pprofplus.log.retention import NO_ROOM, find_room
from pprofplus.log.segment import largest_file_bytes

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from pprofplus.log.ledger import Account

_FINISH_TIMEOUT_S = 0.25


class ArtefactWriter:
    """Writes artefacts into one run directory.

    Other processes wait only milliseconds for the ledger, so it is not locked while the data is
    written: the file has its final size from the start, and scans count that size.
    """

    def __init__(
        self,
        log_directory_fd: int,
        run_fd: int,
        take_ledger: Callable[[int], Ledger | None],
        account: Account,
        max_total_bytes: int,
    ) -> None:
        """Use these descriptors; `take_ledger` returns None if the ledger's holder hangs."""
        self._log_directory_fd = log_directory_fd
        self._run_fd = run_fd
        self._take_ledger = take_ledger
        self._account = account
        self._max_total_bytes = max_total_bytes
        self._most_bytes = most_artefact_bytes(max_total_bytes)

    def write(self, name: str, data: bytes, mode: int) -> None:
        """Write an artefact under an unused name. Raises LedgerBusyError, OSError."""
        size_bytes = len(data)
        if size_bytes > min(largest_file_bytes(size_bytes), self._most_bytes):
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        ledger = self._take_ledger(self._log_directory_fd)
        reserved_bytes = 0
        try:
            if ledger is None:
                self._account.created_in = None
            self._make_room(ledger, name, size_bytes)
            if ledger is not None:
                ledger.reserve(size_bytes, self._account)
                ledger.save()
                reserved_bytes = size_bytes
            new = NewArtefact(self._run_fd, name, size_bytes, mode)
        except BaseException:
            if ledger is not None and reserved_bytes:
                ledger.release(reserved_bytes, self._account)
                ledger.save()
            raise
        finally:
            if ledger is not None:
                ledger.unlock()
        try:
            new.write(data)
            self._finish(new.publish, 0)
        except BaseException:
            self._finish(new.discard, reserved_bytes)
            raise

    def _make_room(self, ledger: Ledger | None, name: str, size_bytes: int) -> None:
        """Evict artefacts and runs until there is space. Raises LedgerBusyError, OSError."""
        run_fd, artefact = self._run_fd, parse_artefact_name(name)
        keep = None if artefact is None else artefact.group
        freed = evict_artefacts(run_fd, size_bytes, self._most_bytes, keep)
        if ledger is not None:
            ledger.release(freed, self._account)
        left_bytes = artefacts_bytes(run_fd)
        if left_bytes + size_bytes > self._most_bytes:
            if ledger is not None:
                ledger.save()
            raise OSError(errno.EDQUOT, "the artefacts of one moment take all that a run may keep")
        if ledger is None:
            return
        room, certain = find_room(
            ledger, self._log_directory_fd, size_bytes, size_bytes, self._max_total_bytes
        )
        if size_bytes > room >= size_bytes - left_bytes:
            freed = evict_artefacts(run_fd, size_bytes - room, left_bytes, keep)
            ledger.release(freed, self._account)
            room += freed
        if room < size_bytes:
            ledger.save()
            if not certain:
                raise LedgerBusyError(errno.EAGAIN, "another process is evicting runs to make room")
            raise OSError(errno.EDQUOT, NO_ROOM)

    def _finish(self, finish: Callable[[], bool], reserved_bytes: int) -> None:
        """Call `finish` with the ledger locked, if it is free soon, so that no scan runs meanwhile.

        If `finish` returns True, the reservation is released. Raises what `finish` raises.
        """
        ledger: Ledger | None = None
        try:
            ledger = Ledger.acquire(self._log_directory_fd, _FINISH_TIMEOUT_S)
        except (OSError, UnsafeDirectoryError):
            # the total may be wrong until the next scan
            pass
        try:
            if finish() and ledger is not None and reserved_bytes:
                ledger.release(reserved_bytes, self._account)
                ledger.save()
        finally:
            if ledger is not None:
                ledger.unlock()
