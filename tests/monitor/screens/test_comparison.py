"""Many runs on the screens: filtered, ordered, compared, and a service as one chart."""

import os
import re
import shutil
import time

import pytest

from kit.pilot import settled, text_of, wait_until_async
from kit.units import MIB
from pprofplus_tui.model.comparison_keys import comparison_keys
from pprofplus_tui.model.comparison_request import COMPARE, SERVICE, SUM
from pprofplus_tui.model.keys import rebound
from pprofplus_tui.model.verdict import GROWING, STEADY
from pprofplus_tui.screens.comparison import ComparisonScreen

LARGE, SMALL = (120, 40), (80, 24)


def of_size(base_mib, step_bytes=0):
    """Return a sample function that begins at a size and grows by a step per sample."""

    def sample(i):
        used = base_mib * MIB + step_bytes * i
        rest = ("vms", "heap_idle", "malloc_sys", "malloc_used", "malloc_free", "gc_pause_max")
        more = ("gc_runs_0", "cpu_user", "cpu_system", "threads")
        return {
            "rss": used + 10 * MIB,
            "uss": used,
            "heap_sys": used,
            "heap_used": used,
            **dict.fromkeys(rest, MIB),
            **dict.fromkeys(more, 4),
        }

    return sample


@pytest.fixture
def three(home):
    """Two successive runs of one service, and one run of another."""
    home.run("api", 4711, begin_ms=1_800_000_000_000, count=600, sample=of_size(100))
    home.run("api", 4712, begin_ms=1_800_003_600_000, count=600, sample=of_size(150, 10_000))
    home.run("worker", 5120, begin_ms=1_800_003_700_000, count=300, sample=of_size(50))
    return home


async def type_(pilot, text):
    await pilot.press(*("space" if char == " " else char for char in text))


def listed(app):
    return [run.pid for run in app.monitor.picker.listed]


# -- the list


@pytest.mark.usefixtures("three")
async def test_typing_filters_the_list_and_leaves_the_charts(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "4711")
        shown = pilot.app.monitor.view.run
        await pilot.press("slash")
        await type_(pilot, "471")
        assert listed(pilot.app) == [4712, 4711]
        await type_(pilot, "1")
        assert listed(pilot.app) == [4711]
        assert pilot.app.monitor.view.run == shown
        await settled(pilot, "1/3")
        await pilot.press("escape")
        assert listed(pilot.app) == [4712, 4711, 5120]
        assert pilot.app.monitor.view.run == shown


@pytest.mark.usefixtures("three")
async def test_a_character_typed_into_the_filter_is_not_a_key_command(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "4711")
        await pilot.press("slash")
        await type_(pilot, "qp1c")
        await settled(pilot, "nothing matches")
        assert pilot.app.monitor.picker.run_filter.text == "qp1c"
        assert pilot.app.is_running
        assert pilot.app.monitor.picker.run_filter.marked == ()
        await pilot.press("backspace", "backspace", "backspace", "backspace")
        assert listed(pilot.app) == [4712, 4711, 5120]


@pytest.mark.usefixtures("three")
async def test_enter_keeps_the_filter_and_shows_a_matching_run(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "4711")
        await pilot.press("slash")
        await type_(pilot, "4711")
        await pilot.press("enter")
        assert pilot.app.monitor.run.pid == 4711
        assert not pilot.app.monitor.picker.run_filter.typing
        await pilot.press("down", "down")
        assert pilot.app.monitor.run.pid == 4711
        await pilot.press("escape")
        assert len(listed(pilot.app)) == 3


@pytest.mark.usefixtures("three")
async def test_ctrl_c_quits_while_typing(monitor):
    app = monitor()
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "4711")
        await pilot.press("slash", "ctrl+c")
        await pilot.pause()
        assert not app.is_running


@pytest.mark.usefixtures("three")
async def test_the_order_is_shown_and_the_selected_run_stays(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "by newest")
        shown = pilot.app.monitor.view.run
        await pilot.press("o")
        await settled(pilot, "by rss")
        assert listed(pilot.app) == [4712, 4711, 5120]
        await pilot.press("o")
        await settled(pilot, "by growth")
        # the growth needs the end of the log
        await wait_until_async(lambda: listed(pilot.app)[0] == 4712, 30, pause=pilot.pause)
        await pilot.press("o")
        await settled(pilot, "by age")
        await pilot.press("o", "o")
        await settled(pilot, "by newest")
        assert pilot.app.monitor.view.run == shown


