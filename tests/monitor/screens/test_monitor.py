"""The main screen: keys and mouse change what it shows, on real logs, without a terminal."""

import re
import shutil
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from textual.events import MouseMove

from kit.pilot import settled, text_of, wait_until_async
from pprofplus_tui.model.chart_options import ChartOptions
from pprofplus_tui.model.charts import CHARTS

LARGE, SMALL = (120, 40), (80, 24)


async def test_it_lists_the_runs_and_draws_the_selected_one(home, monitor):
    home.run("api", 4711)
    home.run("worker", 5120, count=700, state="exited")
    async with monitor().run_test(size=LARGE) as pilot:
        titles = [chart.title for chart in CHARTS]
        text = await settled(pilot, lambda text: all(title in text for title in titles))
        assert "✝ 4711" in text
        assert "○ 5120" in text
        assert "2 services" in text


async def test_the_verdicts_on_the_layers_are_above_the_charts(home, monitor):
    home.run(count=600, state="exited")
    async with monitor().run_test(size=LARGE) as pilot:
        text = await settled(pilot, "Python 77.4 MiB ↗")
        assert re.search(r"RSS 107 MiB ↗ growing \+2[23]0 MiB/h", text)
        assert "C 9 MiB" in text


async def test_a_live_run_is_followed_and_a_dead_one_is_shown_as_past(home, monitor):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 60_000, count=61, state="live")
    home.run("api", 2, begin_ms=now_ms - 600_000, count=60)
    async with monitor().run_test(size=LARGE) as pilot:
        assert "api 1" in await settled(pilot, "LIVE")
        await pilot.press("down")
        assert "died" in await settled(pilot, "PAST")


async def test_brackets_cycle_through_the_pids_of_one_service(home, monitor):
    for pid in (11, 12, 13):
        home.run("api", pid, begin_ms=1_800_000_000_000 + pid * 1000)
    home.run("api2", 99)
    app = monitor(service=None)
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        app.monitor.select_run(next(r.id for r in app.monitor.frame.runs if r.pid == 13))
        seen = []
        for _ in range(4):
            seen.append(app.monitor.run.pid)
            await pilot.press("right_square_bracket")
        assert seen == [13, 12, 11, 13]


async def test_a_service_name_matches_exactly_and_not_by_prefix(home, monitor):
    home.run("api", 1)
    home.run("api2", 2)
    async with monitor(service="api").run_test(size=LARGE) as pilot:
        text = await settled(pilot, "python heap")
        assert "api2" not in text
        assert "1 service " in text.replace("·", " ")


async def test_pan_zoom_fit_and_end_move_the_window(home, monitor):
    home.run(count=3600)
    app = monitor()
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        whole = app.monitor.view.window
        await pilot.press("plus")
        closer = app.monitor.view.window
        assert closer.span_ms < whole.span_ms
        assert closer.end_ms == whole.end_ms
        await pilot.press("left")
        assert app.monitor.view.window.end_ms < closer.end_ms
        await pilot.press("home")
        assert app.monitor.view.window.begin_ms == app.monitor.run.begin_ms
        await pilot.press("end")
        assert app.monitor.view.window.end_ms >= app.monitor.run.end_ms
        await pilot.press("0")
        assert app.monitor.view.window.begin_ms <= app.monitor.run.begin_ms
        await pilot.press("pageup", "minus", "space")
        await settled(pilot, "FROZEN")


async def test_a_digit_hides_a_chart_and_enter_enlarges_the_chosen_one(home, monitor):
    home.run()
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "virtual memory")
        await pilot.press("2")
        await settled(pilot, lambda text: "virtual memory" not in text)
        await pilot.press("2")
        await settled(pilot, "virtual memory")
        await pilot.press("tab", "enter")
        await settled(pilot, lambda text: "python heap" in text and "C heap" not in text)
        await pilot.press("escape")
        await settled(pilot, lambda text: "python heap" in text and "C heap" in text)


async def test_the_palette_offers_the_keys_of_the_table(home, monitor):
    home.run()
    app = monitor()
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        whole_ms = app.monitor.view.window.span_ms
        await pilot.press("plus")
        assert app.monitor.view.window.span_ms < whole_ms
        await pilot.press("ctrl+p")
        await pilot.press(*"fit the whole")
        await settled(pilot, "Fit the whole run")
        await pilot.press("enter")
        await settled(pilot, lambda _: app.monitor.view.window.span_ms >= whole_ms)


