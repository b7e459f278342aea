"""A running long action: on its own thread, with progress, and with a way to cancel it.

Its thread uses no file of the log and holds no lock that a fork waits for. It keeps progress and
result in memory and wakes the collector's thread, which writes them. So still only one thread
reads and writes files: a disk that hangs delays an answer and blocks nothing else, and a fork
copies no descriptor in an intermediate state.
"""

from __future__ import annotations

import os
from time import monotonic_ns

from pprofplus.system.background import BackgroundThread, WakeEvent
from pprofplus.warn import describe

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pprofplus.control.actions import Action

# the shortest time between two writes of the progress
_REPORT_NS = 500_000_000


class ActionCancelledError(Exception):
    """The action must end now, and undo its changes to the process."""


class LongAction:
    """One running long action.

    Its handler calls `report`, `wait` and `check`; the collector's thread calls the rest.

    Attributes:
        stem: the name of its request's files, without suffix.
        action: the action.
        result: (done, text) when it has ended, else None.
        failed: it ended with an unexpected error.
    """

    __slots__ = (
        "_arguments",
        "_cancelled",
        "_pid",
        "_progress",
        "_recorder",
        "_reported_ns",
        "_thread",
        "_unwritten",
        "_wake",
        "_wake_event",
        "_why",
        "_written_ns",
        "action",
        "failed",
        "result",
        "stem",
    )

    def __init__(
        self,
        stem: str,
        action: Action,
        arguments: dict[str, Any],
        recorder: object,
        wake: Callable[[], None] | None,
    ) -> None:
        """Prepare it; `wake` makes the collector's thread check `has_news`."""
        self.stem = stem
        self.action = action
        self.result: tuple[bool, str] | None = None
        self.failed = False
        self._arguments = arguments
        self._recorder = recorder
        self._wake = wake
        self._wake_event = WakeEvent()
        self._cancelled = False
        self._why = ""
        self._pid = os.getpid()
        self._progress = (0.0, "")
        self._unwritten = True  # the first write shows that it has begun
        self._reported_ns = 0
        self._written_ns = -_REPORT_NS
        self._thread = BackgroundThread(self._run)

    def start(self) -> None:
        """Start its thread. Raises RuntimeError or MemoryError if no thread can be created."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for its end, at most `timeout_s`."""
        self._thread.join(timeout_s)

    def cancel(self, why: str) -> None:
        """Request its end; `why` is then its answer. Safe from any thread."""
        if not self._cancelled:
            self._why = why
            self._cancelled = True
            self._wake_event.set()

    @property
    def cancelled(self) -> bool:
        """Whether it must end: it was cancelled, or this is a forked child of its process."""
        return self._cancelled or os.getpid() != self._pid

    def check(self) -> None:
        """Raise ActionCancelledError if it must end."""
        if self.cancelled:
            raise ActionCancelledError

    def wait(self, timeout_s: float) -> None:
        """Sleep for `timeout_s`. Raises ActionCancelledError as soon as it must end."""
        self.check()
        self._wake_event.wait(timeout_s)
        self.check()

    def report(self, share: float, text: str = "") -> None:
        """Report progress: the share that is done, 0 to 1, and one line of text."""
        self._progress = (min(max(float(share), 0.0), 1.0), text)
        self._unwritten = True
        now_ns = monotonic_ns()
        if now_ns - self._reported_ns >= _REPORT_NS:
            self._reported_ns = now_ns
            self._wake_collector()

    @property
    def has_news(self) -> bool:
        """Whether there is something for the collector's thread to write."""
        return self.result is not None or self._progress_due

    def take_progress(self) -> tuple[float, str] | None:
        """Return (share, text) if they should be written now, else None."""
        if not self._progress_due:
            return None
        self._unwritten = False
        self._written_ns = monotonic_ns()
        return self._progress

    @property
    def _progress_due(self) -> bool:
        return self._unwritten and monotonic_ns() - self._written_ns >= _REPORT_NS

    def _run(self) -> None:
        try:
            result = True, str(self.action.handler(self._recorder, self._arguments, self))
        except ActionCancelledError:
            result = False, self._why
        except ValueError as error:
            result = False, str(error)
        except BaseException as error:  # noqa: BLE001 - outer boundary: no exception reaches the host
            self.failed = True
            result = False, f"it failed: {describe(error)}"
        if os.getpid() == self._pid:  # otherwise the handler forked, and the parent answers
            self.result = result
            self._wake_collector()

    def _wake_collector(self) -> None:
        if self._wake is not None:
            self._wake()