@pytest.fixture
def thousand(home):
    """A thousand ended runs in twenty services, an hour old."""
    for number in range(1000):
        home.run(
            f"svc-{number % 20:02}",
            10_000 + number,
            begin_ms=1_800_000_000_000 + number * 60_000,
            count=2,
            sample=of_size(number % 97 + 1),
        )
    then = time.time() - 3600
    for path in home.path.rglob("*.pplog"):
        os.utime(path, (then, then))
    return home


@pytest.mark.slow
@pytest.mark.usefixtures("thousand")
async def test_a_thousand_runs_can_be_listed_filtered_and_stepped_through(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, lambda _: len(pilot.app.monitor.picker.listed) == 1000, within_s=90)
        assert pilot.app.monitor.picker.list.size.height == len(pilot.app.monitor.picker.list.rows)
        await pilot.press("slash")
        await type_(pilot, "10777")
        assert listed(pilot.app) == [10_777]
        await pilot.press("enter")
        await settled(pilot, "svc-17 10777")
        await pilot.press("escape")
        await pilot.press(*["down"] * 40)
        await settled(pilot, "1000 ")
        # only the runs that were visible are read completely
        whole = sum(run.spark.strip() != "" for run in pilot.app.monitor.frame.runs)
        assert whole < 200


# -- comparisons


async def mark(pilot, *pids):
    """Mark these runs; the selection can be anywhere."""
    for pid in pids:
        (path,) = [run.id for run in pilot.app.monitor.frame.runs if run.pid == pid]
        pilot.app.monitor.select_run(path)
        await pilot.press("c")


async def open_comparison(pilot, *pids):
    await settled(pilot, "4711")
    await mark(pilot, *pids)
    await pilot.press("C")
    screen = pilot.app.screen
    assert isinstance(screen, ComparisonScreen)
    await settled(pilot, lambda text: screen.findings.members and "growth" in text)
    return screen


@pytest.mark.usefixtures("three")
async def test_the_list_shows_the_letters_of_marked_runs(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "4711")
        await mark(pilot, 4711, 5120)
        text = await settled(pilot, "2 marked")
        assert re.search(r"A✝ 4711", text)
        assert re.search(r"B✝ 5120", text)
        await mark(pilot, 4711)
        await settled(pilot, lambda text: re.search(r"A✝ 5120", text))


@pytest.mark.usefixtures("three")
async def test_a_single_marked_run_opens_no_comparison(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "4711")
        await pilot.press("c", "C")
        await pilot.pause()
        assert pilot.app.screen is pilot.app.monitor


