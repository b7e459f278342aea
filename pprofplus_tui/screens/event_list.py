"""The list of a run's events; Enter goes to the time of one."""

from dataclasses import dataclass
from datetime import tzinfo
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option
from textual.worker import Worker, WorkerState

from pprofplus_tui.backend.interface import BackendPort
from pprofplus_tui.model.death import Death
from pprofplus_tui.model.events import DEATH, RunEvent, end_events
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.time_axis import local, zone_name
from pprofplus_tui.widgets.theme import TokenColours

MAX_EVENTS = 5000
_TEXT_CELLS = 200
_WORD_CELLS = 10


@dataclass(frozen=True)
class EventListContext:
    """Which run's events are listed, and how.

    Attributes:
        run: the run.
        runs: all runs, to find the next run of the service.
        zone: time zone of all times shown; None is the machine's.
        at_ms: the last event before this time is highlighted first, unix ms.
        colours: custom colours, see `Options`.
        death: how the run ended, None while it is running.
    """

    run: Run
    runs: tuple[Run, ...]
    zone: tzinfo | None
    at_ms: int
    colours: tuple[tuple[str, str], ...] = ()
    death: Death | None = None


def event_line(event: RunEvent, zone: tzinfo | None, paint: TokenColours, *, plain: bool) -> Text:
    """Return the line of an event: time, kind, value, text; a death has more lines."""
    kind = event.description
    # a later version wrote this kind of event: show its name in the log
    word = kind.word if kind.word != "?" else clean(event.kind, 8, ascii_only=plain)
    # text from a log stays one line, even if it contains line breaks
    lines = event.text.split("\n") if event.kind == DEATH else [event.text]
    first, *more = (clean(text, _TEXT_CELLS, ascii_only=plain) for text in lines)
    details = "  ".join(filter(None, (event.figure, first)))
    line = Text(no_wrap=True, overflow="ellipsis")
    at = local(event.t_ms, zone)
    dim, own, text = (Style(color=paint[token].color) for token in ("dim", kind.style, "text"))
    when = f"{at:%a %d %b %H:%M:%S} {zone_name(event.t_ms, zone)}  "
    line.append(when, dim)
    line.append(f"{word:<{_WORD_CELLS - 1}} ", own)
    line.append(details, text)
    if not first:
        line.append(f"  {kind.meaning}" if details else kind.meaning, dim)
    for another in more:
        line.append(f"\n    {another}", dim)
    return line


class EventList(ModalScreen[RunEvent | None]):
    """Reads the events of a run in a worker, and lists them."""

    DEFAULT_CSS = """
    #events {
        width: 90%;
        max-width: 110;
        height: auto;
        min-height: 5;
        max-height: 80%;
        border: round $primary;
        border-title-color: $foreground;
        border-subtitle-color: $secondary;
        background: $background;
        padding: 0 1;
        scrollbar-size-vertical: 1;
        text-wrap: nowrap;
        text-overflow: ellipsis;
    }
    #events:focus { border: round $primary; background-tint: $foreground 0%; }
    #events > .option-list--option-highlighted { background: $panel; text-style: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,m,q", "leave", "Close"),
        Binding("ctrl+c", "leave", show=False, priority=True),
        Binding("j", "step(1)", show=False),
        Binding("k", "step(-1)", show=False),
    ]

    def __init__(
        self, backend: BackendPort, context: EventListContext, *, plain: bool = False
    ) -> None:
        super().__init__()
        self._backend = backend
        self._list_context = context
        self._plain = plain
        self._found: tuple[RunEvent, ...] = ()

    def compose(self) -> ComposeResult:
        """Lay out the list; it is empty until the run is read."""
        events = OptionList(id="events", markup=False)
        run = self._list_context.run
        events.border_title = f"events of {run.service} {run.pid}"
        events.border_subtitle = "Enter goes there, Esc closes"
        yield events

    def on_mount(self) -> None:
        """Start a worker: reading a long run takes a moment."""
        self._list.focus()
        self.run_worker(self._read, thread=True, exit_on_error=False)

    @property
    def _list(self) -> OptionList:
        return self.query_one("#events", OptionList)

    def _read(self) -> tuple[RunEvent, ...]:
        """Return all events; called in a worker thread."""
        context = self._list_context
        later = end_events(context.run, context.runs, context.death)
        return self._backend.events(context.run, MAX_EVENTS) + later

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Fill the list, or show why the run could not be read."""
        if event.state is WorkerState.SUCCESS and event.worker.result is not None:
            self._fill(event.worker.result)
        elif event.state is WorkerState.ERROR:
            error = event.worker.error
            text = clean(f"reading failed: {type(error).__name__}: {error}", _TEXT_CELLS)
            self._list.add_option(Option(Text(text), disabled=True))

    def _fill(self, found: tuple[RunEvent, ...]) -> None:
        self._found = found
        dark, context = self.app.current_theme.dark, self._list_context
        paint = TokenColours.standard(dark=dark, own=context.colours)
        zone, plain = context.zone, self._plain
        self._list.add_options(event_line(event, zone, paint, plain=plain) for event in found)
        before = [i for i, event in enumerate(found) if event.t_ms <= self._list_context.at_ms]
        if found:
            self._list.highlighted = before[-1] if before else 0
            some = ", the most important" if len(found) >= MAX_EVENTS else ""
            count = "1 event" if len(found) == 1 else f"{len(found)} events"
            self._list.border_subtitle = f"{count}{some}: Enter goes to one, Esc closes"
        else:
            self._list.add_option(Option(Text("This log contains no events."), disabled=True))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go to the event."""
        event.stop()
        if event.option_index < len(self._found):
            self.dismiss(self._found[event.option_index])

    def action_step(self, step: int) -> None:
        """Move the highlight as the arrow keys do."""
        if step > 0:
            self._list.action_cursor_down()
        else:
            self._list.action_cursor_up()

    def action_leave(self) -> None:
        """Close the list."""
        self.dismiss(None)
