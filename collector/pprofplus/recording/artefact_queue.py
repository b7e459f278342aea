"""The queue of artefacts to write: any thread adds one, the collector's thread writes it."""

from __future__ import annotations

from time import time_ns

from pprofplus.log.ledger import LedgerBusyError
from pprofplus.system.background import Gate

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

_NS_PER_MS = 1_000_000
# a waiting thread calls `check` this often
_STEP_S = 0.05


class PendingArtefact:
    """An artefact to be written.

    Attributes:
        unix_ms: when it was taken.
        kind: part of its name, like `why` and `suffix`.
        data: its content.
        name: its file name, once it is written.
        error: why it was not written, or None.
    """

    __slots__ = ("_done", "data", "error", "kind", "name", "suffix", "unix_ms", "why")

    def __init__(self, kind: str, data: bytes, why: str, suffix: str, unix_ms: int = 0) -> None:
        self.unix_ms = unix_ms or time_ns() // _NS_PER_MS
        self.kind = kind
        self.data = data
        self.why = why
        self.suffix = suffix
        self.name = ""
        self.error: BaseException | None = None
        self._done = Gate()

    def write(self, store: Callable[[PendingArtefact], str]) -> None:
        """Write it with `store`, and wake the waiting thread.

        Raises LedgerBusyError if the caller should try again.
        """
        try:
            self.name = store(self)
        except LedgerBusyError:
            raise
        except Exception as error:  # noqa: BLE001 - the waiting thread raises it
            self.error = error
        self._done.open()

    def fail(self, error: BaseException) -> None:
        """Discard it; the waiting thread raises `error`."""
        self.error = error
        self._done.open()

    def wait(self, check: Callable[[], None] | None) -> str:
        """Wait until it is written; return its name. Raises the error that prevented it.

        `check` is called during the wait, and may raise to end it.
        """
        while not self._done.is_open:
            if check is not None:
                check()
            self._done.wait(_STEP_S)
        if self.error is not None:
            raise self.error
        return self.name


def discard(queue: deque[PendingArtefact], pending: PendingArtefact) -> None:
    """Remove an artefact from the queue, if it is there."""
    try:
        queue.remove(pending)
    except ValueError:
        # it is written, or is being written
        pass


def write_all(queue: deque[PendingArtefact], store: Callable[[PendingArtefact], str]) -> None:
    """Write all artefacts of the queue; if the ledger is busy, the rest stays in it."""
    while queue:
        pending = queue.popleft()
        try:
            pending.write(store)
        except LedgerBusyError:
            queue.appendleft(pending)
            return
