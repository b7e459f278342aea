"""A tour of the demo as an animation; the title of each picture names the keys.

`make.py` plays it; Pillow, of the extra [dev], joins the pictures.
"""

import io
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from textual.pilot import Pilot

from pprofplus_tui.app import MonitorApp
from pprofplus_tui.commands.open_monitor import local_backend
from pprofplus_tui.model.options import Options
from pprofplus_tui.terminal.screenshot import png_of, tidy

SIZE = (112, 32)
_DRAWN_S = 1.2
_COLOURS = 128


@dataclass(frozen=True)
class Stop:
    """One picture of the tour.

    Attributes:
        keys: pressed before the picture is taken, by their Textual names.
        title: the title of the window.
        shown_s: how long the picture is shown.
    """

    keys: tuple[str, ...]
    title: str
    shown_s: float


STOPS: tuple[Stop, ...] = (
    Stop((), "a week of a service that was OOM-killed", 3.0),
    *(Stop(("comma",) * 6, ", and . move the time cursor through all charts", 0.4),) * 4,
    Stop(("comma",) * 6, ", and . move the time cursor through all charts", 2.0),
    Stop(("escape", "plus"), "+ and - zoom", 0.8),
    *(Stop(("plus",), "+ and - zoom", 0.8),) * 2,
    *(Stop(("left",), "arrows go back and forth", 0.6),) * 2,
    Stop(("0", "i"), "i explains what the memory does, and what to do next", 4.0),
    Stop(("escape", "j", "v"), "v draws all pids of a service together", 3.0),
    Stop(("escape", "k", "k"), "another run: it is live, and the chart follows it", 1.5),
    *(Stop((), "another run: it is live, and the chart follows it", 1.0),) * 3,
    Stop(("tab", "enter"), "Tab chooses a chart, Enter enlarges it", 2.0),
    Stop(("escape", "slash", *"work"), "/ narrows the list", 2.0),
    Stop(("escape", "e"), "e exports the visible window", 2.5),
)


async def play(options: Options) -> list[tuple[Stop, str]]:
    """Open the monitor, play the tour, and return an SVG of each stop."""
    app = MonitorApp(options, local_backend(options.directories))
    os.chdir(tempfile.gettempdir())  # the export dialog shows the working directory
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(_DRAWN_S)
        return [(stop, await _take(pilot, app, stop)) for stop in STOPS]


async def _take(pilot: Pilot[int], app: MonitorApp, stop: Stop) -> str:
    for key in stop.keys:
        await pilot.press(key)
    await pilot.pause(_DRAWN_S)
    return tidy(app.export_screenshot(title=stop.title))


def animate(taken: Sequence[tuple[Stop, str]], path: Path, chromium: str) -> None:
    """Write the pictures to a GIF that repeats."""
    pictures = [Image.open(io.BytesIO(png_of(svg, chromium))).convert("RGB") for _, svg in taken]
    # one palette for all: otherwise colours change from picture to picture
    strip = Image.new("RGB", (pictures[0].width, pictures[0].height * len(pictures)))
    for index, picture in enumerate(pictures):
        strip.paste(picture, (0, index * picture.height))
    palette = strip.quantize(_COLOURS, dither=Image.Dither.NONE)
    first, *others = (
        picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures
    )
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=[int(stop.shown_s * 1000) for stop, _ in taken],
        loop=0,
        optimize=False,
    )