async def test_an_empty_log_directory_shows_instructions_until_the_first_run(home, monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        text = await settled(pilot, "pprofplus.start(")
        assert str(home.path) in text
        assert "pprofplus-tui demo" in text
        home.run("first", 7)
        assert "first" in await settled(pilot, "python heap")


async def test_for_an_unknown_service_the_known_ones_are_shown(home, monitor):
    home.run("api", 1)
    async with monitor(service="apo").run_test(size=LARGE) as pilot:
        text = await settled(pilot, "No run of service apo")
        assert "services   api" in text


async def test_new_runs_appear_and_the_selection_stays(home, monitor):
    home.run("api", 1)
    app = monitor()
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        home.run("api", 2, begin_ms=1_800_000_900_000)
        await settled(pilot, "✝ 2")
        assert app.monitor.run.pid == 1


async def test_no_escape_sequence_or_markup_of_a_log_reaches_the_screen(home, monitor):
    home.run(argv=("\x1b[31mred", "[bold]x[/bold]"))
    async with monitor().run_test(size=LARGE) as pilot:
        text = await settled(pilot, "python heap")
        assert "\x1b" not in text


async def test_a_terminal_that_is_too_small_shows_the_size_needed(home, monitor):
    home.run()
    async with monitor().run_test(size=(40, 10)) as pilot:
        await settled(pilot, "60x15 needed")


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (20, 5), (200, 50), (400, 120)])
async def test_every_terminal_size_is_filled(home, monitor, size):
    home.run()
    async with monitor().run_test(size=size) as pilot:
        await settled(pilot, lambda text: "memory" in text or "too small" in text)
        assert all(len(line) == size[0] for line in text_of(pilot.app).split("\n"))


async def test_after_a_resize_the_charts_are_drawn_for_the_new_size(home, monitor):
    home.run()
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        for size in ((60, 15), (200, 50), (30, 8), (90, 30)):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.1)
        await settled(pilot, "python heap")


async def test_with_ascii_only_the_screen_is_ascii(home, monitor):
    home.run()
    async with monitor(plain=True).run_test(size=LARGE) as pilot:
        text = await settled(pilot, "python heap")
        assert text.isascii()


async def test_the_light_background_is_light(home, monitor):
    home.run()
    app = monitor(light=True)
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        assert not app.current_theme.dark


async def test_quitting_joins_all_threads(home, monitor):
    home.run()
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("q")
    assert not [t.name for t in threading.enumerate() if t.name.startswith("pprofplus-")]


@pytest.mark.parametrize("key", ["question_mark", "e"])
async def test_ctrl_c_quits_from_the_help_and_cancels_the_dialog(home, monitor, key):
    home.run()
    app = monitor()
    async with app.run_test(size=LARGE, notifications=True) as pilot:
        await settled(pilot, "python heap")
        await pilot.press(key)
        await pilot.pause()
        assert app.screen is not app.monitor
        await pilot.press("ctrl+c")
        await pilot.pause()
        assert "ctrl+q" not in text_of(app).lower()
        assert app._exit is (key != "e")
        assert app._exit or app.screen is app.monitor


@pytest.mark.parametrize("key", ["question_mark", "e", "ctrl+p"])
async def test_dialogs_are_ascii_on_a_terminal_without_utf8(home, monitor, key):
    home.run()
    app = monitor(plain=True)
    async with app.run_test(size=LARGE, notifications=True) as pilot:
        await settled(pilot, "python heap")
        await pilot.press(key)
        app.notify("an error", title="title", severity="error")
        await pilot.pause(0.2)
        assert app.screen is not app.monitor
        assert text_of(app).isascii()


# -- changes while a run is shown


async def test_after_the_shown_run_is_deleted_another_run_is_shown(home, monitor):
    path, _ = home.run("api", 1), home.run("api", 2, begin_ms=1_700_000_000_000)
    app = monitor()
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, lambda text: "api 1 " in text and "virtual memory" in text)
        shutil.rmtree(path)
        await settled(pilot, lambda text: "api 2 " in text and "✝ 1 " not in text)
        await settled(pilot, "virtual memory")
        assert app.monitor.run.pid == 2


