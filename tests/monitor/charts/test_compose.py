"""A chart composed into rows: border, legend, axes, marks, events, cursor, messages."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.cells import row_texts
from kit.series import points_of
from kit.units import MIB
from pprofplus_tui.charts.canvas import Canvas
from pprofplus_tui.charts.compose import compose, message_rows, retitled
from pprofplus_tui.charts.spec import ChartMarker, ChartSpec, Line, plot_area
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.text import cell_width
from pprofplus_tui.model.ticks import fit_axis
from pprofplus_tui.model.time_axis import column


def ramp(begin=0.0, end=100.0, until=90):
    return points_of(np.linspace(begin, end, until) * MIB)


def picture(*lines, width=80, height=14, **changes):
    axis = fit_axis(None, 0, 100 * MIB, "B", plot_area(width, height).height)
    ticks = ((25, "14:05"), (50, "14:10"), (75, "14:15"))
    return ChartSpec("memory", width, height, 0, 100, axis, ticks, lines, **changes)


def full(**changes):
    uss, rss = ramp(0, 70), ramp(30, 100)
    return picture(Line("uss", 1, uss, "70 MiB"), Line("rss", 0, rss, "100 MiB"), **changes)


def draw(wanted):
    return row_texts(compose(wanted, Canvas()))


def styles(rows):
    return {run.style for row in rows for run in row}


@settings(max_examples=60)
@given(st.integers(0, 60), st.integers(0, 12), st.booleans(), st.booleans(), st.text(max_size=50))
def test_a_chart_fills_its_size_exactly(width, height, ascii_only, distinct, text):
    wanted = full(
        width=width,
        height=height,
        ascii_only=ascii_only,
        distinct=distinct,
        note=text,
        marks=((50, text),),
        cursor_ms=20,
        empty=text,
    )
    wanted = dataclasses.replace(wanted, title=text, lines=wanted.lines[len(text) % 3 :])
    shown = draw(wanted)
    assert len(shown) == height
    assert all(len(row) == cell_width(row) == width for row in shown)


def test_an_ascii_chart_is_ascii_throughout():
    wanted = full(ascii_only=True, note="µ", marks=((50, "déploy"),), cursor_ms=20)
    assert all(row.isascii() for row in draw(wanted))


def test_adjacent_cells_of_one_style_are_joined():
    for row in compose(full(), Canvas()):
        assert all(one.style != other.style for one, other in pairwise(row))


def test_the_title_is_in_the_top_border():
    assert draw(full())[0].startswith("┌ memory ─")


def test_the_legend_names_each_line_and_its_value():
    assert draw(full())[0].endswith(" rss 100 MiB  uss 70 MiB ┐")


def test_the_legend_drops_values_before_names():
    assert draw(full(width=32))[0].endswith(" rss 100 MiB  uss ┐")
    assert draw(full(width=26))[0].endswith(" rss  uss ┐")
    assert "rss" not in draw(full(width=14))[0]


def test_the_note_follows_the_title():
    assert draw(full(note="3.2/s runs"))[0].startswith("┌ memory · 3.2/s runs ─")


def test_every_tick_of_the_y_axis_has_its_label_and_mark():
    wanted = full()
    shown = [row for row in draw(wanted) if "┤" in row]
    assert [row[1:12].strip() for row in shown] == [label for _, label in wanted.y.ticks][::-1]


@pytest.mark.parametrize("marks", [{}, {"ascii_only": True}, {"distinct": True}])
@pytest.mark.parametrize("height", range(7, 40, 3))
def test_a_line_at_a_tick_is_drawn_in_the_row_of_the_tick(height, marks):
    times, broken = np.arange(90, dtype=np.int64), np.zeros(90, np.bool_)
    levels = [
        Line("", index, Points(times, *[np.full(90, mib * float(MIB))] * 2, broken))
        for index, mib in enumerate((0, 50, 100))
    ]
    wanted = picture(*levels, height=height, **marks)
    sides = "+|" if marks.get("ascii_only") else "┤│"
    for row in draw(wanted)[1:-1]:
        assert (row[12] == sides[0]) == bool(row[1:12].strip())
        if row[1:12].strip() in {"0 MiB", "50 MiB", "100 MiB"}:
            assert row[14] != " "


def test_the_times_are_on_the_bottom_border_at_their_columns():
    area = plot_area(80, 14)
    bottom = draw(full())[-1]
    begin = bottom.index("14:10")
    assert begin <= area.left + column(50, 0, 100, area.width) <= begin + 5
    assert bottom.startswith("└")
    assert bottom.endswith("─┘")


def test_a_mark_is_a_vertical_line_with_its_label_below():
    shown = draw(full(marks=((40, "deploy"),)))
    at = shown[-1].index("┊deploy")
    assert sum(row[at] == "┊" for row in shown[1:-1]) >= 10


def test_a_mark_without_room_for_its_label_keeps_its_symbol():
    bottom = draw(full(marks=((40, "deploy"), (42, "again"))))[-1]
    assert "┊deploy" in bottom
    assert "again" not in bottom


def test_a_mark_outside_the_window_is_not_drawn():
    assert "┊" not in "".join(draw(full(marks=((400, "deploy"),))))


def test_marks_and_cursor_do_not_hide_data():
    plain, marked = full(), full(marks=((20, "m"),), cursor_ms=60)
    lines = {"line0", "line1"}
    for before, after in zip(compose(plain, Canvas()), compose(marked, Canvas()), strict=True):
        one = [(c, run.style) for run in before for c in run.text]
        two = [(c, run.style) for run in after for c in run.text]
        assert [c for c in one if c[1] in lines] == [c for c in two if c[1] in lines]
    assert {"mark", "cursor"} <= styles(compose(marked, Canvas()))


def test_each_line_has_its_name_at_its_end():
    shown = draw(full())
    assert any(row.rstrip("│ ").endswith(" rss") for row in shown[1:5])
    assert any(row.rstrip("│ ").endswith(" uss") for row in shown[4:8])


def test_a_single_line_needs_no_name():
    assert not any("rss" in row for row in draw(picture(Line("rss", 0, ramp())))[1:])


def test_without_colour_the_legend_shows_the_marker_of_each_line():
    assert draw(full(distinct=True))[0].endswith("⠒ rss 100 MiB  + uss 70 MiB ┐")
    assert "+" in "".join(draw(full(distinct=True))[1:-1])


def test_without_data_a_message_is_in_the_middle_and_the_axis_has_no_labels():
    shown = draw(picture(Line("rss", 0, Points.empty())))
    assert "no samples in this window" in shown[6]
    assert "MiB" not in "".join(shown)


def test_data_outside_the_window_are_ignored():
    late = points_of([1.0], [500])
    assert "no samples in this window" in "".join(draw(picture(Line("rss", 0, late))))


def test_control_codes_in_labels_are_removed():
    evil = picture(Line("\x1b[2J", 0, ramp()), marks=((40, "\x9b31m\n"),), note="\x07")
    assert all(row.isprintable() for row in draw(evil))


def test_a_message_replaces_the_plot():
    rows = message_rows(full(), "cannot draw this chart")
    assert any("cannot draw this chart" in row for row in row_texts(rows))
    assert "error" in styles(rows)
    assert "line0" not in styles(rows)


def test_the_cursor_is_on_the_border_too():
    shown = draw(full(cursor_ms=40))
    at = shown[-1].index("┴")
    assert {row[at] for row in shown[1:-1]} <= {"│", *map(chr, range(0x2800, 0x2900))}
    assert "^" in draw(full(cursor_ms=40, ascii_only=True))[-1]


@pytest.mark.parametrize("cursor_ms", [10, 90])
def test_without_room_in_the_legend_all_values_are_next_to_the_cursor(cursor_ms):
    shown = draw(full(cursor_ms=cursor_ms, width=36))
    assert "uss 70 MiB" not in shown[0]
    inside = "\n".join(shown[1:-1])
    assert "rss 100 MiB" in inside
    assert "uss 70 MiB" in inside


def test_with_room_in_the_legend_nothing_covers_the_lines():
    assert "MiB" not in "".join(row[12:] for row in draw(full(cursor_ms=10))[1:-1])


def test_events_differ_from_marks_in_their_words_and_their_lines():
    shown = draw(full(marks=((60, "deploy"),), events=(ChartMarker(8, "Pause", "event"),)))
    assert "Pause" in shown[-1]
    at = shown[-1].index("Pause")
    assert "╎" in {row[at] for row in shown[1:-1]}
    assert "┊" not in {row[at] for row in shown[1:-1]}


def test_without_room_an_event_is_shown_by_its_letter():
    bottom = draw(full(events=(ChartMarker(42, "Pause", "event"),)))[-1]
    assert "Pause" not in bottom
    assert "P" in bottom


def test_events_are_drawn_in_ascii_too():
    shown = draw(full(ascii_only=True, events=(ChartMarker(8, "Lost 3", "lost"),)))
    assert all(row.isascii() for row in shown)
    assert "Lost 3" in shown[-1]


@pytest.mark.parametrize(("width", "height"), [(80, 14), (30, 8), (12, 3), (80, 1), (3, 2)])
@pytest.mark.parametrize("plain", [False, True])
def test_if_only_values_change_the_plot_is_kept_and_equals_a_full_drawing(width, height, plain):
    before = full(width=width, height=height, ascii_only=plain)
    uss, rss = before.lines
    lines = (dataclasses.replace(uss, value="71 MiB"), dataclasses.replace(rss, value="1.1 GiB"))
    after = dataclasses.replace(before, lines=lines, note="3 threads")
    drawn = compose(before, Canvas())
    again = retitled(after, before, drawn)
    assert again == compose(after, Canvas())
    assert all(one is other for one, other in zip(again[1:], drawn[1:], strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"end_ms": 101},
        {"cursor_ms": 20},
        {"lines": full().lines[:1]},
        {"lines": (full().lines[0], dataclasses.replace(full().lines[1], points=ramp(31, 100)))},
        {"marks": ((50, "deploy"),)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_any_other_change_is_drawn_again(changes):
    before = full()
    after = dataclasses.replace(before, **changes)
    assert retitled(after, before, compose(before, Canvas())) is None