@pytest.mark.usefixtures("three")
async def test_runs_before_and_after_a_deploy_are_compared_at_the_same_age(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        screen = await open_comparison(pilot, 4711, 4712)
        assert screen.comparison.aligned
        one, other = screen.findings.members
        # at the last second: 110 MiB, and 160 MiB with 599 steps of 10,000 bytes
        assert one.value == pytest.approx(110 * MIB, rel=0.001)
        assert other.value == pytest.approx(160 * MIB + 599 * 10_000, rel=0.002)
        assert one.verdict.kind == STEADY
        assert other.verdict.kind == GROWING
        assert other.verdict.per_hour == pytest.approx(3600 * 10_000, rel=0.02)
        text = await settled(pilot, "since each start")
        assert "+50.6 %" in text
        assert "A api 4711" in text
        assert "B api 4712" in text


@pytest.mark.usefixtures("three")
async def test_the_a_key_switches_between_age_and_time(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        screen = await open_comparison(pilot, 4711, 4712)
        await pilot.press("a")
        assert not screen.comparison.aligned
        await settled(pilot, "last value")
        await pilot.press("a")
        await settled(pilot, "since each start")


@pytest.mark.usefixtures("three")
async def test_each_line_shows_its_letter(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        await open_comparison(pilot, 4711, 4712)
        grid = pilot.app.screen._charts

        def letters(_):
            rows = ["".join(run.text for run in row)[13:-1] for row in grid.rows[1:-1]]
            return any("A" in row for row in rows) and any("B" in row for row in rows)

        await settled(pilot, letters)


@pytest.mark.usefixtures("three")
async def test_the_cursor_shows_the_values_at_its_time(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        screen = await open_comparison(pilot, 4711, 4712)
        last = screen.findings.members[1].value
        for _ in range(40):
            await pilot.press("comma")
        await settled(pilot, lambda _: screen.findings.moment_ms == screen.comparison.cursor_ms)
        assert screen.findings.members[1].value < last
        await pilot.press("escape")
        assert pilot.app.screen is screen
        await pilot.press("escape")
        await settled(pilot, "by newest")
        assert pilot.app.screen is pilot.app.monitor


@pytest.mark.usefixtures("three")
async def test_pan_and_zoom_work_as_on_the_main_screen(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        screen = await open_comparison(pilot, 4711, 4712)
        whole = screen.comparison.window
        await pilot.press("plus", "left", "home", "end", "right", "minus", "space", "space", "0")
        assert screen.comparison.window == whole
        await pilot.press("tab")
        await settled(pilot, "python heap: used")
        assert pilot.app.monitor.view.run is not None


@pytest.mark.usefixtures("three")
async def test_the_main_screen_is_redrawn_after_a_comparison(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        await open_comparison(pilot, 4711, 4712)
        await pilot.press("escape")
        await settled(pilot, "by newest")
        pilot.app.monitor.select_run(pilot.app.monitor.frame.runs[-1].id)
        await settled(pilot, lambda text: "worker 5120" in text and "RSS 60 MiB" in text)


async def test_a_live_run_is_compared_with_a_dead_one(home, monitor):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 60_000, count=60, state="live", sample=of_size(90))
    home.run("api", 4711, begin_ms=now_ms - 600_000, count=300, sample=of_size(40))
    async with monitor().run_test(size=LARGE) as pilot:
        screen = await open_comparison(pilot, 1, 4711)
        await settled(pilot, "LIVE" if not screen.comparison.aligned else "by age")
        assert [member.state for member in screen.findings.members] == ["live", "died"]


@pytest.mark.usefixtures("three")
async def test_a_compared_run_can_be_removed_without_an_error(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        screen = await open_comparison(pilot, 4711, 4712)
        shutil.rmtree(screen.members[1].id)
        await settled(pilot, "1 runs compared")
        await pilot.press("a", "0", "plus", "escape")
        await pilot.pause()
        assert pilot.app.is_running


@pytest.mark.parametrize("size", [(60, 15), SMALL, (400, 120)], ids=str)
@pytest.mark.usefixtures("three")
async def test_a_comparison_fits_every_size(monitor, size):
    async with monitor().run_test(size=LARGE) as pilot:
        screen = await open_comparison(pilot, 4711, 4712)
        await pilot.resize_terminal(*size)
        await settled(pilot, lambda _: screen._charts.size.width == size[0])
        await settled(pilot, lambda text: "B minus A" in text and "MiB ┤" in text)
        assert all(len(line) == size[0] for line in text_of(pilot.app).splitlines())


# -- a service


@pytest.fixture
def fleet(home):
    """Sixty-four live workers, three of which grow."""
    now_ms = time.time_ns() // 1_000_000
    for number in range(64):
        home.run(
            "web",
            7000 + number,
            begin_ms=now_ms - 120_000,
            count=120,
            sample=of_size(50 + number, 40_000 if number in {5, 6, 7} else 0),
            state="live",
        )
    home.run("other", 1, begin_ms=now_ms - 60_000, count=60, state="live")
    return home


@pytest.mark.usefixtures("fleet")
async def test_sixty_four_workers_are_drawn_in_one_chart(monitor):
    async with monitor(service="web").run_test(size=LARGE) as pilot:
        await settled(pilot, "64 live")
        await pilot.press("v")
        screen = pilot.app.screen
        assert isinstance(screen, ComparisonScreen)
        await settled(pilot, lambda _: screen.findings.count == 64, within_s=60)
        found = screen.findings
        assert {member.pid for member in found.members[:3]} == {7005, 7006, 7007}
        assert found.rest.count == 59
        assert found.running == 64
        # 64 times 60 MiB, and 0 to 63 more
        assert found.rss_bytes == pytest.approx((64 * 60 + 63 * 32) * MIB, rel=0.01)
        assert found.uss_bytes == pytest.approx((64 * 50 + 63 * 32) * MIB, rel=0.01)
        text = await settled(pilot, lambda text: "59 others" in text and "░" in text)
        assert "total rss of all runs" in text
        assert {SERVICE, SUM} == set(screen._charts._places)


@pytest.mark.usefixtures("fleet")
async def test_by_age_no_total_is_drawn_and_the_reason_is_shown(monitor):
    async with monitor(service="web").run_test(size=LARGE) as pilot:
        await settled(pilot, "64 live")
        await pilot.press("v")
        screen = pilot.app.screen
        await settled(pilot, lambda text: "total rss of all runs" in text, within_s=60)
        await pilot.press("a")
        await settled(pilot, "no total by age: runs at different times")
        assert set(screen._charts._places) == {SERVICE}
        await settled(pilot, lambda text: "total rss of all runs" not in text)
        await pilot.press("a")
        await settled(pilot, lambda text: "total rss of all runs" in text, within_s=60)


@pytest.mark.usefixtures("fleet")
async def test_the_o_key_highlights_the_largest_runs(monitor):
    async with monitor(service="web").run_test(size=LARGE) as pilot:
        await settled(pilot, "64 live")
        await pilot.press("v")
        screen = pilot.app.screen
        await settled(pilot, lambda _: screen.findings.count == 64, within_s=60)
        await pilot.press("o")
        await settled(pilot, "the 5 largest")
        await settled(pilot, lambda _: screen.findings.members[0].pid == 7063)


@pytest.mark.usefixtures("three")
async def test_a_click_on_a_service_heading_opens_its_comparison(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        text = await settled(pilot, "worker ")
        y = next(i for i, line in enumerate(text.splitlines()) if line.startswith(" worker"))
        await pilot.click(offset=(3, y))
        await settled(pilot, "worker · 1 runs")
        assert pilot.app.screen.comparison.kind == SERVICE


@pytest.mark.usefixtures("three")
async def test_a_comparison_of_a_service_keeps_the_marked_runs(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "4711")
        await mark(pilot, 4711, 4712)
        await pilot.press("v", "escape")
        await settled(pilot, "2 marked")
        await pilot.press("C")
        assert pilot.app.screen.comparison.kind == COMPARE


# -- palette, screenshot, key settings


@pytest.mark.usefixtures("three")
async def test_the_palette_of_a_comparison_offers_its_own_keys(monitor):
    async with monitor().run_test(size=LARGE) as pilot:
        screen = await open_comparison(pilot, 4711, 5120)
        titles = [command.title for command in pilot.app.get_system_commands(screen)]
        assert titles[: len(screen.offered) - 1] == [
            key.text for key in screen.offered if key.action != "command_palette"
        ]
        await pilot.press("ctrl+p")
        await pilot.press(*"align the runs")
        await settled(pilot, "Align the runs to their starts")
        aligned = screen.comparison.aligned
        await pilot.press("enter")
        await settled(pilot, lambda _: screen.comparison.aligned != aligned)


@pytest.mark.usefixtures("three")
async def test_a_screenshot_of_a_comparison_is_saved(monitor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with monitor().run_test(size=LARGE, notifications=True) as pilot:
        await open_comparison(pilot, 4711, 5120)
        await pilot.press("s")
        await settled(pilot, "save a screenshot")
        await pilot.press("enter")
        await settled(pilot, "saved")
    (written,) = tmp_path.glob("pprofplus-compared-*.svg")
    assert "compared" in written.read_text()


def test_rebound_keys_are_rebound_in_a_comparison_too():
    moved = comparison_keys(rebound({"fit": ("F",)}))
    (fit,) = [key for key in moved if key.action == "fit"]
    assert fit.keys == "F"
    names = [name for key in moved for name in key.keys.split(",")]
    assert len(names) == len(set(names))
