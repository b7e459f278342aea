"""The export dialog: it asks for a path, then a worker writes the file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pprofplus_tui.backend.interface import BackendPort
from pprofplus_tui.model.export_job import Exported, ExportJob
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import format_bytes, format_span_ms
from pprofplus_tui.screens.save_dialog import SaveDialog, working_directory


@dataclass(frozen=True)
class ExportTask:
    """Exports a window of a run to CSV. See `SaveTask`."""

    backend: BackendPort
    job: ExportJob

    @staticmethod
    def started_text(_: Path) -> str:
        """Return no text: the dialog shows a progress bar."""
        return ""

    def write(
        self, path: Path, progress: Callable[[float], None], cancelled: Callable[[], bool]
    ) -> Exported:
        """Write the samples."""
        return self.backend.export(self.job, path, progress, cancelled)

    @staticmethod
    def done_text(written: Exported) -> tuple[str, str]:
        """Return (title, how many samples were written, the path, and what is missing)."""
        size, where = format_bytes(written.size_bytes), clean(str(written.path), 200)
        missing = [clean(problem, 200) for problem in written.problems]
        if written.skipped_pages:
            missing.append(f"{written.skipped_pages} damaged pages were skipped")
        title = "exported, incomplete" if missing else "exported"
        return title, "; ".join((f"{written.rows} samples, {size}: {where}", *missing))


class ExportDialog(SaveDialog[Exported]):
    """Exports a window of a run to CSV, with a progress bar."""

    def __init__(self, backend: BackendPort, job: ExportJob, *, plain: bool = False) -> None:
        run, span = job.run, format_span_ms(job.end_ms - job.begin_ms)
        super().__init__(
            "export to CSV",
            f"{run.service} {run.pid}: the visible {span}, every sample, all metrics",
            backend.suggest_export_path(job, working_directory()),
            ExportTask(backend, job),
            plain=plain,
            shows_progress=True,
        )
