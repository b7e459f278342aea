"""Make the screenshots of the documents and the animation of the README from the demo.

    python screenshots/make.py

Needs the extra [dev], and a Chromium for the PNGs, because other renderers do not align the
glyphs. Without a Chromium only the SVGs are made.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import tour
from textual.pilot import Pilot

from pprofplus_tui.app import MonitorApp
from pprofplus_tui.commands.open_monitor import local_backend
from pprofplus_tui.demo.past_runs import write_history
from pprofplus_tui.demo.processes import demo_directory, running_services
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import DIED
from pprofplus_tui.terminal.screenshot import find_browser, png_of, tidy

HERE = Path(__file__).parent
SIZE = (132, 40)
_WEEK_MS = 7 * 86_400_000
_SETTLE_S = 1.5
_LIVE_S = 100.0  # until batch is killed and the leak is visible
Scene = Callable[[Pilot[int]], Awaitable[None]]


def monitor_of(pilot: Pilot[int]) -> MonitorApp:
    """Return the application that a pilot controls."""
    return cast("MonitorApp", pilot.app)


async def overview(pilot: Pilot[int]) -> None:
    """Show the week of the service that leaked memory."""
    await pilot.pause(_SETTLE_S)


async def leak(pilot: Pilot[int]) -> None:
    """Show the live service that leaks memory."""
    app = monitor_of(pilot)
    run = next(r for r in app.monitor.frame.runs if r.service == "api" and r.running)
    app.monitor.select_run(run.id)
    await pilot.pause(_SETTLE_S)


async def dead(pilot: Pilot[int]) -> None:
    """Show the killed service up to its last sample."""
    app = monitor_of(pilot)
    runs = [r for r in app.monitor.frame.runs if r.service == "batch" and r.state == DIED]
    app.monitor.select_run(max(runs, key=lambda r: r.end_ms).id)
    await pilot.pause(_SETTLE_S)


async def help_page(pilot: Pilot[int]) -> None:
    """Show the help."""
    await pilot.press("question_mark")
    await pilot.pause(_SETTLE_S)


SCENES: tuple[tuple[str, Scene], ...] = (
    ("overview", overview),
    ("leak", leak),
    ("dead", dead),
    ("help", help_page),
)


def to_png(svg: Path, png: Path, chromium: str) -> None:
    """Convert an SVG to a PNG of the same size."""
    png.write_bytes(png_of(svg.read_text(), chromium))


async def take_screenshots(options: Options, scenes: tuple[tuple[str, Scene], ...]) -> None:
    """Open the monitor, play the scenes, and save an SVG of each."""
    app = MonitorApp(options, local_backend(options.directories))
    async with app.run_test(size=SIZE) as pilot:
        for name, play in scenes:
            await play(pilot)
            svg = tidy(app.export_screenshot(title="pprofplus-tui"))
            (HERE / f"{name}.svg").write_text(svg)
    sys.stdout.write(f"made {', '.join(name for name, _ in scenes)}\n")


def main() -> None:
    """Make all screenshots and the animation."""
    with demo_directory() as log_directory:
        now_ms = time.time_ns() // 1_000_000
        run = write_history(log_directory, begin_ms=now_ms - _WEEK_MS, end_ms=now_ms)
        with running_services(log_directory):
            time.sleep(_LIVE_S)
            options = Options(directories=(str(log_directory),), run=str(run))
            asyncio.run(take_screenshots(options, SCENES))
            pictures = asyncio.run(tour.play(options))
    chromium = find_browser()
    if chromium is None:
        sys.exit("no Chromium found: only the SVGs were made")
    for name, _ in SCENES:
        to_png(HERE / f"{name}.svg", HERE / f"{name}.png", chromium)
    tour.animate(pictures, HERE / "tour.gif", chromium)


if __name__ == "__main__":
    main()
