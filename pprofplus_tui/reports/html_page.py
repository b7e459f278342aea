"""Writes a report as one page of HTML that needs nothing else: no script, no font, no network."""

from collections.abc import Iterator
from datetime import tzinfo

from pprofplus_tui.charts.palette import COLOURS
from pprofplus_tui.charts.spec import ChartSpec
from pprofplus_tui.model.events import DEATH, MARKED
from pprofplus_tui.model.explanations import absent_words, change_words, limit_words
from pprofplus_tui.model.runs import RUNNING, state_label
from pprofplus_tui.model.time_axis import local
from pprofplus_tui.model.units import format_bytes, format_delta_bytes, format_span_ms
from pprofplus_tui.model.verdict import (
    GROWING,
    NOT_SURE,
    STEADY,
    TOO_LITTLE,
    Layer,
    Verdict,
    Verdicts,
)
from pprofplus_tui.model.verdict_reasons import because, shortly
from pprofplus_tui.reports.content import Report, RunReport
from pprofplus_tui.reports.markup import shown
from pprofplus_tui.reports.style import STYLE
from pprofplus_tui.reports.svg import draw

# Even if something got past the escaping, a browser would load and run nothing.
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
        "A line's band reaches from the smallest to the largest sample of each point; "
        "nothing is averaged, and a gap is a gap."
    )
    version = shown(report.version, 40)
    yield f"<p>Made {_time(report.made_ms, zone)} by pprofplus {version}.</p></footer>"
    yield "</main>\n</body>\n</html>"


def _time(ms: int, zone: tzinfo | None) -> str:
    return shown(f"{local(ms, zone):%Y-%m-%d %H:%M:%S %Z}")


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
            f"<td>{shown(headline(run.verdicts))}</td></tr>"
        )
    yield "</tbody></table>"
    if report.left_out:
        yield f'<p class="dim">{report.left_out} more runs in this window are left out.</p>'


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
    marks = tuple((h.t_ms, h.number) for h in run.happenings if h.kind in {MARKED, DEATH})
    for picture in run.pictures:
        yield from _figure(picture, marks)
    yield from _events(run, zone)
    yield "</section>"


def headline(found: Verdicts) -> str:
    """Return in a few words what the resident set does."""
    rss = found.rss
    if rss is None:
        return TOO_LITTLE
    return headline_of(rss.verdict)


def headline_of(verdict: Verdict) -> str:
    """Return in a few words what a layer does."""
    rate = f"{format_delta_bytes(verdict.per_hour)}/h"
    if verdict.kind == NOT_SURE:
        return f"{verdict.kind}, {rate}, {shortly(verdict)}"
    return f"{verdict.kind} {rate}" if verdict.moves else verdict.kind


def _verdict(found: Verdicts, *, ended: bool) -> Iterator[str]:
    rss = found.rss
    if rss is None:
        return
    verdict, span = rss.verdict, format_span_ms(found.span_ms)
    yield f'<div class="verdict {shown(verdict.kind.replace(" ", "-"))}">'
    yield f"<p>RSS: {shown(_sentence(rss, span))}</p>"
    why = because(verdict)
    if why:
        yield f"<p>{shown(why)}</p>"
    behind = found.responsible
    if behind is not None:
        kind = behind.kind
        yield f"<p>Behind it: {shown(kind.title)}, {shown(_sentence(behind, span))}. "
        yield f"That means: {shown(kind.meaning)}. Next: {shown(kind.action)}.</p>"
    elif verdict.kind == GROWING:
        yield "<p>No single layer grows enough to be the reason.</p>"
    for sentence in limit_words(found, ended=ended):
        yield f"<p>{shown(sentence, _TEXT_CELLS)}</p>"
    absent = absent_words(found)
    if absent:
        yield f"<p>{shown(absent, _TEXT_CELLS)}</p>"
    yield "</div>"
    yield "<table><thead><tr><th>layer</th>"
    yield '<th class="number">at the end</th><th>verdict</th><th class="number">an hour</th>'
    yield '<th class="number">95 % interval</th><th class="number">in the window</th></tr></thead>'
    yield "<tbody>"
    for layer in found.layers:
        yield _layer_row(layer)
    yield "</tbody></table>"


def _sentence(layer: Layer, span: str) -> str:
    verdict = layer.verdict
    measured = change_words(layer)
    if verdict.moves:
        return ", ".join(
            filter(None, (f"{verdict.kind} {format_delta_bytes(verdict.per_hour)}/h", measured))
        )
    size = format_bytes(layer.now_bytes)
    if verdict.kind == NOT_SURE:
        return f"{headline_of(verdict)} over {span}, {size}"
    if verdict.kind == STEADY and verdict.shape not in {"level", "line"}:
        return f"{verdict.kind} after a {verdict.shape}, {measured or size}"
    return f"{verdict.kind} over {span}, {measured or size}"


def _layer_row(layer: Layer) -> str:
    verdict = layer.verdict
    rate = between = change = ""
    if verdict.moves or verdict.kind == NOT_SURE:
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


def _figure(picture: ChartSpec, marks: tuple[tuple[int, str], ...]) -> Iterator[str]:
    note = f' <span class="dim">{shown(picture.note, 60)}</span>' if picture.note else ""
    yield f"<figure><figcaption><b>{shown(picture.title, 60)}</b>{note}"
    # the last line is drawn on top and matters most; a stack is read from the top, too
    for rank, line in enumerate(reversed(picture.lines)):
        colour = f"c{line.colour % COLOURS}"
        way, form = (
            (f"area {colour}", "M1 0H25V9H1Z")
            if picture.stacked
            else (f"line {colour} d{min(rank, 3)}", "M1 4.5H25")
        )
        yield (
            '<span><svg class="key" viewBox="0 0 26 9" aria-hidden="true">'
            f'<path class="{way}" d="{form}"/></svg>'
            f'{shown(line.label, 40)} <span class="dim">{shown(line.value, 40)}</span></span>'
        )
    yield "</figcaption>"
    yield draw(picture, marks)
    yield "</figure>"


def _events(run: RunReport, zone: tzinfo | None) -> Iterator[str]:
    if not run.happenings:
        return
    yield '<h3>Events</h3>\n<table><thead><tr><th class="number">no.</th><th>time</th>'
    yield "<th>what</th><th></th></tr></thead><tbody>"
    if run.left_out:
        yield f'<tr><td></td><td colspan="3" class="dim">{run.left_out} earlier ones</td></tr>'
    for happening in run.happenings:
        yield (
            f'<tr><td class="number">{shown(happening.number)}</td>'
            f'<td class="time">{_time(happening.t_ms, zone)}</td>'
            f"<td>{shown(happening.kind, 20)}</td>"
            f"<td>{shown(happening.text, _TEXT_CELLS)}</td></tr>"
        )
    yield "</tbody></table>"
