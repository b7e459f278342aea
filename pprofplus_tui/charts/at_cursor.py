"""A chart with the time cursor in it, and the values at that instant in its legend.

The lines do not change, so that moving the cursor does not draw them again.
"""

from dataclasses import replace

import numpy as np

from pprofplus_tui.charts.build import joined_notes
from pprofplus_tui.charts.spec import ChartSpec, Line
from pprofplus_tui.model.charts import ChartKind, Note
from pprofplus_tui.model.cursor import Reading
from pprofplus_tui.model.exact_units import format_exact
from pprofplus_tui.model.layers import absent_text, split_of


def at_cursor(spec: ChartSpec, kind: ChartKind, reading: Reading) -> ChartSpec:
    """Return the chart with the cursor at `reading.at_ms` and the values read there."""
    plain = spec.ascii_only
    notes = [_note(note, reading, plain=plain) for note in kind.notes]
    if kind.total:
        levels = {metric: np.array([value]) for (metric, _), value in reading.values.items()}
        split = split_of(kind, levels)
        parts: dict[str, float] = {}
        if split is not None:
            parts = {series.label: float(size[0]) for series, size in split.parts}
            notes.append(absent_text(float(split.absent[0])))
        lines = [_part(line, kind, parts, plain=plain) for line in spec.lines]
    else:
        lines = [_read(line, kind, reading, plain=plain) for line in spec.lines]
    return replace(
        spec,
        cursor_ms=reading.at_ms,
        lines=tuple(lines),
        note=joined_notes(*notes, log=spec.y.log),
    )


def _part(line: Line, kind: ChartKind, parts: dict[str, float], *, plain: bool) -> Line:
    size = parts.get(line.label)
    text = "-" if size is None else format_exact(size, kind.unit, ascii_only=plain)
    return replace(line, value=text)


def _read(line: Line, kind: ChartKind, reading: Reading, *, plain: bool) -> Line:
    series = next((series for series in kind.series if series.metric == line.metric), None)
    value = None if series is None else reading.values.get((series.metric, series.rate))
    if series is None or value is None:
        return replace(line, value="-")
    return replace(line, value=format_exact(value / series.scale, kind.unit, ascii_only=plain))


def _note(note: Note, reading: Reading, *, plain: bool) -> str:
    found = [
        value
        for metric in note.metrics
        if (value := reading.values.get((metric, note.rate))) is not None
    ]
    return f"{format_exact(sum(found), note.unit, ascii_only=plain)} {note.label}" if found else ""
