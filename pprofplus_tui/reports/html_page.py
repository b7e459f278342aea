"""Writes a report as one self-contained page of HTML: no script, no font, no network."""

from collections.abc import Iterator
from datetime import tzinfo

from pprofplus_tui.charts.palette import COLOURS
from pprofplus_tui.charts.spec import ChartSpec
from pprofplus_tui.model.events import DEATH, MARKED, RunEvent
from pprofplus_tui.model.explanations import absent_sentence, layer_sentences, limit_sentences
from pprofplus_tui.model.runs import RUNNING, state_label
from pprofplus_tui.model.time_axis import date_text
from pprofplus_tui.model.units import format_bytes, format_delta_bytes, format_span_ms
from pprofplus_tui.model.verdict import TOO_LITTLE, Layer, Verdicts
from pprofplus_tui.model.verdict_reasons import reason_sentence
from pprofplus_tui.model.verdict_text import headline, rate_is_shown, report_text
from pprofplus_tui.reports.content import Report, RunReport
from pprofplus_tui.reports.markup import shown
from pprofplus_tui.reports.style import STYLE
from pprofplus_tui.reports.svg import draw

# If the escaping had a gap, a browser would still load and run nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_TEXT_CELLS = 600
_LONG = ("state", "cause", "command")


def write_page(report: Report, zone: tzinfo | None = None) -> str:
    """Return the page; `zone` None is the machine's own."""
    return "\n".join(_page(report, zone)) + "\n"


def _page(report: Report, zone: tzinfo | None) -> Iterator[str]:
    title = shown(report.title, 120)
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield '<meta name="referrer" content="no-referrer">'
    yield f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>"
    span = format_span_ms(report.end_ms - report.begin_ms)
    yield f"<h1>{title}</h1>"
    begin, end = _time(report.begin_ms, zone), _time(report.end_ms, zone)
    yield f'<p class="dim">{begin} to {end}, {span}</p>'
    for note in report.notes:
        yield f"<p>{shown(note, _TEXT_CELLS)}</p>"
    if len(report.runs) > 1:
        yield from _overview(report)
    for number, run in enumerate(report.runs, 1):
        yield from _run(run, number, zone, alone=len(report.runs) == 1)
    yield "<footer>"
    yield (
        "Each point of a line shows the smallest and the largest sample of its time; "
        "nothing is averaged, and a gap in the samples is a gap in the line."
    )
    version = shown(report.version, 40)
    yield f"<p>Created {_time(report.made_ms, zone)} by pprofplus {version}.</p></footer>"
    yield "</main>\n</body>\n</html>"


def _time(ms: int, zone: tzinfo | None) -> str:
    return shown(date_text(ms, zone))


def _overview(report: Report) -> Iterator[str]:
    yield "<h3>Runs</h3>\n<table><thead><tr><th>run</th><th>state</th>"
    yield '<th class="number">RSS</th><th>verdict</th></tr></thead><tbody>'
    for number, run in enumerate(report.runs, 1):
        rss = run.verdicts.rss
        size = format_bytes(rss.now_bytes) if rss else ""
        yield (
            f'<tr><td><a href="#run{number}">{shown(run.service)} {run.pid}</a></td>'
            f'<td class="state {shown(run.state)}">{shown(state_label(run.state))}</td>'
            f'<td class="number">{shown(size)}</td>'
            f"<td>{shown(headline(rss.verdict) if rss else TOO_LITTLE)}</td></tr>"
        )
    yield "</tbody></table>"
    if report.left_out:
        yield f'<p class="dim">{report.left_out} more runs in this window are not shown.</p>'


def _run(run: RunReport, number: int, zone: tzinfo | None, *, alone: bool) -> Iterator[str]:
    if alone:
        yield f'<section id="run{number}">'
    else:
        yield f'<section id="run{number}"><h2>{shown(run.service)} {run.pid} '
        yield f'<span class="state {shown(run.state)}">{shown(state_label(run.state))}</span></h2>'
    if run.death is not None and run.death.cause.is_death:
        ended = f"{run.death.cause.sentence}; {run.death.figures}".rstrip("; ")
        yield f'<p class="died">{shown(ended, _TEXT_CELLS)}</p>'
    yield from _verdict(run.verdicts, ended=run.state not in RUNNING)
    yield '<h3>Facts</h3>\n<dl class="facts">'
    for label, text in run.facts:
        long = ' class="long"' if label in _LONG else ""
        yield f"<div{long}><dt>{shown(label)}</dt><dd>{shown(text, _TEXT_CELLS)}</dd></div>"
    yield "</dl>"
    marks = tuple(
        (event.t_ms, str(number))
        for number, event in enumerate(run.events, 1)
        if event.kind in {MARKED, DEATH}
    )
    for spec in run.charts:
        yield from _figure(spec, marks)
    yield from _events(run, zone)
    yield "</section>"


