"""The dialog that asks for a time to go to, and tells while it is typed which time that is."""

from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from pprofplus_tui.model.goto_target import goto_text
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.time_grammar import Goto, TimeSyntaxError, parse_goto
from pprofplus_tui.screens.save_dialog import PathInput

_HINT = (
    "14:05   -2h   +10m   yesterday 9:00   mon 9:00   2026-11-20 14:05   @1700000000\n"
    "2h: the last two hours"
)


@dataclass(frozen=True)
class GotoAsked:
    """What a time is read by: the run, what "+10m" counts from, the zone of all times."""

    run: Run
    base_ms: int
    zone: tzinfo | None


class GotoDialog(ModalScreen[Goto | None]):
    """Asks for a time; Enter goes there, Esc stays."""

    DEFAULT_CSS = """
    #goto {
        width: 90%;
        max-width: 90;
        height: auto;
        border: round $primary;
        border-title-color: $foreground;
        border-subtitle-color: $secondary;
        background: $background;
        padding: 0 2;
    }
    #goto Input { border: none; height: 1; padding: 0; background: $panel; margin: 1 0; }
    #goto #hint { color: $secondary; height: auto; }
    #goto #there { height: auto; min-height: 1; margin: 0 0 1 0; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel"),
        Binding("ctrl+c", "leave", show=False, priority=True),
    ]

    def __init__(self, asked: GotoAsked, *, plain: bool = False) -> None:
        super().__init__()
        self._asked = asked
        self._plain = plain

    def compose(self) -> ComposeResult:
        """Lay out the dialog."""
        box = Vertical(id="goto")
        box.border_title = "go to a time"
        box.border_subtitle = "Enter goes there, Esc stays"
        with box:
            yield Static(Text(_HINT), id="hint")
            yield PathInput("", id="time")
            yield Static("", id="there")

    def on_mount(self) -> None:
        """Begin in the line."""
        self.query_one("#time", Input).focus()

    def _read(self, text: str) -> Goto:
        asked = self._asked
        return parse_goto(text, datetime.now(timezone.utc), asked.zone, asked.base_ms)

    def _tell(self, text: str) -> None:
        shown = Text(clean(text, 400, ascii_only=self._plain))
        self.query_one("#there", Static).update(shown)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tell which time it is as far as it is typed; what is not yet one is no error."""
        event.stop()
        try:
            self._tell(goto_text(self._read(event.value), self._asked.run, self._asked.zone))
        except TimeSyntaxError:
            self._tell("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go there, or say in one line what would be understood."""
        event.stop()
        try:
            self.dismiss(self._read(event.value))
        except TimeSyntaxError as error:
            self._tell(str(error))

    def action_leave(self) -> None:
        """Stay."""
        self.dismiss(None)
