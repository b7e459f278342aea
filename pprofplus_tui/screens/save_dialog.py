"""A dialog that asks for a path, writes the file in a worker, and reports the result."""

from pathlib import Path
from threading import Event
from typing import ClassVar, Generic, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Static
from textual.worker import Worker, WorkerState

from pprofplus_tui.atomic_file import OutputError
from pprofplus_tui.model.text import clean

Written = TypeVar("Written")


def working_directory() -> Path:
    """Return the default directory of new files, in a form that is safe to show."""
    try:
        found = Path.cwd()
    except OSError:  # the directory was removed
        found = Path.home()
    # a name with escape sequences is not shown; a relative path leads to the same directory
    return found if clean(str(found)) == str(found) else Path()


class PathInput(Input):
    """An input that handles its editing keys in the order in which they arrive.

    Textual handles keys with a binding late, after they bubbled up to the app. Over a slow line,
    letters that arrive together with Ctrl-U or Enter would be handled before it.
    """

    async def on_key(self, event: Key) -> None:
        """Run an editing key's action at once."""
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            event.stop()
            event.prevent_default()
            await self.run_action(binding.action)
            return


class SaveDialog(ModalScreen[None], Generic[Written]):
    """Asks for a path, writes in a worker, reports the result; Esc cancels at any time.

    A subclass defines what is written: `write` and `done`, and optionally the other methods.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel"),
        Binding("ctrl+c", "leave", show=False, priority=True),
    ]

    def __init__(self, title: str, description: str, path: Path, *, plain: bool) -> None:
        """Make a dialog; `description` says what is written, `path` is the suggested path."""
        super().__init__()
        self._heading = title
        self._description = description
        self._path = path
        self._plain = plain
        self._cancelled = Event()
        self._worker: Worker[Written] | None = None

    def compose(self) -> ComposeResult:
        """Lay out the dialog."""
        box = Vertical(id="writing")
        box.border_title = self._heading
        box.border_subtitle = "Enter writes, Esc cancels"
        with box:
            yield Static(Text(self._description))
            yield PathInput(str(self._path), id="path", select_on_focus=False)
            yield from self.progress_widgets()
            yield Static("", id="message")

    def progress_widgets(self) -> tuple[Widget, ...]:
        """Return the widgets that show the progress."""
        return ()

    def write(self, path: Path) -> Written:
        """Write the file; called in a worker thread, polls `self._cancelled`."""
        raise NotImplementedError

    def started_text(self, path: Path) -> str:
        """Return the text to show while the file is written."""
        del path
        return ""

    def done(self, written: Written) -> tuple[str, str]:
        """Return (title, text) of the notification that the file is written."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Focus the path."""
        self.query_one("#path", Input).focus()

    def _show_message(self, text: str) -> None:
        self.query_one("#message", Static).update(Text(clean(text, 400, ascii_only=self._plain)))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Start to write."""
        event.stop()
        if self._worker is not None and self._worker.state is WorkerState.RUNNING:
            return
        if not event.value.strip():
            self._show_message("Type a file name.")
            return
        path = Path(event.value.strip()).expanduser()
        self.add_class("writing")
        self._show_message(self.started_text(path))
        self._cancelled.clear()
        self._worker = self.run_worker(
            lambda: self.write(path), thread=True, exit_on_error=False, exclusive=True
        )

    def on_unmount(self) -> None:
        """Cancel the writing, also when the program ends."""
        self._cancelled.set()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Report how the writing ended."""
        worker = self._worker
        if worker is None or event.worker is not worker:
            return
        if event.state is WorkerState.SUCCESS and worker.result is not None:
            self.dismiss()
            title, text = self.done(worker.result)
            self.app.notify(text, title=title, markup=False)
        elif event.state is WorkerState.ERROR:
            self.remove_class("writing")
            known = isinstance(worker.error, OutputError | OSError)
            name = "" if known else f"{type(worker.error).__name__}: "
            self._show_message(f"{name}{worker.error}")

    def action_leave(self) -> None:
        """Cancel the writing, which leaves no file, and close the dialog."""
        self._cancelled.set()
        self.dismiss()