async def test_after_the_last_run_is_deleted_the_placeholder_is_shown_until_the_next_run(
    home, monitor
):
    path = home.run("api", 1)
    app = monitor()
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        shutil.rmtree(path)
        await settled(pilot, "No service has written a log here yet")
        await pilot.press("right", "plus", "e", "space", "0", "end", "home")
        home.run("api", 2)
        await settled(pilot, lambda text: "api 2 " in text and "python heap" in text)


async def test_after_many_fast_resizes_every_chart_is_drawn_for_the_last_size(home, monitor):
    home.run()
    app = monitor()
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "virtual memory")
        for i in range(18):
            await pilot.resize_terminal(*((80, 24), (120, 40), (30, 5), (200, 50))[i % 4])
        await pilot.resize_terminal(*LARGE)

        def whole(_text):
            grid = app.monitor._charts
            drawn, places = grid._drawn, grid._places
            return len(places) == len(CHARTS) and all(
                (len(drawn[name][0]) and sum(len(run.text) for run in drawn[name][0]))
                == place.width
                and len(drawn[name]) == place.height
                for name, place in places.items()
            )

        await settled(pilot, whole)


@pytest.mark.parametrize(
    "window",
    [
        {"begin_ms": 4_000_000_000_000},
        {"begin_ms": 4_000_000_000_000, "last_ms": 60_000},
        {"end_ms": 1},
        {"begin_ms": 1, "end_ms": 2},
        {"last_ms": 3_000_000_000_000},
    ],
    ids=["future", "future-span", "1970", "instant", "century"],
)
@pytest.mark.parametrize("state", ["live", "died"])
async def test_any_window_of_the_command_line_can_be_opened_and_left(home, monitor, window, state):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 60_000, count=60, state=state)
    app = monitor(**window)
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "api 1 ")
        await pilot.press("left", "plus", "minus", "right", "0", "end", "home", "0")
        await settled(pilot, "python heap")
        await settled(pilot, lambda text: "no samples" not in text)


async def test_a_log_with_times_in_the_future_is_shown(home, monitor):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms + 3_600_000, count=60, state="live")
    app = monitor()
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "api 1 ")
        await pilot.press("home")
        await settled(pilot, lambda text: "rss " in text and "no samples" not in text)


async def test_the_repeated_hour_of_a_clock_change_is_drawn_twice(home, monitor):
    berlin = ZoneInfo("Europe/Berlin")
    begin_ms = int(datetime(2025, 10, 26, 1, 30, tzinfo=berlin).timestamp() * 1000)
    home.run("api", 1, begin_ms=begin_ms, count=180, interval_ms=60_000)
    async with monitor(zone=berlin).run_test(size=LARGE) as pilot:
        text = await settled(pilot, "virtual memory")
        assert "26 Oct 01:30 – 03:29" in text  # noqa: RUF001 - a dash between times
        assert "3h" in text.split("\n")[0] or "2h59m" in text.split("\n")[0]


async def test_the_gap_of_a_stalled_run_grows_without_new_samples(home, monitor):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 100_000, count=40, state="live")
    app = monitor(last_ms=10_000)
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "STALLED")
        first = app.monitor.view.window
        await wait_until_async(lambda: app.monitor.view.window != first, 15, pause=pilot.pause)
        assert app.monitor.view.window.end_ms > first.end_ms


# -- own metrics of the service

OWN = (
    ("waiting", "jobs", "gauge", lambda i: 5 + i % 3),
    ("running", "jobs", "gauge", lambda _: 2),
    ("lag", "1/1000 s", "gauge", lambda _: 1250),
    ("sold", "1/1000 EUR", "counter", lambda i: 2500 * i),
)


async def test_own_metrics_have_charts_after_the_others_in_their_units(home, monitor):
    home.run(own=OWN)
    async with monitor().run_test(size=(200, 60)) as pilot:
        text = await settled(pilot, lambda text: "lag" in text and "sold" in text)
        assert " jobs " in text
        assert "1.25 s" in text
        assert "2.5 EUR/s" in text


