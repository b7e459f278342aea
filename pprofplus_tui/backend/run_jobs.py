"""Jobs on one run for the screens' worker threads: list events, toggle the pin, export.

The readers are imported on first use: importing numpy would delay the first paint.
"""

from collections.abc import Callable
from pathlib import Path

from pprofplus_tui.model.events import RunEvent
from pprofplus_tui.model.export_job import Exported, ExportJob
from pprofplus_tui.model.runs import Run


def events(run: Run, limit: int) -> tuple[RunEvent, ...]:
    """Read the whole log of a run; return its events in order of time, at most `limit`."""
    from pprofplus_tui.sources.local.event_search import all_happened  # noqa: PLC0415 - see the module
    from pprofplus_tui.sources.local.run_log import RunLog  # noqa: PLC0415 - see the module

    log = RunLog(run.path)
    log.refresh()
    return all_happened(log, limit)


def toggle_pin(run: Run) -> bool:
    """Pin or unpin a run; return whether it is pinned now. Raises PinError."""
    from pprofplus_tui.sources.local import pins  # noqa: PLC0415 - see the module

    return pins.toggle_pin(run.path)


def suggest_export_path(job: ExportJob, directory: Path) -> Path:
    """Return a free path in `directory`, named after the run and the window."""
    from pprofplus_tui.export import suggest_path  # noqa: PLC0415 - see the module

    run = job.run
    return suggest_path(run.service, run.pid, job.begin_ms, job.end_ms, directory, job.zone)


def export(
    job: ExportJob,
    path: Path,
    progress: Callable[[float], None],
    cancelled: Callable[[], bool],
) -> Exported:
    """Write the samples of a job, read with a reader of its own.

    Raises FileExistsError, ExportCancelledError, OutputError.
    """
    from pprofplus_tui import export as exporter  # noqa: PLC0415 - see the module
    from pprofplus_tui.sources.local.run_log import RunLog  # noqa: PLC0415 - see the module

    log = RunLog(job.run.path)
    return exporter.export(
        log,
        job.begin_ms,
        job.end_ms,
        path,
        zone=job.zone,
        progress=progress,
        cancelled=cancelled,
    )
