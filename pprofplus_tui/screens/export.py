"""The export dialog: the path is shown and editable first, then a worker writes."""

from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from threading import Event
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, ProgressBar, Static
from textual.worker import Worker, WorkerState

from pprofplus_tui.export import Exported, export, suggest_path
from pprofplus_tui.logs.run import RunLog
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import format_bytes, format_span_ms
from pprofplus_tui.output import OutputError


@dataclass(frozen=True)
class ExportJob:
    """What to export: the samples of `run` in [begin_ms, end_ms)."""

    run: Run
    begin_ms: int
    end_ms: int
    zone: tzinfo | None
    directory: Path


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


class ExportScreen(ModalScreen[None]):
    """Asks for a path, writes in a worker, tells how it went; Esc cancels at any time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel"),
        Binding("ctrl+c", "leave", show=False, priority=True),
    ]

    class Progressed(Message):
        """A share of the work, 0 to 1, is done."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    def __init__(self, job: ExportJob, *, plain: bool = False) -> None:
        super().__init__()
        self._job = job
        self._plain = plain
        self._cancelled = Event()
        self._worker: Worker[Exported] | None = None

    def compose(self) -> ComposeResult:
        """Lay out the dialog."""
        job = self._job
        box = Vertical(id="export")
        box.border_title = "export to CSV"
        box.border_subtitle = "Enter writes, Esc cancels"
        span = format_span_ms(job.end_ms - job.begin_ms)
        # a name that a terminal would obey cannot be shown, and need not: it is where we are
        shown = job.directory if clean(str(job.directory)) == str(job.directory) else Path()
        path = suggest_path(job.run.service, job.run.pid, job.begin_ms, job.end_ms, shown, job.zone)
        with box:
            told = f"{job.run.service} {job.run.pid}: the visible {span}, every sample, all metrics"
            yield Static(Text(told))
            yield PathInput(str(path), id="path", select_on_focus=False)
            yield ProgressBar(total=1000, show_eta=False, id="progress")
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
        path = Path(event.value.strip()).expanduser()
        if not event.value.strip():
            self._tell("Write a file name.")
            return
        self.add_class("writing")
        self._tell("")
        self._cancelled.clear()
        self._worker = self.run_worker(
            lambda: self._write(path), thread=True, exit_on_error=False, exclusive=True
        )

    def _write(self, path: Path) -> Exported:
        """Write the file; runs in the worker's thread, with a reader of its own."""
        job = self._job
        return export(
            RunLog(job.run.path),
            job.begin_ms,
            job.end_ms,
            path,
            zone=job.zone,
            progress=self._report,
            cancelled=self._cancelled.is_set,
        )

    def _report(self, share: float) -> None:
        # posted, not called: the worker must never wait for a screen that is going away
        self.post_message(self.Progressed(share))

    def on_export_screen_progressed(self, message: Progressed) -> None:
        """Show how far it is."""
        self.query_one("#progress", ProgressBar).update(progress=message.share * 1000)

    def on_unmount(self) -> None:
        """End the writing too when the program ends."""
        self._cancelled.set()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Tell how the writing ended."""
        if event.state is WorkerState.SUCCESS and isinstance(event.worker.result, Exported):
            done = event.worker.result
            self.dismiss()
            size, where = format_bytes(done.size_bytes), clean(str(done.path), 200)
            self.app.notify(
                f"{done.rows} samples, {size}: {where}",
                title="exported",
                markup=False,
            )
        elif event.state is WorkerState.ERROR:
            self.remove_class("writing")
            error = event.worker.error
            known = isinstance(error, OutputError | OSError)
            self._tell(str(error) if known else f"{type(error).__name__}: {error}")

    def action_leave(self) -> None:
        """Cancel the writing, which leaves no file, or leave the dialog."""
        self._cancelled.set()
        self.dismiss()
