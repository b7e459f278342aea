"""The chart grid: charts at their places, cut, padded, hidden, shown again, chosen, clicked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.events import MouseScrollDown, MouseScrollUp

from kit.cells import row_text
from pprofplus_tui.model.cell_rows import Cellrun
from pprofplus_tui.model.grid_layout import ChartPlace, arrange
from pprofplus_tui.widgets.chart_grid import ChartGrid, composed, sized
from pprofplus_tui.widgets.row_text import width_of

SIZE = (80, 24)


def picture(char, width, height):
    """Return a chart of one character with a frame at its left, as the renderer delivers it."""
    row = (Cellrun("|", "frame"), Cellrun(char * (width - 1), "line0"))
    return (row,) * height


def filled(places):
    return {name: picture(name[0], at.width, at.height) for name, at in places.items()}


def places_of(names, width=SIZE[0], height=SIZE[1]):
    return dict(zip(names, arrange(width, height, len(names)), strict=False))


@given(*[st.integers(1, 40)] * 4)
def test_a_chart_of_another_size_is_cut_or_padded_to_its_place(width, height, of_width, of_height):
    rows = sized(picture("x", of_width, of_height), ChartPlace(0, 0, width, height))
    assert len(rows) == height
    assert all(width_of(row) == width for row in rows)
    shown = [row_text(row).rstrip() for row in rows]
    there = row_text(picture("x", of_width, 1)[0])[:width]
    assert shown == [there if y < of_height else "" for y in range(height)]


def test_a_chart_of_the_right_size_is_not_copied():
    rows = picture("x", 30, 8)
    assert sized(rows, ChartPlace(5, 5, 30, 8)) is rows


@given(st.integers(20, 240), st.integers(6, 80), st.integers(1, 6), st.integers(0, 63))
def test_the_composed_charts_fill_the_area_each_at_its_place(width, height, count, missing):
    places = places_of(["a", "b", "c", "d", "e", "f"][:count], width, height)
    drawn = {
        name: rows for i, (name, rows) in enumerate(filled(places).items()) if missing >> i & 1
    }
    rows = list(composed(places, drawn, width, range(height)))
    assert len(rows) == height
    assert all(width_of(row) == width for row in rows)
    for name, place in places.items():
        expected = "|" + name * (place.width - 1) if name in drawn else " " * place.width
        for y in range(place.y, place.y + place.height):
            assert row_text(rows[y])[place.x : place.x + place.width] == expected


@pytest.fixture
def grid(stage):
    return stage(ChartGrid())


async def test_a_chart_is_shown_as_soon_as_it_is_drawn(grid):
    places = places_of(["memory", "heap"])
    async with grid.run_test(size=SIZE) as pilot:
        grid.widget.place(places, None)
        grid.widget.draw({"heap": filled(places)["heap"]})
        await pilot.pause()
        at = places["heap"]
        assert grid.lines[at.y][at.x :].startswith("|hhh")
        assert grid.lines[0].strip() == ""


async def test_a_hidden_chart_is_shown_again_without_a_new_drawing(grid):
    both = places_of(["memory", "heap"])
    async with grid.run_test(size=SIZE) as pilot:
        grid.widget.place(both, None)
        for name, rows in filled(both).items():
            grid.widget.draw({name: rows})
        grid.widget.place(places_of(["memory"]), None)
        await pilot.pause()
        assert not any("h" in line for line in grid.lines)
        grid.widget.place(both, None)
        await pilot.pause()
        assert grid.lines[both["heap"].y].startswith("|hhh")


async def test_a_chart_drawn_while_hidden_is_shown_later(grid):
    both = places_of(["memory", "heap"])
    async with grid.run_test(size=SIZE) as pilot:
        grid.widget.place(places_of(["memory"]), None)
        grid.widget.draw({"heap": filled(both)["heap"]})
        await pilot.pause()
        assert not any("h" in line for line in grid.lines)
        grid.widget.place(both, None)
        await pilot.pause()
        assert any("hhh" in line for line in grid.lines)


async def test_only_the_chosen_chart_has_the_selected_frame(grid):
    places = places_of(["memory", "heap", "cpu"])
    async with grid.run_test(size=SIZE):
        grid.widget.place(places, "heap")
        for name, rows in filled(places).items():
            grid.widget.draw({name: rows})
        grid.widget.place(places, "cpu")
        styles = {run.style for row in grid.widget.rows for run in row}
        assert {"frame", "frame_selected"} <= styles
        at = places["cpu"]
        for y, row in enumerate(grid.widget.rows):
            x = 0
            for run in row:
                if run.style == "frame_selected":
                    assert at.contains(x, y)
                elif run.style == "frame":
                    assert not at.contains(x, y)
                x += len(run.text)


async def test_a_redrawn_chosen_chart_keeps_the_selected_frame(grid):
    places = places_of(["memory", "heap"])
    async with grid.run_test(size=SIZE):
        grid.widget.place(places, "heap")
        for _ in range(2):
            grid.widget.draw({"heap": filled(places)["heap"]})
        row = grid.widget.rows[places["heap"].y]
        assert [run.style for run in row if run.text.startswith("|")][-1] == "frame_selected"


async def test_every_size_has_complete_lines_and_posts_a_resize(grid):
    async with grid.run_test(size=SIZE) as pilot:
        places = places_of(["memory", "heap"])
        grid.widget.place(places, None)
        for name, rows in filled(places).items():
            grid.widget.draw({name: rows})
        for size in ((120, 40), (30, 5), (1, 1), (80, 24)):
            grid.posted.clear()
            await pilot.resize_terminal(*size)
            # a chart of the old size may arrive before the new places
            grid.widget.draw({"heap": filled(places)["heap"]})
            await pilot.pause()
            assert ("resized",) in grid.posted
            assert [len(line) for line in grid.lines] == [size[0]] * size[1]


async def test_a_click_reports_its_chart_and_the_wheel_also_the_column(grid):
    places = places_of(["memory", "heap", "cpu"])
    async with grid.run_test(size=SIZE) as pilot:
        grid.widget.place(places, None)
        for name, at in places.items():
            grid.posted.clear()
            where = (at.x + 3, at.y + 2)
            await pilot.click(offset=where)
            await pilot._post_mouse_events([MouseScrollUp], offset=where)
            await pilot._post_mouse_events([MouseScrollDown], offset=where)
            await pilot.pause()
            assert grid.posted == [
                ("clicked", name),
                ("zoomed", -1, name, 3),
                ("zoomed", 1, name, 3),
            ]


async def test_a_click_outside_all_charts_does_nothing(grid):
    async with grid.run_test(size=SIZE) as pilot:
        grid.widget.place({"memory": ChartPlace(0, 0, 80, 10)}, None)
        grid.posted.clear()
        await pilot.click(offset=(5, 15))
        await pilot._post_mouse_events([MouseScrollUp], offset=(5, 15))
        await pilot.pause()
        assert grid.posted == []
