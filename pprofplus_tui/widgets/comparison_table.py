"""The table below the charts of several runs: the value of each at one time, and its growth."""

from collections.abc import Sequence
from datetime import tzinfo

from pprofplus_tui.model.cell_rows import Cellrun, Row, Rows
from pprofplus_tui.model.comparison_request import COMPARE
from pprofplus_tui.model.findings import Findings, Member
from pprofplus_tui.model.runs import PLAIN_SIGNS, SIGNS
from pprofplus_tui.model.text import narrow
from pprofplus_tui.model.time_axis import clock_text, local
from pprofplus_tui.model.units import format_bytes, format_delta, format_quantity, format_span_ms
from pprofplus_tui.model.verdict import GROWING, TOO_LITTLE
from pprofplus_tui.model.verdict_text import growth_rate, growth_text
from pprofplus_tui.widgets.row_text import fit

_NAME_CELLS = 24
_VALUE_CELLS = 11
_RATE_CELLS = 16
_DELTA_CELLS = 20
_BEGIN_CELLS = 19
_BEGIN_FROM = 96  # columns of the screen


def moment_text(findings: Findings, zone: tzinfo | None) -> str:
    """Return the time of the values."""
    moment_ms = findings.moment_ms
    if moment_ms is None:
        return "last value"
    if findings.aligned:
        return f"at +{format_span_ms(moment_ms)}"
    return f"at {clock_text(moment_ms, zone)}"


def delta_text(value: float | None, first: float | None, unit: str, *, plain: bool = False) -> str:
    """Return the difference of a value to the first, in its unit and in percent."""
    if value is None or first is None:
        return ""
    difference = value - first
    share = f"  {100 * difference / abs(first):+.1f} %" if first else ""
    return f"{format_delta(difference, unit, ascii_only=plain)}{share}"


def _row(cells: Sequence[tuple[str, int, str]], width: int) -> Row:
    """Return cells of (text, width, style); a negative width aligns the text to the left."""
    runs = [Cellrun(" ", "text")]
    for text, size, style in cells:
        shown = text[: abs(size)]
        runs.append(Cellrun(shown.ljust(-size) if size < 0 else shown.rjust(size), style))
    return fit(tuple(runs), width)


def _member_row(
    findings: Findings, member: Member, width: int, zone: tzinfo | None, *, plain: bool
) -> Row:
    unit, first = findings.unit, findings.members[0]
    sign = (PLAIN_SIGNS if plain else SIGNS)[member.state]
    value, style = member.missing_reason, "dim"
    if member.value is not None:
        value, style = format_quantity(member.value, unit, ascii_only=plain), "text"
    name = narrow(f"{member.service} {member.pid}", limit=_NAME_CELLS, ascii_only=plain)
    # growth above a hundredth of the value an hour is highlighted
    verdict = member.verdict
    grows = verdict.kind == GROWING and verdict.per_hour * 100 > abs(member.value or 0.0)
    cells = [
        (member.letter, -2, f"legend{member.colour}"),
        (sign, -2, member.state),
        (name, -_NAME_CELLS, "text"),
    ]
    if width >= _BEGIN_FROM:
        cells.append((f"  {local(member.begin_ms, zone):%d %b %H:%M:%S}", -_BEGIN_CELLS, "dim"))
    cells.append((value, _VALUE_CELLS, style))
    rate = growth_text(verdict, unit, plain=plain)
    cells.append((rate, _RATE_CELLS, "grow" if grows else "dim"))
    if findings.kind == COMPARE and member is not first:
        text = delta_text(member.value, first.value, unit, plain=plain)
        cells.append((text, _DELTA_CELLS, "text"))
    return _row(cells, width)


def figure_rows(
    findings: Findings, width: int, zone: tzinfo | None = None, *, plain: bool = False
) -> Rows:
    """Return the table: a heading, a line a run, and one for the rest of a service."""
    head = [("", -2, "dim"), ("", -2, "dim"), ("run", -_NAME_CELLS, "dim")]
    if width >= _BEGIN_FROM:
        head.append(("  began", -_BEGIN_CELLS, "dim"))
    head.append((moment_text(findings, zone).strip(), _VALUE_CELLS, "dim"))
    head.append(("growth", _RATE_CELLS, "dim"))
    if findings.kind == COMPARE:
        head.append(("difference to A", _DELTA_CELLS, "dim"))
    rows = [_row(head, width)]
    rows += [_member_row(findings, member, width, zone, plain=plain) for member in findings.members]
    rest = findings.rest
    if rest is not None:
        dash = "-" if plain else "–"  # noqa: RUF001 - a dash between numbers
        span = ""
        if rest.lo is not None and rest.hi is not None:
            unit = findings.unit
            low, high = (format_quantity(v, unit, ascii_only=plain) for v in (rest.lo, rest.hi))
            span = f"{low} {dash} {high}"
            if rest.total is not None:
                span += f"; total {format_quantity(rest.total, unit, ascii_only=plain)}"
            if rest.there < rest.count:
                span = f"{rest.there} with a value then: {span}"
        name = f"{rest.count} others"
        cells = [(".", -2, "dim"), ("", -2, "dim"), (name, -12, "text"), (span, -60, "dim")]
        rows.append(_row(cells, width))
    return tuple(rows)


def _progress(findings: Findings, *, plain: bool) -> str:
    """Return how many of the runs are read."""
    return f"reading {findings.read} of {findings.of}{'...' if plain else '…'}"


def totals_row(findings: Findings, width: int, *, plain: bool = False) -> Row:
    """Return the line above the charts of a service: the sums of all its runs now."""
    parts: list[Cellrun] = [Cellrun(" ", "text")]

    def add(label: str, value: str) -> None:
        if value:
            parts.extend((Cellrun(label, "dim"), Cellrun(value, "title"), Cellrun("   ", "text")))

    # runs without a recent sample are in no sum
    silent = f" ({findings.silent} without samples)" if findings.silent else ""
    add("running now ", f"{findings.running}{silent}")
    sums = [("rss total ", findings.rss_bytes), ("uss total ", findings.uss_bytes)]
    for label, size in sums[:1] if findings.aligned else sums:
        add(label, "" if size is None else format_bytes(size))
    if findings.aligned:
        parts.append(Cellrun("no total by age: runs at different times   ", "dim"))
    if findings.whole:
        add("in this window ", str(findings.count))
    else:
        parts.append(Cellrun(_progress(findings, plain=plain), "accent"))
    return fit(tuple(parts), width)


def difference_row(findings: Findings, width: int, *, plain: bool = False) -> Row:
    """Return the line above the chart of a comparison: the first two in one sentence."""
    if not findings.whole:
        return fit((Cellrun(f" {_progress(findings, plain=plain)}", "accent"),), width)
    members = findings.members
    if len(members) < 2:  # noqa: PLR2004 - a pair
        return fit((), width)
    one, other = members[:2]
    unit = findings.unit
    delta = delta_text(other.value, one.value, unit, plain=plain)
    parts = [Cellrun(" B minus A  ", "dim"), Cellrun(delta or "no time in common", "title")]
    judged = TOO_LITTLE not in {one.verdict.kind, other.verdict.kind}
    if judged and (one.verdict.moves or other.verdict.moves):
        more = other.verdict.per_hour - one.verdict.per_hour
        rate = growth_rate(more, unit, plain=plain)
        parts += [Cellrun("   growth ", "dim"), Cellrun(rate, "title")]
    return fit(tuple(parts), width)
