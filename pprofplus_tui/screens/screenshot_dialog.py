"""The screenshot dialog: it shows an editable path first, then a worker writes the file."""

import time
from datetime import tzinfo
from pathlib import Path

from textual.app import App

from pprofplus_tui.atomic_file import free_path
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.time_axis import local
from pprofplus_tui.screens.save_dialog import SaveDialog, working_directory
from pprofplus_tui.terminal.screenshot import SVG, find_browser, save, tidy


class ScreenshotDialog(SaveDialog[Path]):
    """Saves the screen as it was before the dialog opened."""

    def __init__(self, svg: str, stem: str, *, plain: bool = False) -> None:
        """Make the dialog; `stem` is the suggested name of the file, without its suffix."""
        also = "; for a PNG, end the name in .png" if find_browser() else ""
        super().__init__(
            "save a screenshot",
            f"the screen as an SVG file{also}",
            free_path(working_directory(), stem, SVG),
            plain=plain,
        )
        self._svg = svg

    def started_text(self, path: Path) -> str:
        """Return that a PNG is drawn, which takes a moment."""
        return "drawing" if path.suffix.lower() != SVG else ""

    def write(self, path: Path) -> Path:
        """Write the file; return its path."""
        return save(self._svg, path, self._cancelled.is_set)

    def done(self, written: Path) -> tuple[str, str]:
        """Return where the file is."""
        return "saved", clean(str(written), 200, ascii_only=self._plain)


def dialog_for(app: App[int], name: str, zone: tzinfo | None, *, plain: bool) -> ScreenshotDialog:
    """Return the dialog that saves what an app shows now; `name` is part of the file's name."""
    svg = tidy(app.export_screenshot(title="pprofplus-tui"))
    now = local(time.time_ns() // 1_000_000, zone)
    return ScreenshotDialog(svg, f"pprofplus{name}-{now:%Y%m%dT%H%M%S}", plain=plain)
