"""The dialog that saves a picture of the screen: the path is shown and editable first."""

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
    """Saves a picture of the screen as it was when it was asked for."""

    def __init__(self, svg: str, stem: str, *, plain: bool = False) -> None:
        """Make the dialog for a picture; `stem` is what its file is called by default."""
        also = "; a name in .png is a PNG" if find_browser() else ""
        super().__init__(
            "save a picture",
            f"the screen as it was, as SVG{also}",
            free_path(working_directory(), stem, SVG),
            plain=plain,
        )
        self._svg = svg

    def begun(self, path: Path) -> str:
        """Tell that a PNG has to be drawn."""
        return "drawing" if path.suffix.lower() != SVG else ""

    def write(self, path: Path) -> Path:
        """Write the picture; return where."""
        return save(self._svg, path, self._cancelled.is_set)

    def done(self, written: Path) -> tuple[str, str]:
        """Tell where it is."""
        return "saved", clean(str(written), 200, ascii_only=self._plain)


def picture_of(app: App[int], who: str, zone: tzinfo | None, *, plain: bool) -> ScreenshotDialog:
    """Return the dialog for what an application shows now; `who` is a part of the file's name."""
    svg = tidy(app.export_screenshot(title="pprofplus-tui"))
    now = local(time.time_ns() // 1_000_000, zone)
    return ScreenshotDialog(svg, f"pprofplus{who}-{now:%Y%m%dT%H%M%S}", plain=plain)
