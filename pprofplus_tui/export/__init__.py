"""Exports samples, or steps of them, to CSV or JSON lines. May import sources and model."""

from pprofplus_tui.export.columns import UnknownMetricError, unknown_metrics
from pprofplus_tui.export.writing import (
    CSV,
    FORMATS,
    JSON,
    JSONL,
    ExportCancelledError,
    export,
    suggest_path,
    write_rows,
)
from pprofplus_tui.model.export_job import Exported

__all__ = [
    "CSV",
    "FORMATS",
    "JSON",
    "JSONL",
    "ExportCancelledError",
    "Exported",
    "UnknownMetricError",
    "export",
    "suggest_path",
    "unknown_metrics",
    "write_rows",
]
