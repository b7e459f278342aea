"""The list of runs: services with their runs, the selected one always visible, clicks."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.events import MouseScrollDown, MouseScrollUp

from kit.cells import row_text
from kit.fake_runs import fake_run
from kit.run_list import list_rows
from kit.units import GIB
from pprofplus_tui.model.run_filter import AGE, GROWTH, RunFilter
from pprofplus_tui.model.runs import DIED, EXITED, LIVE, SIGNS, STALLED, STATES, ordered
from pprofplus_tui.model.verdict import GROWING, SAW_TOOTH, SHRINKING, TOO_LITTLE, Verdict
from pprofplus_tui.widgets.row_text import width_of
from pprofplus_tui.widgets.run_list import RunList, RunListView


def run_of(service="api", pid=1, state=LIVE, rss=None, spark="▁▂▃▄▅▆"):
    return fake_run(service, pid, state, begin_ms=pid, end_ms=pid + 1, rss_bytes=rss, spark=spark)


def many(count, services=("api", "batch", "worker")):
    return ordered(run_of(services[i % len(services)], i) for i in range(count))


def texts(runs, width=34, **view):
    return [row_text(row) for row, _ in list_rows(RunListView(runs, **view), width)]


runs_of_any_kind = st.lists(
    st.builds(
        run_of,
        st.sampled_from(["a", "api-worker", "x" * 64]),
        st.integers(1, 1 << 32),
        st.sampled_from(STATES),
        st.none() | st.integers(0, 1 << 50),
        st.sampled_from(["", "▁▂▃▄▅▆"]),
    ),
    max_size=12,
    unique_by=lambda run: run.id,
).map(ordered)


@given(runs_of_any_kind, st.integers(1, 60))
def test_every_line_has_the_width_of_the_list(runs, width):
    for row, _ in list_rows(RunListView(runs), width):
        assert width_of(row) == width


@given(runs_of_any_kind)
def test_every_run_has_one_line_under_its_service(runs):
    lines = list_rows(RunListView(runs), 34)
    assert [path for _, path in lines if path is not None] == [run.id for run in runs]
    heading = ""
    for row, path in lines:
        if path is None:
            heading, _, count = row_text(row)[1:].partition(" ")
            assert count.strip()
        else:
            (run,) = [run for run in runs if run.id == path]
            assert run.service.startswith(heading)


def test_a_run_shows_its_state_pid_memory_and_sparkline():
    (_, line) = texts((run_of(pid=4711, rss=412 << 20),))
    assert line.split() == ["●", "4711", "412", "MiB", "▁▂▃▄▅▆"]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict(GROWING, 3.0 * (1 << 20)), "+3 MiB/h"),
        (Verdict(SHRINKING, -990.0 * (1 << 20)), "-990 MiB/h"),
        (Verdict(SAW_TOOTH), "saw-tooth"),
        (Verdict(TOO_LITTLE), "too little"),
        (None, "…"),
    ],
)
def test_in_the_order_of_growth_each_live_run_shows_the_verdict_it_is_ordered_by(verdict, words):
    live = replace(run_of(pid=4711, rss=412 << 20), growth=verdict)
    dead = run_of(pid=4712, state=DIED, rss=412 << 20)
    lines = texts((live, dead), run_filter=RunFilter(order=GROWTH))
    assert lines[1].split(maxsplit=2)[2].split("▁")[0].strip() == words
    assert lines[2].split() == ["✝", "4712", "▁▂▃▄▅▆"]


def test_in_the_order_of_age_each_run_shows_its_age():
    run = replace(run_of(pid=4711, rss=412 << 20), begin_ms=0, end_ms=7_440_000)
    assert texts((run,), run_filter=RunFilter(order=AGE))[1].split()[2] == "2h4m"


@pytest.mark.parametrize("state", STATES)
def test_each_state_has_its_sign(state):
    assert SIGNS[state] in texts((run_of(state=state),))[1]


def test_a_heading_counts_live_runs_and_all_runs():
    runs = ordered([run_of(pid=1), run_of(pid=2, state=DIED), run_of(pid=3, state=STALLED)])
    assert texts(runs)[0].split() == ["api", "2/3"]


def test_a_heading_has_one_count_if_all_runs_are_live():
    assert texts(many(6, ("api",)))[0].split() == ["api", "6"]


def test_ended_runs_are_below_live_ones_of_their_service():
    runs = ordered([run_of(pid=9, state=EXITED), run_of(pid=1), run_of("b", 5, DIED)])
    assert [line.split()[1] for line in texts(runs) if line[1] in SIGNS.values()] == ["1", "9", "5"]


def test_the_longest_pid_and_size_leave_room_for_the_sparkline():
    line = texts((run_of(pid=4194304, rss=1023 * GIB),), width=28)[1]
    assert line.rstrip().endswith("1023 GiB ▁▂▃▄▅▆")


def test_ascii_only_is_ascii():
    runs = tuple(run_of(pid=i, state=state, spark="_.-=+*") for i, state in enumerate(STATES))
    assert all(line.isascii() for line in texts(runs, plain=True))


def test_only_the_selected_run_has_another_background():
    runs = many(6)
    for row, path in list_rows(RunListView(runs, runs[2].id), 34):
        chosen = [run.style.endswith("_selected") for run in row]
        assert all(chosen) if path == runs[2].id else not any(chosen)


# -- on a screen


async def test_the_selected_run_stays_visible_from_top_to_bottom(stage):
    app = stage(RunList())
    runs = many(300)
    async with app.run_test(size=(34, 12)) as pilot:
        for at in (*range(0, 300, 7), 299, *range(299, -1, -11), 0):
            app.widget.show(RunListView(runs, runs[at].id))
            await pilot.pause()
            assert any(line.split()[1] == str(runs[at].pid) for line in app.lines if line.strip())


async def test_the_heading_is_above_the_first_run_of_a_service(stage):
    app = stage(RunList())
    runs = many(300)
    async with app.run_test(size=(34, 12)) as pilot:
        first = next(run for run in runs if run.service == "batch")
        app.widget.show(RunListView(runs, runs[-1].id))
        app.widget.show(RunListView(runs, first.id))
        await pilot.pause()
        assert app.lines[0].split()[0] == "batch"
        assert app.lines[1].split()[1] == str(first.pid)


async def test_the_list_does_not_scroll_while_the_selected_run_is_visible(stage):
    app = stage(RunList())
    runs = many(60, ("api",))
    async with app.run_test(size=(34, 12)) as pilot:
        app.widget.show(RunListView(runs, runs[30].id))
        await pilot.pause()
        before = [line.split()[1] for line in app.lines]
        app.widget.show(RunListView(runs, runs[25].id))
        await pilot.pause()
        assert [line.split()[1] for line in app.lines] == before


async def test_a_new_run_above_leaves_the_selected_one_visible(stage):
    app = stage(RunList())
    runs = many(60, ("api",))
    async with app.run_test(size=(34, 12)) as pilot:
        app.widget.show(RunListView(runs, runs[-1].id))
        app.widget.show(RunListView(ordered([*runs, run_of(pid=999)]), runs[-1].id))
        await pilot.pause()
        assert any(line.split()[1] == str(runs[-1].pid) for line in app.lines)


async def test_a_shorter_list_leaves_no_old_lines(stage):
    app = stage(RunList())
    runs = many(60)
    async with app.run_test(size=(34, 12)) as pilot:
        app.widget.show(RunListView(runs, runs[-1].id))
        await pilot.pause()
        app.widget.show(RunListView(runs[:2], runs[0].id))
        await pilot.pause()
        assert [line.strip() != "" for line in app.lines] == [True] * 3 + [False] * 9


async def test_a_smaller_terminal_still_shows_the_selected_run(stage):
    app = stage(RunList())
    runs = many(300)
    async with app.run_test(size=(34, 40)) as pilot:
        app.widget.show(RunListView(runs, runs[35].id))
        for height in (30, 4, 2, 1, 25):
            await pilot.resize_terminal(34, height)
            await pilot.pause()
            assert any(str(runs[35].pid) in line.split() for line in app.lines)


async def test_a_click_chooses_the_run_under_the_mouse_also_when_scrolled(stage):
    app = stage(RunList())
    runs = many(300)
    async with app.run_test(size=(34, 12)) as pilot:
        app.widget.show(RunListView(runs, runs[150].id))
        await pilot.pause()
        for y, line in enumerate(app.lines):
            app.posted.clear()
            await pilot.click(offset=(5, y))
            word = line.split()[1]
            if line[1] in SIGNS.values():
                (run,) = [run for run in runs if str(run.pid) == word]
                assert app.posted == [("chosen", run.id)]


async def test_a_click_on_a_heading_or_below_the_last_run_chooses_nothing(stage):
    app = stage(RunList())
    async with app.run_test(size=(34, 12)) as pilot:
        app.widget.show(RunListView((run_of(),), None))
        await pilot.pause()
        for y in (0, 2, 11):
            await pilot.click(offset=(5, y))
        assert app.posted == []
        await pilot.click(offset=(5, 1))
        assert app.posted == [("chosen", "/api/1")]


async def test_the_wheel_steps_through_the_runs(stage):
    app = stage(RunList())
    async with app.run_test(size=(34, 12)) as pilot:
        app.widget.show(RunListView(many(5), None))
        await pilot._post_mouse_events([MouseScrollDown], offset=(5, 3))
        await pilot._post_mouse_events([MouseScrollUp], offset=(5, 3))
        await pilot.pause()
        assert app.posted == [("stepped", 1), ("stepped", -1)]
