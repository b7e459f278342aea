"""The backend as the screens see it: requests and answers are plain values of the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pprofplus_tui.model.comparison_request import ComparisonRequest
from pprofplus_tui.model.events import RunEvent
from pprofplus_tui.model.export_job import Exported, ExportJob
from pprofplus_tui.model.messages import ChartRequest
from pprofplus_tui.model.runs import Run, RunId


class BackendPort(Protocol):
    """What a screen may request from the backend.

    `show`, `compare` and `read_first` return at once; the answers arrive as `Frame` and `Drawn`
    values through the callbacks given to the backend. The other methods read or write
    files before they return: call them from a worker thread. They raise PprofplusError or OSError
    with a one-line text for the user.
    """

    def show(self, request: ChartRequest) -> None:
        """Answer this request now, and again when the run has new samples."""

    def compare(self, comparison: ComparisonRequest | None) -> None:
        """Answer this comparison instead of the last request; None: return to the request."""

    def read_first(self, runs: tuple[RunId, ...], *, with_growth: bool = False) -> None:
        """Read all figures of these runs before those of other runs.

        With `with_growth`, also judge how each live run grows.
        """

    def events(self, run: Run, limit: int) -> tuple[RunEvent, ...]:
        """Return the events of a run in order of time, at most `limit` of them."""

    def toggle_pin(self, run: Run) -> bool:
        """Pin a run if it is not pinned, else unpin it; return whether it is pinned now."""

    def suggest_export_path(self, job: ExportJob, directory: Path) -> Path:
        """Return the path of a file in `directory` that does not exist, named after the job."""

    def export(
        self,
        job: ExportJob,
        path: Path,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> Exported:
        """Write the samples of a job to a new CSV file, complete or not at all.

        Calls `progress` with the share done, 0 to 1, and polls `cancelled`.
        """


class Backend(BackendPort, Protocol):
    """A backend that can be started and closed, by the code that makes it."""

    def start(self) -> None:
        """Start the thread, unless the backend is already closed."""

    def close(self) -> None:
        """Stop and join all threads."""
