"""The screenshot dialog: it asks for a path, then a worker writes the file."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from textual.app import App

from pprofplus_tui.atomic_file import free_path
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.time_axis import local
from pprofplus_tui.screens.save_dialog import SaveDialog, working_directory
from pprofplus_tui.terminal.screenshot import SVG, find_browser, save, tidy


@dataclass(frozen=True)
class ScreenshotTask:
    """Saves an SVG, or a PNG drawn from it. See `SaveTask`."""

    svg: str
    plain: bool

    @staticmethod
    def started_text(path: Path) -> str:
        """Return that a PNG is drawn, which takes a moment."""
        return "drawing" if path.suffix.lower() != SVG else ""

    def write(
        self, path: Path, progress: Callable[[float], None], cancelled: Callable[[], bool]
    ) -> Path:
        """Write the file; return its path."""
        del progress  # there is no bar
        return save(self.svg, path, cancelled)

    def done_text(self, written: Path) -> tuple[str, str]:
        """Return (title, the path of the file)."""
        return "saved", clean(str(written), 200, ascii_only=self.plain)


class ScreenshotDialog(SaveDialog[Path]):
    """Saves the screen as it was before the dialog opened."""

    def __init__(self, svg: str, stem: str, *, plain: bool = False) -> None:
        """Make the dialog; `stem` is the suggested name of the file, without its suffix."""
        also = "; for a PNG, end the name in .png" if find_browser() else ""
        super().__init__(
            "save a screenshot",
            f"the screen as an SVG file{also}",
            free_path(working_directory(), stem, SVG),
            ScreenshotTask(svg, plain),
            plain=plain,
        )


def dialog_for(app: App[int], name: str, zone: tzinfo | None, *, plain: bool) -> ScreenshotDialog:
    """Return the dialog that saves what an app shows now; `name` is part of the file's name."""
    svg = tidy(app.export_screenshot(title="pprofplus-tui"))
    now = local(time.time_ns() // 1_000_000, zone)
    return ScreenshotDialog(svg, f"pprofplus{name}-{now:%Y%m%dT%H%M%S}", plain=plain)
