"""A picture with the time cursor in it, and the values of that instant in its legend.

The lines are those of the picture without it, so that moving the cursor draws none of them anew.
"""

from dataclasses import replace

from pprofplus_tui.charts.picture import Line, Picture
from pprofplus_tui.model.charts import ChartKind, Note
from pprofplus_tui.model.cursor import Reading
from pprofplus_tui.model.exact import format_exact


def pointed(picture: Picture, kind: ChartKind, reading: Reading) -> Picture:
    """Return the picture with the cursor at `reading.at_ms` and the values read there."""
    notes = [_note(note, reading, plain=picture.ascii_only) for note in kind.notes]
    return replace(
        picture,
        cursor_ms=reading.at_ms,
        lines=tuple(_read(line, kind, reading, plain=picture.ascii_only) for line in picture.lines),
        note=", ".join(filter(None, notes)),
    )


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
