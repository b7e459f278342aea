"""Layout of one row of styled text."""

from pprofplus_tui.model.cell_rows import Cellrun, Row, width_of


def fit(row: Row, width: int, style: str = "text") -> Row:
    """Return the row cut or padded to `width` cells."""
    out, room = [], width
    for run in row:
        if room <= 0:
            break
        text = run.text[:room]
        if text:
            out.append(Cellrun(text, run.style))
            room -= len(text)
    if room > 0:
        out.append(Cellrun(" " * room, style))
    return tuple(out)


def spread(left: Row, right: Row, width: int, style: str = "text") -> Row:
    """Return `left` and `right` at the ends of a row; where room is short, the right end stays."""
    right = right if width_of(right) < width else ()
    return fit(left, width - width_of(right), style) + right


def with_end(row: Row, end: Cellrun) -> Row:
    """Return the row with `end` in its last cells, if they and one before them are blank."""
    text = "".join(run.text for run in row)
    if not end.text or text[-len(end.text) - 1 :].strip(" "):
        return row
    return (*fit(row, len(text) - len(end.text)), end)


def joined(parts: list[Row], between: Cellrun, width: int) -> Row:
    """Return the parts, separated, as many whole ones as fit into `width` cells."""
    out: tuple[Cellrun, ...] = ()
    for part in parts:
        longer = (*out, between, *part) if out else part
        if width_of(longer) > width:
            break
        out = longer
    return out
