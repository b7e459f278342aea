"""A dialog that asks for a path, writes the file in a worker, and reports the result."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import ClassVar, Generic, Protocol, TypeVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, ProgressBar, Static
from textual.worker import Worker, WorkerState

from pprofplus_tui.atomic_file import OutputError
from pprofplus_tui.model.text import clean

Written = TypeVar("Written")

_PROGRESS_STEPS = 1000


class SaveTask(Protocol[Written]):
    """What a `SaveDialog` writes. `Written` describes the written file."""

    def started_text(self, path: Path, /) -> str:
        """Return the text to show while the file is written."""

    def write(
        self, path: Path, progress: Callable[[float], None], cancelled: Callable[[], bool]
    ) -> Written:
        """Write the file; called in a worker thread.

        Calls `progress` with the share done, 0 to 1, and polls `cancelled`.
        """

    def done_text(self, written: Written) -> tuple[str, str]:
        """Return (title, text) of the notification that the file is written."""


def working_directory() -> Path:
    """Return the default directory of new files, in a form that is safe to show."""
    try:
        found = Path.cwd()
    except OSError:  # the directory was removed
        found = Path.home()
    # do not show a name with escape sequences: the relative path means the same directory
    return found if clean(str(found)) == str(found) else Path()


class PathInput(Input):
    """An input that handles its editing keys in the order in which they arrive.

    Textual handles keys with a binding late, after the event bubbled up to the app. Over a slow
    connection, letters that arrive together with Ctrl-U or Enter would be handled before it.
    """

    async def on_key(self, event: Key) -> None:
        """Run the action of an editing key immediately."""
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            event.stop()
            event.prevent_default()
            await self.run_action(binding.action)
            return


class SaveDialog(ModalScreen[None], Generic[Written]):
    """Asks for a path, writes in a worker, reports the result; Esc cancels at any time.

    A task defines what is written. A subclass defines only the texts and the task.
    """

    class Progressed(Message):
        """The worker has written this share of the file, 0 to 1."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel"),
        Binding("ctrl+c", "leave", show=False, priority=True),
    ]

    def __init__(  # noqa: PLR0913 - texts, a path, a task, and two options
        self,
        title: str,
        description: str,
        path: Path,
        task: SaveTask[Written],
        *,
        plain: bool,
        shows_progress: bool = False,
    ) -> None:
        """Make a dialog.

        Args:
            title: of the dialog.
            description: what is written.
            path: the suggested path.
            task: writes the file.
            plain: ASCII only.
            shows_progress: whether there is a progress bar.
        """
        super().__init__()
        self._heading = title
        self._description = description
        self._path = path
        self._save_task = task
        self._shows_progress = shows_progress
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
            if self._shows_progress:
                yield ProgressBar(total=_PROGRESS_STEPS, show_eta=False, id="progress")
            yield Static("", id="message")

    def on_mount(self) -> None:
        """Focus the path."""
        self.query_one("#path", Input).focus()

    def _report(self, share: float) -> None:
        # posted, not called: the worker must never wait for a screen that closes
        self.post_message(self.Progressed(share))

    @on(Progressed)
    def _show_progress(self, message: Progressed) -> None:
        progress = message.share * _PROGRESS_STEPS
        self.query_one("#progress", ProgressBar).update(progress=progress)

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
        self._show_message(self._save_task.started_text(path))
        self._cancelled.clear()
        self._worker = self.run_worker(
            lambda: self._save_task.write(path, self._report, self._cancelled.is_set),
            thread=True,
            exit_on_error=False,
            exclusive=True,
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
            title, text = self._save_task.done_text(worker.result)
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