async def test_a_digit_shows_an_own_chart_that_did_not_fit(home, monitor):
    home.run(own=OWN)
    async with monitor().run_test(size=SMALL) as pilot:
        text = await settled(pilot, "python heap")
        assert " lag " not in text
        await pilot.press("9")
        text = await settled(pilot, lambda text: " lag " in text and "1.25 s" in text)
        assert "memory" in text
        await pilot.press("enter")
        await settled(pilot, lambda text: " lag " in text and "memory" not in text)
        await pilot.press("escape", "9")
        await settled(pilot, lambda text: " lag " not in text and "python heap" in text)


async def test_tab_also_chooses_charts_that_did_not_fit(home, monitor):
    home.run(own=OWN)
    app = monitor()
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot, "python heap")
        for _ in range(9):
            assert app.monitor.view.chosen in app.monitor._charts._places
            await pilot.press("tab")


async def test_the_palette_lists_own_charts_by_name(home, monitor):
    home.run(own=((f"[red]{'x' * 9}", "", "gauge", lambda i: i), *OWN))
    app = monitor()
    async with app.run_test(size=(200, 60)) as pilot:
        await settled(pilot, "[red]xxx")
        await pilot.press("ctrl+p")
        await pilot.press(*"chart: [red]")
        await settled(pilot, "Show or hide the chart: [red]xxxxxxxxx")
        await pilot.press("enter")
        await settled(pilot, lambda text: "[red]" not in text)


async def test_own_charts_change_with_the_selected_run(home, monitor):
    home.run("api", 1, own=OWN)
    home.run("web", 2)
    async with monitor().run_test(size=(200, 60)) as pilot:
        await settled(pilot, "web 2")
        await settled(pilot, lambda text: "virtual memory" in text and " lag " not in text)
        await pilot.press("up")
        await settled(pilot, lambda text: "virtual memory" in text and " lag " in text)
        await pilot.press("down")
        await settled(pilot, lambda text: "virtual memory" in text and " lag " not in text)


async def test_a_schema_of_hostile_metrics_is_drawn(home, monitor):
    evil = "\x1b]0;owned\x07[bold red]\u202e"
    own = [(f"{evil}{i}", evil[i % 20 :], "gauge", lambda i: i * (-1) ** i) for i in range(200)]
    app = monitor()
    home.run(own=own, count=50)
    async with app.run_test(size=(200, 60)) as pilot:
        text = await settled(pilot, lambda text: "memory" in text and "owned" in text)
        for char in "\x1b\x07\u202e":
            assert char not in text
        await pilot.press("8", "8", "tab", "enter", "tab", "escape")
        await settled(pilot, "memory")


async def test_a_mark_is_a_line_on_every_chart_without_control_codes(home, monitor):
    home.run(marks=[(300, "deploy 1.4.2"), (100, "\x1b[31mred")])
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "┊deploy 1.4.2")
        text = await settled(pilot, lambda text: text.split("virtual memory")[-1].count("┊") > 6)
        assert r"\x1b[31mred" in text
        assert "\x1b" not in text


async def test_many_marks_do_not_hide_the_time_on_the_border(home, monitor):
    home.run(marks=[(10 * i, "deploy") for i in range(60)])
    async with monitor().run_test(size=LARGE) as pilot:
        # the narrow charts show no other time
        await settled(pilot, lambda text: text.count("┊") > 300 and text.count(" 08:05 ") > 2)


# -- paused, pinned


async def test_a_paused_run_is_shown_as_paused(home, monitor):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 3_600_000, count=60, state="paused")
    async with monitor().run_test(size=LARGE) as pilot:
        text = await settled(pilot, "paused since")
        assert "‖ 1 " in text
        assert "PAST" in text  # the recorded time, not an empty hour
        await pilot.press("end")
        await settled(pilot, "PAUSED")


async def test_p_pins_and_unpins_the_run(home, monitor):
    path = Path(home.run())
    async with monitor().run_test(size=LARGE, notifications=True) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("p")
        await settled(pilot, lambda text: "◆✝ 4711" in text and "◆ pinned" in text)
        assert (path / "pinned").is_file()
        await pilot.press("p")
        await settled(pilot, lambda text: "◆" not in text and "unpinned" in text)
        assert not (path / "pinned").exists()


async def test_for_a_run_that_cannot_be_pinned_the_reason_is_shown(home, monitor):
    path = Path(home.run())
    (path / "pinned").mkdir()
    async with monitor().run_test(size=LARGE, notifications=True) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("p")
        await settled(pilot, "is not a regular file")


