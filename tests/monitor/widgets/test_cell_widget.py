"""The cell widget repaints only changed cells and always shows its current rows."""

import asyncio
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.geometry import Region
from textual.widget import Widget

from pprofplus_tui.model.cell_rows import Cellrun
from pprofplus_tui.terminal.ascii_filter import AsciiFilter
from pprofplus_tui.widgets.cell_widget import CellWidget
from pprofplus_tui.widgets.theme import TokenColours

WIDTH, HEIGHT = 30, 4


def rows_of(*lines):
    return tuple((Cellrun(line.ljust(WIDTH), "text"),) for line in lines)


async def refreshed(stage, before, after):
    """Return the regions repainted as rows change, as (x, y, width, height)."""
    app = stage(CellWidget())
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        app.widget.set_rows(before)
        await pilot.pause()
        with mock.patch.object(app.widget, "refresh", wraps=app.widget.refresh) as refresh:
            app.widget.set_rows(after)
        await pilot.pause()
        regions = [region for call in refresh.call_args_list for region in call.args]
        return [tuple(region) for region in regions], app.lines


async def test_equal_rows_repaint_nothing(stage):
    rows = rows_of("one", "two", "three", "four")
    regions, lines = await refreshed(stage, rows, rows_of("one", "two", "three", "four"))
    assert regions == []
    assert [line.strip() for line in lines] == ["one", "two", "three", "four"]


async def test_one_changed_cell_repaints_that_cell(stage):
    regions, lines = await refreshed(
        stage, rows_of("one", "two", "three", "four"), rows_of("one", "two", "thrEe", "four")
    )
    assert regions == [(3, 2, 1, 1)]
    assert lines[2].strip() == "thrEe"


async def test_distant_cells_are_repainted_as_separate_regions(stage):
    regions, _ = await refreshed(
        stage, rows_of("a" + " " * 20 + "b"), rows_of("A" + " " * 20 + "B")
    )
    assert regions == [(0, 0, 1, 1), (21, 0, 1, 1)]


async def test_a_changed_style_is_a_changed_cell(stage):
    before = ((Cellrun("a" * WIDTH, "text"),),)
    after = ((Cellrun("a" * 10, "text"), Cellrun("a", "died"), Cellrun("a" * 19, "text")),)
    regions, _ = await refreshed(stage, before, after)
    assert regions == [(10, 0, 1, 1)]


async def test_fewer_rows_clear_the_rest_of_the_widget(stage):
    _, lines = await refreshed(stage, rows_of("one", "two", "three", "four"), rows_of("new"))
    assert [line.strip() for line in lines] == ["new", "", "", ""]


async def test_no_rows_clear_the_whole_widget(stage):
    _, lines = await refreshed(stage, rows_of("one", "two"), ())
    assert [line.strip() for line in lines] == [""] * HEIGHT


async def test_rows_longer_than_the_widget_are_cut(stage):
    _, lines = await refreshed(stage, (), ((Cellrun("x" * 99, "text"),),) * 9)
    assert lines == ["x" * WIDTH] * HEIGHT


async def test_other_colours_repaint_all(stage):
    app = stage(CellWidget())
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        app.widget.set_rows(rows_of("one"))
        await pilot.pause()
        app.widget.set_paint(TokenColours.standard(dark=False))
        await pilot.pause()
        day = TokenColours.standard(dark=False)["text"]
        assert [segment.style for segment in app.widget.render_line(0)] == [day]


async def test_an_unchanged_row_is_not_built_again(stage):
    app = stage(CellWidget())
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        app.widget.set_rows(rows_of("one", "two"))
        await pilot.pause()
        kept = app.widget.render_line(0)
        app.widget.set_rows(rows_of("one", "TWO"))
        await pilot.pause()
        assert app.widget.render_line(0) is kept
        assert app.widget.render_line(1).text.strip() == "TWO"


screens = st.lists(
    st.lists(st.text(st.sampled_from("ab "), max_size=WIDTH), max_size=HEIGHT + 2),
    min_size=2,
    max_size=5,
)


@given(screens)
@settings(max_examples=20, deadline=None)
def test_the_screen_shows_the_new_rows_after_any_others(stage, shown):
    async def play():
        app = stage(CellWidget())
        async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
            for lines in shown:
                app.widget.set_rows(rows_of(*lines))
                await pilot.pause()
                wanted = [line.rstrip() for line in lines][:HEIGHT]
                wanted += [""] * (HEIGHT - len(wanted))
                assert [line.rstrip() for line in app.lines] == wanted

    asyncio.run(play())


@pytest.mark.parametrize("colours", [True, False])
@pytest.mark.parametrize("plain", [False, True])
async def test_its_lines_equal_those_of_textual(stage, monkeypatch, colours, plain):
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    app = stage(CellWidget())
    if plain:
        app._filters.append(AsciiFilter())
    async with app.run_test(size=(WIDTH, HEIGHT)):
        widget = app.widget
        row = (Cellrun("a⣀", "line1"), Cellrun("bc", "bar"), Cellrun("d…", "died"))
        widget.set_rows((row, (), row[1:]))
        for crop in (Region(0, 0, WIDTH, HEIGHT), Region(1, 0, 3, 2), Region(4, 2, 26, 1)):
            ours, textuals = widget.render_lines(crop), Widget.render_lines(widget, crop)
            assert [list(strip) for strip in ours] == [list(strip) for strip in textuals]
            assert [strip.cell_length for strip in ours] == [crop.width] * crop.height


async def test_it_keeps_no_growing_list_of_changes(stage):
    app = stage(CellWidget())
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        for at in range(20):
            app.widget.set_rows(rows_of(" " * at + "x"))
            await pilot.pause()
        assert len(app.widget._dirty_regions) <= 1
