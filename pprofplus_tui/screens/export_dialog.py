"""The export dialog: it shows an editable path first, then a worker writes the file."""

from pathlib import Path

from textual import on
from textual.message import Message
from textual.widget import Widget
from textual.widgets import ProgressBar

from pprofplus_tui.backend.interface import BackendPort
from pprofplus_tui.model.export_job import Exported, ExportJob
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import format_bytes, format_span_ms
from pprofplus_tui.screens.save_dialog import SaveDialog, working_directory


class ExportDialog(SaveDialog[Exported]):
    """Exports a window of a run to CSV, with a progress bar."""

    class Progressed(Message):
        """The worker has written this share of the file, 0 to 1."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    def __init__(self, backend: BackendPort, job: ExportJob, *, plain: bool = False) -> None:
        run, span = job.run, format_span_ms(job.end_ms - job.begin_ms)
        super().__init__(
            "export to CSV",
            f"{run.service} {run.pid}: the visible {span}, every sample, all metrics",
            backend.suggest_export_path(job, working_directory()),
            plain=plain,
        )
        self._backend = backend
        self._job = job

    def progress_widgets(self) -> tuple[Widget, ...]:
        """Return the progress bar."""
        return (ProgressBar(total=1000, show_eta=False, id="progress"),)

    def write(self, path: Path) -> Exported:
        """Write the samples."""
        return self._backend.export(self._job, path, self._report, self._cancelled.is_set)

    def _report(self, share: float) -> None:
        # posted, not called: the worker must never wait for a screen that closes
        self.post_message(self.Progressed(share))

    @on(Progressed)
    def _show_progress(self, message: Progressed) -> None:
        self.query_one("#progress", ProgressBar).update(progress=message.share * 1000)

    def done(self, written: Exported) -> tuple[str, str]:
        """Return how much was written, where to, and what is missing."""
        size, where = format_bytes(written.size_bytes), clean(str(written.path), 200)
        missing = [clean(problem, 200) for problem in written.problems]
        if written.skipped_pages:
            missing.append(f"{written.skipped_pages} damaged pages were skipped")
        title = "exported, incomplete" if missing else "exported"
        return title, "; ".join((f"{written.rows} samples, {size}: {where}", *missing))