async def test_the_cursor_shows_every_chart_at_one_time_until_escape_removes_it(home, monitor):
    home.run(count=600)
    async with monitor(zone=timezone.utc).run_test(size=LARGE) as pilot:
        before = await settled(
            pilot, lambda text: "virtual memory" in text and "user" in text and "growing" in text
        )
        await pilot.press("comma", "comma", "comma", "comma")
        text = await settled(pilot, "CURSOR")
        cursor_ms = pilot.app.monitor.view.cursor
        index = round((cursor_ms - 1_800_000_000_000) / 1000)
        rss = 40 + 30 + index / 16
        text = await settled(pilot, f"rss {rss:.2f} MiB")
        assert f"used {rss - 30:.2f} MiB" in text
        assert f"vms {rss - 30 + 300:.2f} MiB" in text
        assert (
            datetime.fromtimestamp(1_800_000_000 + index, timezone.utc).strftime(
                "%d %b %H:%M:%S.000 UTC"
            )
            in text
        )
        assert text.count("┴") > 1
        await pilot.press("escape")
        assert await settled(pilot, lambda text: text == before)


async def test_a_zoom_keeps_the_cursor_at_its_column(home, monitor):
    home.run(count=3600)
    app = monitor()
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        await pilot.click(app.monitor._charts, offset=(40, 5))
        cursor_ms, before = app.monitor.view.cursor, app.monitor.view.window
        await pilot.press("plus", "plus")
        assert app.monitor.view.cursor == cursor_ms
        window = app.monitor.view.window
        share = (cursor_ms - window.begin_ms) / window.span_ms
        assert window.span_ms < before.span_ms / 2
        assert share == pytest.approx((cursor_ms - before.begin_ms) / before.span_ms, abs=1e-4)


async def test_a_click_sets_the_cursor_a_drag_moves_it_and_a_click_on_a_frame_enlarges(
    home, monitor
):
    home.run(count=600)
    app = monitor()
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        charts = app.monitor._charts
        await pilot.click(charts, offset=(30, 5))
        first_ms = app.monitor.view.cursor
        assert first_ms is not None
        assert not app.monitor.view.alone
        await pilot.hover(charts, offset=(60, 5))
        assert app.monitor.view.cursor == first_ms
        await pilot.mouse_down(charts, offset=(30, 5))
        await pilot._post_mouse_events([MouseMove], charts, offset=(50, 5), button=1)
        await pilot.pause()
        assert app.monitor.view.cursor > first_ms
        await pilot.click(charts, offset=(5, 0))
        assert app.monitor.view.alone


async def test_y_and_r_change_the_chosen_chart_or_show_why_they_cannot(home, monitor):
    home.run(count=600)
    async with monitor().run_test(size=LARGE, notifications=True) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("y")
        text = await settled(pilot, "memory · log scale")
        assert "200 MiB ┤" in text
        await pilot.press("y")
        await settled(pilot, lambda text: "log scale" not in text)
        await pilot.press("r")
        await settled(pilot, "no counters")
        await pilot.press("tab", "tab", "y")
        await settled(pilot, "is a stack")
        await pilot.press("tab", "tab", "r")
        await settled(pilot, "cpu, total")
        await pilot.press("comma")
        await settled(pilot, "user 29.950 s")


async def test_charts_can_be_preset(home, monitor):
    home.run(count=600)
    looks = ChartOptions(frozenset({"virtual"}), frozenset({"memory"}), frozenset({"cpu"}))
    async with monitor(chart_options=looks).run_test(size=LARGE) as pilot:
        text = await settled(pilot, lambda text: "cpu, total" in text and "gc pause" in text)
        assert "log scale" in text
        assert "virtual memory" not in text


async def test_the_time_zone_is_on_every_axis_and_in_the_status(home, monitor):
    home.run(count=600)
    zone = ZoneInfo("Asia/Kathmandu")
    for size in (LARGE, SMALL):
        async with monitor(zone=zone).run_test(size=size) as pilot:
            text = await settled(pilot, lambda text: "└ +0545 ─" in text and "PAST" in text)
            assert "+0545" in text.splitlines()[0]
