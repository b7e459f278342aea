"""The open comparison, and the frames that the main screen below it misses."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from textual.app import App

from pprofplus_tui.backend.interface import BackendPort
from pprofplus_tui.model.comparison_request import COMPARE, SERVICE, ComparisonRequest
from pprofplus_tui.model.messages import Drawn, Frame
from pprofplus_tui.model.options import Options

if TYPE_CHECKING:
    from pprofplus_tui.screens.comparison import ComparisonScreen


class OpenComparison:
    """Opens the comparison screen, and forwards frames and charts to it while it is open.

    The main screen below it is not updated during this time: Textual would repaint the whole
    terminal. `on_closed` gets the last frame of this time, None if there was none.
    """

    def __init__(
        self,
        backend: BackendPort,
        options: Options,
        on_closed: Callable[[Frame | None], None],
    ) -> None:
        self._backend = backend
        self._options = options
        self._on_closed = on_closed
        self._screen: ComparisonScreen | None = None
        self._missed: Frame | None = None

    @property
    def is_open(self) -> bool:
        """Whether the comparison screen is shown."""
        return self._screen is not None

    def open(self, app: App[Any], comparison: ComparisonRequest, frame: Frame) -> None:
        """Show a comparison, unless one is open."""
        from pprofplus_tui.screens.comparison import ComparisonScreen  # noqa: PLC0415 - the first paint

        if self._screen is None:
            self._screen = ComparisonScreen(
                self._backend, self._options, comparison, frame, self._closed
            )
            app.push_screen(self._screen)

    def _closed(self) -> None:
        self._screen = None
        self._backend.compare(None)
        missed, self._missed = self._missed, None
        self._on_closed(missed)

    def take_frame(self, frame: Frame) -> bool:
        """Forward a frame if the comparison is open; return whether it is."""
        if self._screen is None:
            return False
        self._missed = frame
        self._screen.show_frame(frame)
        return True

    def take_drawn(self, drawn: Sequence[Drawn]) -> list[Drawn]:
        """Forward the charts of comparisons; return the others."""
        others: list[Drawn] = []
        mine: list[Drawn] = []
        for one in drawn:
            (mine if one.chart.startswith((COMPARE, SERVICE)) else others).append(one)
        if mine and self._screen is not None:
            self._screen.show_drawn(mine)
        return others
