"""Every token that is drawn has colours that are readable on both backgrounds."""

import ast
from pathlib import Path

import pytest

import pprofplus_tui
from kit.colours import contrast, luminance
from kit.run_list import list_rows
from pprofplus_tui.charts.palette import COLOURS
from pprofplus_tui.charts.row_builder import _STYLES as CHART_STYLES
from pprofplus_tui.model.runs import STATES, Run
from pprofplus_tui.model.verdict import GROWING, LAYERS, STEADY, Layer, Verdict, Verdicts
from pprofplus_tui.model.window import Window
from pprofplus_tui.widgets.bars import StatusView, keys_row, status_row
from pprofplus_tui.widgets.chart_grid import highlighted
from pprofplus_tui.widgets.placeholder import empty_rows
from pprofplus_tui.widgets.run_list import RunListView
from pprofplus_tui.widgets.theme import DAY, NIGHT, TokenColours
from pprofplus_tui.widgets.verdict_line import verdict_row

PACKAGE = Path(pprofplus_tui.__file__).parent
paints = pytest.mark.parametrize(
    "paint",
    [TokenColours.standard(dark=True), TokenColours.standard(dark=False)],
    ids=["dark", "light"],
)


def literal_tokens():
    """Return every style that is a literal last argument of a Cellrun."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "Cellrun":
                continue
            found |= {
                part.value
                for part in ast.walk(node.args[-1])
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            }
    return found


def drawn_tokens():
    """Return the styles of lines and lists in every state; some are composed at run time."""
    rows = [keys_row(200), *empty_rows(["/a"], "api", 1, others=["b"])]
    for state in STATES:
        run = Run("/a", "api", 1, state, 0, 3_600_000, 1 << 20, "▁▂")
        live, past = Window.live(3_600_000, 60_000), Window.fit(0, 3_600_000)
        rows += [
            status_row(StatusView((run,), run, window, problem="x" * 9), width)
            for window in (live, past, live.freeze(), past.freeze())
            for width in (40, 200)
        ]
        for selected in ("/a", None):
            rows += [row for row, _ in list_rows(RunListView((run,), selected), 34)]
    for rate, change in ((1 << 29, 1 << 29), (1, 1)):
        verdict = Verdict(GROWING, rate, change=change)
        layers = (
            *(Layer(kind, 1 << 30, verdict) for kind in LAYERS[:3]),
            Layer(LAYERS[3], 1 << 30, Verdict(STEADY)),
        )
        rows += [verdict_row(Verdicts(layers, 1 << 31, used), 200) for used in (1, 1 << 31)]
    rows += [highlighted(row) for row in rows]
    return {run.style for row in rows for run in row}


@paints
def test_every_token_that_is_drawn_is_in_the_table(paint):
    literal = literal_tokens()
    assert {"bar", "dim", "title", "accent"} <= literal
    assert literal | drawn_tokens() | set(CHART_STYLES) <= set(paint._table)


@paints
def test_every_style_has_a_colour_and_a_background(paint):
    # Textual crashes under NO_COLOR on a segment without a background
    for token, style in paint._table.items():
        assert style.bgcolor is not None, token
        assert style.color is not None, token


@paints
def test_an_unknown_token_is_plain_text_not_an_error(paint):
    assert paint["no such token"] == paint["text"]


@paints
def test_every_line_of_a_chart_and_its_legend_have_their_own_colour(paint):
    for kind in ("line", "legend"):
        colours = {paint[f"{kind}{index}"].color.triplet.hex for index in range(COLOURS)}
        assert len(colours) == COLOURS


@paints
@pytest.mark.parametrize("token", ["text", "title", "service", "key", "died", "stalled", "live"])
def test_important_text_has_the_contrast_of_the_guidelines(paint, token):
    style = paint[token]
    assert contrast(style.color.triplet.hex, style.bgcolor.triplet.hex) >= 4.5


@paints
@pytest.mark.parametrize(
    "token", ["dim", "tick", "note", "bar", "exited", "dim_selected", "exited_selected"]
)
def test_dim_text_is_still_readable(paint, token):
    style = paint[token]
    assert contrast(style.color.triplet.hex, style.bgcolor.triplet.hex) >= 3


def test_the_light_background_is_light_and_the_dark_one_dark():
    assert luminance(DAY.background) > 0.9
    assert luminance(NIGHT.background) < 0.05


def test_a_chosen_run_looks_different_from_the_others():
    for paint in (TokenColours.standard(dark=True), TokenColours.standard(dark=False)):
        assert paint["text_selected"].bgcolor != paint["text"].bgcolor
        assert paint["text_selected"].bold
