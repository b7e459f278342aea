"""A tour of the demo as an animation: keys are pressed, and each picture says which.

`make.py` flies it; Pillow, of the extra [dev], puts the pictures together.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from textual.pilot import Pilot

from pprofplus_tui.app import MonitorApp
from pprofplus_tui.model.options import Options
from pprofplus_tui.snapshot import png_of, tidy

SIZE = (112, 32)
_DRAWN_S = 1.2
_COLOURS = 128


@dataclass(frozen=True)
class Stop:
    """One picture of the tour.

    Attributes:
        keys: pressed before it is taken, as Textual names them.
        told: what the window's title says of it.
        shown_s: how long it stands.
    """

    keys: tuple[str, ...]
    told: str
    shown_s: float


STOPS: tuple[Stop, ...] = (
    Stop((), "a week of a service that was OOM-killed", 3.0),
    Stop(("full_stop",), ". the time cursor reads all charts at once", 0.8),
    *(Stop(("full_stop",) * 12, ". the time cursor reads all charts at once", 0.4),) * 4,
    Stop(("full_stop",) * 12, ". the time cursor reads all charts at once", 1.5),
    Stop(("escape", "plus"), "+ zooms in", 0.8),
    *(Stop(("plus",), "+ zooms in", 0.8),) * 3,
    Stop(("left",), "← goes back", 0.8),
    Stop(("0", "i"), "i explains what it means, and what to do", 4.0),
    Stop(("escape", "v"), "v draws all pids of the service together", 3.0),
    Stop(("escape", "k"), "↑ another run: this one lives", 2.0),
    Stop((), "it is followed, live", 1.0),
    Stop((), "it is followed, live", 1.0),
    Stop(("3", "enter"), "3 shows or hides a chart, Enter enlarges it", 2.0),
    Stop(("enter", "slash", *"work"), "/ narrows the list", 2.0),
    Stop(("escape", "e"), "e exports the visible window", 2.5),
)


async def fly(options: Options) -> list[tuple[Stop, str]]:
    """Open the monitor, go through the tour, return an SVG of each stop."""
    app = MonitorApp(options)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(_DRAWN_S)
        return [(stop, await _taken(pilot, app, stop)) for stop in STOPS]


async def _taken(pilot: Pilot[int], app: MonitorApp, stop: Stop) -> str:
    for key in stop.keys:
        await pilot.press(key)
    await pilot.pause(_DRAWN_S)
    return tidy(app.export_screenshot(title=stop.told))


def animate(taken: Sequence[tuple[Stop, str]], path: Path, chromium: str) -> None:
    """Write the pictures to a GIF that runs round and round."""
    pictures = [Image.open(io.BytesIO(png_of(svg, chromium))).convert("RGB") for _, svg in taken]
    # one palette for all, else colours shimmer from picture to picture
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
