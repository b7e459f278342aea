"""The list of all that happened in a run; Enter shows the charts at that time."""

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

from pprofplus_tui.model.death import Death
from pprofplus_tui.model.events import DEATH, RunEvent, death_event, next_run
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.time_axis import local, zone_name
from pprofplus_tui.sources.local.event_search import all_happened
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.widgets.theme import TokenColours

MOST = 5000
_TEXT_CELLS = 200
_WORD_CELLS = 10


@dataclass(frozen=True)
class EventsAsked:
    """Whose events: the run, all runs, the zone of the times, where to begin in the list.

    `colours` are the user's own; `death` is how the run ended.
    """

    run: Run
    runs: tuple[Run, ...]
    zone: tzinfo | None
    at_ms: int
    colours: tuple[tuple[str, str], ...] = ()
    death: Death | None = None


def event_line(event: RunEvent, zone: tzinfo | None, paint: TokenColours, *, plain: bool) -> Text:
    """Return one line: when, what, and the values and text that it came with; of a death, more."""
    kind = event.description
    # a kind of a later version is named by the log
    word = kind.word if kind.word != "?" else clean(event.kind, 8, ascii_only=plain)
    # a log's text is one line, whatever it holds
    lines = event.text.split("\n") if event.kind == DEATH else [event.text]
    said, *more = (clean(text, _TEXT_CELLS, ascii_only=plain) for text in lines)
    told = "  ".join(filter(None, (event.figure, said)))
    line = Text(no_wrap=True, overflow="ellipsis")
    at = local(event.t_ms, zone)
    dim, own, text = (Style(color=paint[token].color) for token in ("dim", kind.style, "text"))
    when = f"{at:%a %d %b %H:%M:%S} {zone_name(event.t_ms, zone)}  "
    line.append(when, dim)
    line.append(f"{word:<{_WORD_CELLS - 1}} ", own)
    line.append(told, text)
    if not said:
        line.append(f"  {kind.meaning}" if told else kind.meaning, dim)
    for another in more:
        line.append(f"\n    {another}", dim)
    return line


class EventsScreen(ModalScreen[RunEvent | None]):
    """Reads the run in a worker, with a reader of its own, and lists what happened in it."""

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

    def __init__(self, asked: EventsAsked, *, plain: bool = False) -> None:
        super().__init__()
        self._asked = asked
        self._plain = plain
        self._found: tuple[RunEvent, ...] = ()

    def compose(self) -> ComposeResult:
        """Lay out the list, which fills when it is read."""
        events = OptionList(id="events", markup=False)
        events.border_title = f"what happened in {self._asked.run.service} {self._asked.run.pid}"
        events.border_subtitle = "Enter shows it, Esc closes"
        yield events

    def on_mount(self) -> None:
        """Read the run; a long one takes a moment."""
        self._list.focus()
        self.run_worker(self._read, thread=True, exit_on_error=False)

    @property
    def _list(self) -> OptionList:
        return self.query_one("#events", OptionList)

    def _read(self) -> tuple[RunEvent, ...]:
        log = RunLog(self._asked.run.path)
        log.refresh()
        after = next_run(self._asked.run, self._asked.runs)
        later = death_event(self._asked.death) + ((after,) if after is not None else ())
        return all_happened(log, MOST) + later

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show what was read, the last event before the time shown chosen."""
        if event.state is WorkerState.SUCCESS and event.worker.result is not None:
            self._fill(event.worker.result)
        elif event.state is WorkerState.ERROR:
            error = event.worker.error
            told = clean(f"reading failed: {type(error).__name__}: {error}", _TEXT_CELLS)
            self._list.add_option(Option(Text(told), disabled=True))

    def _fill(self, found: tuple[RunEvent, ...]) -> None:
        self._found = found
        paint = TokenColours.standard(dark=self.app.current_theme.dark, own=self._asked.colours)
        zone, plain = self._asked.zone, self._plain
        self._list.add_options(event_line(event, zone, paint, plain=plain) for event in found)
        before = [i for i, event in enumerate(found) if event.t_ms <= self._asked.at_ms]
        if found:
            self._list.highlighted = before[-1] if before else 0
            more = ", the most telling" if len(found) >= MOST else ""
            self._list.border_subtitle = f"{len(found)} events{more}: Enter shows one, Esc closes"
        else:
            self._list.add_option(Option(Text("No events are in this log."), disabled=True))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go there."""
        event.stop()
        if event.option_index < len(self._found):
            self.dismiss(self._found[event.option_index])

    def action_step(self, step: int) -> None:
        """Move as with the arrows."""
        if step > 0:
            self._list.action_cursor_down()
        else:
            self._list.action_cursor_up()

    def action_leave(self) -> None:
        """Close the list."""
        self.dismiss(None)
