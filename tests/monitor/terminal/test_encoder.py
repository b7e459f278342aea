import io

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from pprofplus_tui.terminal.encoder import CellUpdate, lean

WIDTH, HEIGHT = 24, 3
STYLES = [
    Style.parse(text)
    for text in (
        "#56b4e9 on #11151a",
        "bold #56b4e9 on #11151a",
        "#d7dce2 on #11151a",
        "#d7dce2 on #1b222b",
        "italic red",
        "none",
    )
]

texts = st.text(st.sampled_from("abc ⣿─█"), min_size=1, max_size=6)
runs = st.lists(st.tuples(texts, st.sampled_from(STYLES)), min_size=1, max_size=6)


def strip_of(pieces, width):
    return Strip([Segment(text, style) for text, style in pieces]).adjust_cell_length(
        width, STYLES[2]
    )


@st.composite
def updates(draw):
    cut = draw(st.integers(1, WIDTH - 1))
    chops = [
        {0: strip_of(draw(runs), cut), cut: strip_of(draw(runs), WIDTH - cut)}
        for _ in range(HEIGHT)
    ]
    spans = []
    for y in range(HEIGHT):
        left = draw(st.integers(0, WIDTH - 1))
        spans.append((y, left, draw(st.integers(left + 1, WIDTH))))
    return ChopsUpdate(chops, spans, [[cut, WIDTH]] * HEIGHT)


def console():
    return Console(file=io.StringIO(), color_system="truecolor", force_terminal=True, width=WIDTH)


def shown(text):
    screen = pyte.Screen(WIDTH, HEIGHT)
    screen.reset_mode(pyte.modes.DECAWM)
    pyte.Stream(screen).feed(text)
    return [
        [
            # the foreground colour and the weight of a blank are invisible
            (c.data, c.bg, *((c.fg, c.bold, c.italics) if c.data != " " else ()))
            for c in (screen.buffer[y][x] for x in range(WIDTH))
        ]
        for y in range(HEIGHT)
    ]


@given(updates())
@settings(deadline=None)
def test_an_encoded_update_shows_the_same_cells_as_textuals_update(update):
    expected = shown(update.render_segments(console()).replace("\n", ""))
    found = shown(CellUpdate(update).render_segments(console()))
    for y, left, right in update.spans:
        assert found[y][left:right] == expected[y][left:right]


@given(updates())
@settings(deadline=None)
def test_an_encoded_update_writes_no_cell_outside_its_spans(update):
    found = shown(CellUpdate(update).render_segments(console()))
    blank = shown("")
    for y, left, right in update.spans:
        assert found[y][:left] == blank[y][:left]
        assert found[y][right:] == blank[y][right:]


@given(updates())
@settings(deadline=None)
def test_an_encoded_update_is_never_longer_than_textuals(update):
    ours = CellUpdate(update).render_segments(console())
    theirs = update.render_segments(console())
    # Textual does not move the cursor within a row
    assert len(ours) <= len(theirs) + 8 * len(update.spans)


def test_the_style_of_adjacent_spans_is_written_once():
    strip = Strip([Segment("ab", STYLES[0]), Segment("cd", STYLES[0])])
    update = ChopsUpdate([{0: strip}], [(0, 0, 4)], [[4]])
    assert CellUpdate(update).render_segments(console()).count("38;2;86;180;233") == 1


def test_the_foreground_colour_of_a_blank_is_not_written():
    strip = Strip([Segment("ab", STYLES[0]), Segment("  ", STYLES[2]), Segment("cd", STYLES[0])])
    update = ChopsUpdate([{0: strip}], [(0, 0, 6)], [[6]])
    assert "ab  cd" in CellUpdate(update).render_segments(console())


def test_an_underlined_blank_keeps_its_underline():
    underlined = Style.parse("underline #56b4e9 on #11151a")
    strip = Strip([Segment("  ", underlined), Segment("cd", STYLES[0])])
    update = ChopsUpdate([{0: strip}], [(0, 0, 4)], [[4]])
    assert "  cd" not in CellUpdate(update).render_segments(console())


def test_spans_of_one_colour_are_written_together():
    rows = [[Segment("a", STYLES[0]), Segment("b" * 9, STYLES[2]), Segment("c", STYLES[4])]] * 3
    spans = [(y, x, x + 1) for y in range(3) for x in (0, 10)]
    update = ChopsUpdate([{0: Strip(row)} for row in rows], spans, [[11]] * 3)
    written = CellUpdate(update).render_segments(console())
    assert written.count("38;2;86;180;233") == written.count("3;31m") == 1


def test_no_more_colours_than_the_limit_are_written():
    update = ChopsUpdate([{0: Strip([Segment("ab", STYLES[0])])}], [(0, 0, 2)], [[2]])
    assert "38;2" not in CellUpdate(update, ColorSystem.EIGHT_BIT).render_segments(console())


@given(st.lists(runs, min_size=HEIGHT, max_size=HEIGHT))
@settings(deadline=None)
def test_an_encoded_repaint_shows_the_same_cells_as_textuals_repaint(lines):
    strips = [[strip_of(pieces, WIDTH)] for pieces in lines]
    update = LayoutUpdate(strips, Region(0, 0, WIDTH, HEIGHT))
    expected = shown(update.render_segments(console()).replace("\n", ""))
    assert shown(CellUpdate(update).render_segments(console())) == expected


def test_only_updates_with_cells_are_replaced():
    other = object()
    assert lean(other) is other
    assert lean(None) is None
