"""The explain page: the chosen chart first, at every size, without control codes of a log."""

import asyncio
import json
from pathlib import Path

import pytest

from pprofplus.metrics import CATALOGUE
from pprofplus_tui.app import MonitorApp
from pprofplus_tui.commands.open_monitor import local_backend
from pprofplus_tui.model.options import Options
from pprofplus_tui.screens.explain_page import ExplainPage


def page_of(app):
    """Return the whole text of the page at any scroll position."""
    lines = [
        "".join(segment.text for segment in strip)
        for part in app.screen.query("#page Static")
        for strip in (part.render_line(y) for y in range(part.size.height))
    ]
    return "\n".join(line.rstrip() for line in lines)


async def explained(pilot, *keys):
    app = pilot.app
    async with asyncio.timeout(30):
        while not app.monitor.frame.verdicts.layers:
            await pilot.pause(0.02)
    await pilot.press(*keys, "i")
    async with asyncio.timeout(30):
        while not (isinstance(app.screen, ExplainPage) and app.screen.query("#page Static")):
            await pilot.pause(0.02)
    await pilot.pause(0.1)
    return page_of(app)


async def test_i_shows_the_verdict_the_layer_and_the_shape(home, monitor):
    home.run()
    async with monitor().run_test(size=(120, 40)) as pilot:
        text = await explained(pilot)
        assert "RSS is growing" in text
        assert "The layer that grows most is Python objects" in text
        assert "▸  rises steadily" in text


async def test_the_chosen_chart_is_first_and_every_metric_appears_once(home, monitor):
    home.run()
    async with monitor().run_test(size=(120, 40)) as pilot:
        text = await explained(pilot, "tab")
        assert "The chart: python heap" in text
        first, rest = text.split("What shapes usually mean")
        assert "heap_used" in first
        assert "HeapAlloc" in first
        tail = rest.split("The other metrics")[1].split("Sums that Go")[0]
        for metric in CATALOGUE:
            mine = metric.name in {"heap_used", "heap_sys", "heap_idle"}
            assert (f"\n{metric.name} " in tail) is not mine


async def test_i_shows_that_the_cause_of_an_end_is_not_known(home, monitor):
    home.run()
    async with monitor().run_test(size=(120, 40)) as pilot:
        assert "The cause of its end is not known: no stop event: killed" in await explained(pilot)


@pytest.fixture
def oom_killed(home):
    path = home.run()
    Path(path, "outcome").write_text(json.dumps({"by": "systemd", "oom_killed": True}))


@pytest.mark.usefixtures("oom_killed")
async def test_i_shows_the_cause_of_an_end_and_its_certainty(monitor):
    async with monitor().run_test(size=(120, 40)) as pilot:
        text = await explained(pilot)
        assert "How it ended: out of memory. Known: systemd: killed by the OOM killer." in text
        assert "At its last sample: RSS" in text


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (200, 50)])
@pytest.mark.parametrize("key", ["escape", "q", "i"])
async def test_it_scrolls_to_its_end_and_closes(home, monitor, size, key):
    home.run()
    app = monitor()
    async with app.run_test(size=size) as pilot:
        await explained(pilot)
        page = app.screen.query_one("#page")
        await pilot.press("end")
        await pilot.pause()
        assert page.scroll_y == page.max_scroll_y > 0
        await pilot.press("home", "down", "pagedown", "up", "pageup", key)
        await pilot.pause()
        assert app.screen is app.monitor


async def test_with_too_little_data_no_shape_is_marked(home, monitor):
    home.run(count=9)
    async with monitor().run_test(size=(120, 40)) as pilot:
        text = await explained(pilot)
        assert "too little data" in text
        assert "▸" not in text


async def test_a_hostile_own_metric_is_named_without_control_codes(home, monitor):
    evil = "\x1b]0;owned\x07[bold red]"
    home.run(own=((evil, evil, "gauge", lambda i: i),))
    async with monitor().run_test(size=(120, 40)) as pilot:
        text = await explained(pilot, "7", "7", "shift+tab")
        assert "Metrics that the service itself added" in text
        assert "\x1b" not in text
        assert "owned" in text


async def test_on_a_terminal_without_utf8_it_is_ascii(home, monitor):
    path = home.run()
    outcome = {"by": "sÿstemd", "signal": 9, "text": "größer"}
    await asyncio.to_thread(Path(path, "outcome").write_text, json.dumps(outcome))
    async with monitor(plain=True).run_test(size=(120, 40)) as pilot:
        assert (await explained(pilot)).isascii()


async def test_without_a_run_i_does_nothing(tmp_path):
    app = MonitorApp(Options(directories=(str(tmp_path),)), local_backend([str(tmp_path)]))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("i")
        await pilot.pause()
        assert app.screen is app.monitor
