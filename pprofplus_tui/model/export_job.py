"""An export of one run: what to write, and what was written."""

from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from pprofplus_tui.model.runs import Run


@dataclass(frozen=True)
class ExportJob:
    """What to export: the samples of `run` in [begin_ms, end_ms), unix ms.

    Attributes:
        run: the run to read.
        begin_ms: the first instant to export.
        end_ms: the first instant not to export.
        zone: the time zone of the `time` column and of the file's name; None is the machine's.
    """

    run: Run
    begin_ms: int
    end_ms: int
    zone: tzinfo | None


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        rows: samples, or steps, in the file.
        size_bytes: size of the file.
        skipped_pages: pages in the window that were damaged or missing.
        problems: one line for each part that could not be read; may contain untrusted text.
    """

    path: Path
    rows: int
    size_bytes: int
    skipped_pages: int
    problems: tuple[str, ...] = ()