def _verdict(found: Verdicts, *, ended: bool) -> Iterator[str]:
    rss = found.rss
    if rss is None:
        return
    verdict = rss.verdict
    yield f'<div class="verdict {shown(verdict.kind.replace(" ", "-"))}">'
    yield f"<p>RSS: {shown(report_text(rss, found.span_ms))}</p>"
    reason = reason_sentence(verdict)
    if reason:
        yield f"<p>{shown(reason)}</p>"
    for sentence in layer_sentences(found):
        yield f"<p>{shown(sentence)}</p>"
    for sentence in limit_sentences(found, ended=ended):
        yield f"<p>{shown(sentence, _TEXT_CELLS)}</p>"
    absent = absent_sentence(found)
    if absent:
        yield f"<p>{shown(absent, _TEXT_CELLS)}</p>"
    yield "</div>"
    yield "<table><thead><tr><th>layer</th>"
    yield '<th class="number">at the end</th><th>verdict</th><th class="number">per hour</th>'
    yield '<th class="number">95 % interval</th><th class="number">in the window</th></tr></thead>'
    yield "<tbody>"
    for layer in found.layers:
        yield _layer_row(layer)
    yield "</tbody></table>"


def _layer_row(layer: Layer) -> str:
    verdict = layer.verdict
    rate = between = change = ""
    if rate_is_shown(verdict):
        rate = format_delta_bytes(verdict.per_hour)
        between = f"{format_delta_bytes(verdict.low)} to {format_delta_bytes(verdict.high)}"
    if layer.change is not None:
        change = format_delta_bytes(layer.change.amount)
    cells = (format_bytes(layer.now_bytes), verdict.kind, rate, between, change)
    numbers = (True, False, True, True, True)
    row = "".join(
        f'<td class="number">{shown(cell)}</td>' if number else f"<td>{shown(cell)}</td>"
        for cell, number in zip(cells, numbers, strict=True)
    )
    return f"<tr><td>{shown(layer.kind.title)}</td>{row}</tr>"


def _figure(spec: ChartSpec, marks: tuple[tuple[int, str], ...]) -> Iterator[str]:
    note = f' <span class="dim">{shown(spec.note, 60)}</span>' if spec.note else ""
    yield f"<figure><figcaption><b>{shown(spec.title, 60)}</b>{note}"
    # the last line is drawn on top and matters most; a stack is read from the top too
    for rank, line in enumerate(reversed(spec.lines)):
        colour = f"c{line.colour % COLOURS}"
        way, form = (
            (f"area {colour}", "M1 0H25V9H1Z")
            if spec.stacked
            else (f"line {colour} d{min(rank, 3)}", "M1 4.5H25")
        )
        yield (
            '<span><svg class="key" viewBox="0 0 26 9" aria-hidden="true">'
            f'<path class="{way}" d="{form}"/></svg>'
            f'{shown(line.label, 40)} <span class="dim">{shown(line.value, 40)}</span></span>'
        )
    yield "</figcaption>"
    yield draw(spec, marks)
    yield "</figure>"


def _events(run: RunReport, zone: tzinfo | None) -> Iterator[str]:
    if not run.events:
        return
    yield '<h3>Events</h3>\n<table><thead><tr><th class="number">no.</th><th>time</th>'
    yield "<th>what</th><th></th></tr></thead><tbody>"
    if run.left_out:
        yield f'<tr><td></td><td colspan="3" class="dim">{run.left_out} earlier events</td></tr>'
    for number, event in enumerate(run.events, 1):
        yield (
            f'<tr><td class="number">{number}</td>'
            f'<td class="time">{_time(event.t_ms, zone)}</td>'
            f"<td>{shown(event.kind, 20)}</td>"
            f"<td>{shown(_event_text(event), _TEXT_CELLS)}</td></tr>"
        )
    yield "</tbody></table>"


def _event_text(event: RunEvent) -> str:
    """Return an event's value in words, and its untrusted text."""
    details = {
        "interval": f"from now on every {format_span_ms(event.value / 1000)}",
        "lost": f"{event.value} samples could not be written",
        "fork": f"forked off process {event.value}",
    }.get(event.kind, "")
    text = event.text.replace("\n", "; ") if event.kind == DEATH else event.text
    return ": ".join(filter(None, (details, text)))
