"""The export dialog: the path is shown and editable first, then a worker writes."""

from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from textual import on
from textual.message import Message
from textual.widget import Widget
from textual.widgets import ProgressBar

from pprofplus_tui.export import Exported, export, suggest_path
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import format_bytes, format_span_ms
from pprofplus_tui.screens.save_dialog import SaveDialog, working_directory
from pprofplus_tui.sources.local.run_log import RunLog


@dataclass(frozen=True)
class ExportJob:
    """What to export: the samples of `run` in [begin_ms, end_ms)."""

    run: Run
    begin_ms: int
    end_ms: int
    zone: tzinfo | None


class ExportDialog(SaveDialog[Exported]):
    """Exports the visible window, with a progress bar."""

    class Progressed(Message):
        """A share of the work, 0 to 1, is done."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    def __init__(self, job: ExportJob, *, plain: bool = False) -> None:
        run, place = job.run, working_directory()
        span = format_span_ms(job.end_ms - job.begin_ms)
        super().__init__(
            "export to CSV",
            f"{run.service} {run.pid}: the visible {span}, every sample, all metrics",
            suggest_path(run.service, run.pid, job.begin_ms, job.end_ms, place, job.zone),
            plain=plain,
        )
        self._job = job

    def meanwhile(self) -> tuple[Widget, ...]:
        """Return the progress bar."""
        return (ProgressBar(total=1000, show_eta=False, id="progress"),)

    def write(self, path: Path) -> Exported:
        """Write the samples, with a reader of its own."""
        job = self._job
        return export(
            RunLog(job.run.path),
            job.begin_ms,
            job.end_ms,
            path,
            zone=job.zone,
            progress=self._report,
            cancelled=self._cancelled.is_set,
        )

    def _report(self, share: float) -> None:
        # posted, not called: the worker must never wait for a screen that is going away
        self.post_message(self.Progressed(share))

    @on(Progressed)
    def _show_progress(self, message: Progressed) -> None:
        self.query_one("#progress", ProgressBar).update(progress=message.share * 1000)

    def done(self, written: Exported) -> tuple[str, str]:
        """Tell how much it was, where it is, and what is missing."""
        size, where = format_bytes(written.size_bytes), clean(str(written.path), 200)
        missing = [clean(problem, 200) for problem in written.problems]
        if written.skipped_pages:
            missing.append(f"{written.skipped_pages} damaged pages were skipped")
        title = "exported, incomplete" if missing else "exported"
        return title, "; ".join((f"{written.rows} samples, {size}: {where}", *missing))
