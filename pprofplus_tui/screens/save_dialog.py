"""A dialog that asks where to write, has a worker write it, and tells how that went."""

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
    """Return where files go by default, in a form that can be shown."""
    try:
        found = Path.cwd()
    except OSError:  # somebody removed it
        found = Path.home()
    # a name that a terminal would obey cannot be shown, and need not: it is where we are
    return found if clean(str(found)) == str(found) else Path()


class PathInput(Input):
    """An input whose editing keys keep their turn.

    Textual looks keys with a binding up after they have bubbled to the top; what is typed behind
    Ctrl-U or Enter, as a slow line delivers it, overtakes them.
    """

    async def on_key(self, event: Key) -> None:
        """Run an editing key's action at once."""
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            event.stop()
            event.prevent_default()
            await self.run_action(binding.action)
            return


class SaveDialog(ModalScreen[None], Generic[Written]):
    """Asks for a path, writes in a worker, tells how it went; Esc cancels at any time.

    What is written, and how, is a subclass's to say.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel"),
        Binding("ctrl+c", "leave", show=False, priority=True),
    ]

    def __init__(self, title: str, told: str, path: Path, *, plain: bool) -> None:
        """Make a dialog; `told` is what will be written, `path` where if nobody objects."""
        super().__init__()
        self._heading = title
        self._told = told
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
            yield Static(Text(self._told))
            yield PathInput(str(self._path), id="path", select_on_focus=False)
            yield from self.meanwhile()
            yield Static("", id="told")

    def meanwhile(self) -> tuple[Widget, ...]:
        """Return the widgets that show how far it is."""
        return ()

    def write(self, path: Path) -> Written:
        """Write the file; runs in the worker's thread, and heeds `self._cancelled`."""
        raise NotImplementedError

    def begun(self, path: Path) -> str:
        """Return what is told while it is written."""
        del path
        return ""

    def done(self, written: Written) -> tuple[str, str]:
        """Return (title, text) of what is told when it is written."""
        raise NotImplementedError

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
        self.add_class("writing")
        self._tell(self.begun(path))
        self._cancelled.clear()
        self._worker = self.run_worker(
            lambda: self.write(path), thread=True, exit_on_error=False, exclusive=True
        )

    def on_unmount(self) -> None:
        """End the writing too when the program ends."""
        self._cancelled.set()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Tell how the writing ended."""
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
            self._tell(f"{name}{worker.error}")

    def action_leave(self) -> None:
        """Cancel the writing, which leaves no file, or leave the dialog."""
        self._cancelled.set()
        self.dismiss()
