"""The dialog that asks for a time to go to, and shows which time the input means."""

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
class GotoContext:
    """How a typed time is interpreted.

    Attributes:
        run: the selected run.
        base_ms: the start of a relative time such as "+10m", unix ms.
        zone: time zone of all times; None is the machine's.
    """

    run: Run
    base_ms: int
    zone: tzinfo | None


class GotoDialog(ModalScreen[Goto | None]):
    """Asks for a time; Enter goes there, Esc closes."""

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

    def __init__(self, context: GotoContext, *, plain: bool = False) -> None:
        super().__init__()
        self._goto_context = context
        self._plain = plain

    def compose(self) -> ComposeResult:
        """Lay out the dialog."""
        box = Vertical(id="goto")
        box.border_title = "go to a time"
        box.border_subtitle = "Enter goes there, Esc closes"
        with box:
            yield Static(Text(_HINT), id="hint")
            yield PathInput("", id="time")
            yield Static("", id="there")

    def on_mount(self) -> None:
        """Focus the input."""
        self.query_one("#time", Input).focus()

    def _read(self, text: str) -> Goto:
        context = self._goto_context
        return parse_goto(text, datetime.now(timezone.utc), context.zone, context.base_ms)

    def _show(self, text: str) -> None:
        shown = Text(clean(text, 400, ascii_only=self._plain))
        self.query_one("#there", Static).update(shown)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show which time the input means; an incomplete one is not an error."""
        event.stop()
        try:
            goto = self._read(event.value)
            self._show(goto_text(goto, self._goto_context.run, self._goto_context.zone))
        except TimeSyntaxError:
            self._show("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go there, or show in one line which inputs are valid."""
        event.stop()
        try:
            self.dismiss(self._read(event.value))
        except TimeSyntaxError as error:
            self._show(str(error))

    def action_leave(self) -> None:
        """Close the dialog."""
        self.dismiss(None)
