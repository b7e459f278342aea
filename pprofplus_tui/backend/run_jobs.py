"""Jobs on one run in worker threads of the screens: list events, export.

Functions import what they need, because importing numpy would delay the first paint.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pprofplus_tui.model.events import RunEvent
from pprofplus_tui.model.export_job import Exported, ExportJob
from pprofplus_tui.model.runs import Run

if TYPE_CHECKING:
    from pprofplus_tui.sources.port import Source


def events(source: "Source", run: Run, limit: int) -> tuple[RunEvent, ...]:
    """Return the events of a run in order of time, at most `limit`."""
    from pprofplus_tui.sources.port import Access  # noqa: PLC0415 - see the module

    return source.open(run.id, Access.SAMPLES).events(limit=limit)


def suggest_export_path(job: ExportJob, directory: Path) -> Path:
    """Return the path of a file in `directory` that does not exist, named after run and window."""
    from pprofplus_tui.export import suggest_path  # noqa: PLC0415 - see the module

    run = job.run
    return suggest_path(run.service, run.pid, job.begin_ms, job.end_ms, directory, job.zone)


def export(
    source: "Source",
    job: ExportJob,
    path: Path,
    progress: Callable[[float], None],
    cancelled: Callable[[], bool],
) -> Exported:
    """Write the samples of a job to a new file; the job has its own reader.

    Raises FileExistsError, ExportCancelledError, OutputError.
    """
    from pprofplus_tui import export as exporter  # noqa: PLC0415 - see the module
    from pprofplus_tui.sources.port import Access  # noqa: PLC0415 - see the module

    return exporter.export(
        [source.open(job.run.id, Access.SAMPLES)],
        job.begin_ms,
        job.end_ms,
        path,
        zone=job.zone,
        progress=progress,
        cancelled=cancelled,
    )
