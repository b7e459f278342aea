"""The dialog that saves a picture of the screen: the path is shown and editable first."""

from pathlib import Path
from threading import Event
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static
from textual.worker import Worker, WorkerState

from pprofplus_tui.model.text import clean
from pprofplus_tui.output import OutputError, free_path
from pprofplus_tui.screens.export import PathInput
from pprofplus_tui.snapshot import SVG, find_browser, save


class PictureScreen(ModalScreen[None]):
    """Asks for a path, writes in a worker, tells how it went; Esc cancels at any time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel"),
        Binding("ctrl+c", "leave", show=False, priority=True),
    ]

    def __init__(self, svg: str, stem: str, directory: Path, *, plain: bool = False) -> None:
        """Make the dialog for a picture; `stem` is what its file is called by default."""
        super().__init__()
        self._svg = svg
        self._stem = stem
        self._directory = directory
        self._plain = plain
        self._cancelled = Event()
        self._worker: Worker[Path] | None = None

    def compose(self) -> ComposeResult:
        """Lay out the dialog."""
        box = Vertical(id="export")
        box.border_title = "save a picture"
        box.border_subtitle = "Enter writes, Esc cancels"
        # a name that a terminal would obey cannot be shown, and need not: it is where we are
        shown = self._directory if clean(str(self._directory)) == str(self._directory) else Path()
        also = "; a name in .png is a PNG" if find_browser() else ""
        with box:
            yield Static(Text(f"the screen as it was, as SVG{also}"))
            path = free_path(shown, self._stem, SVG)
            yield PathInput(str(path), id="path", select_on_focus=False)
            yield Static("", id="told")

    def on_mount(self) -> None:
        """Begin in the path."""
        self.query_one("#path", Input).focus()

    def _tell(self, text: str) -> None:
        self.query_one("#told", Static).update(Text(clean(text, 400, ascii_only=self._plain)))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Start writing."""
        event.stop()
        if self._worker is not None and self._worker.state is WorkerState.RUNNING:
            return
        if not event.value.strip():
            self._tell("Write a file name.")
            return
        path = Path(event.value.strip()).expanduser()
        self._tell("drawing" if path.suffix.lower() != SVG else "")
        self._cancelled.clear()
        self._worker = self.run_worker(
            lambda: save(self._svg, path, self._cancelled.is_set),
            thread=True,
            exit_on_error=False,
            exclusive=True,
        )

    def on_unmount(self) -> None:
        """End the drawing too when the program ends."""
        self._cancelled.set()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Tell how the writing ended."""
        if event.state is WorkerState.SUCCESS and isinstance(event.worker.result, Path):
            self.dismiss()
            where = clean(str(event.worker.result), 200, ascii_only=self._plain)
            self.app.notify(where, title="saved", markup=False)
        elif event.state is WorkerState.ERROR:
            error = event.worker.error
            known = isinstance(error, OutputError | OSError)
            self._tell(str(error) if known else f"{type(error).__name__}: {error}")

    def action_leave(self) -> None:
        """Cancel the writing, which leaves no file, or leave the dialog."""
        self._cancelled.set()
        self.dismiss()
