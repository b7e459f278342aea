"""The application: it owns the feed, the theme and the main screen."""

import asyncio
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import FrameType
from typing import Any, ClassVar, cast

from rich.color import ColorSystem
from rich.console import RenderableType
from rich.traceback import Traceback
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import LineFilter
from textual.markup import escape
from textual.message import Message
from textual.screen import Screen

from pprofplus_tui import signals
from pprofplus_tui.backend.worker import BackendThread
from pprofplus_tui.model.keys import Key
from pprofplus_tui.model.messages import Drawn, Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.text import clean
from pprofplus_tui.screens.monitor import MonitorScreen
from pprofplus_tui.terminal.ascii_filter import AsciiFilter
from pprofplus_tui.terminal.encoder import lean
from pprofplus_tui.widgets.theme import THEMES, themes


class MonitorApp(App[int]):
    """Finds runs, draws them, switches between them. Returns the exit code."""

    TITLE = "pprofplus"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = []

    class FrameCame(Message):
        """The feed has something to tell."""

        def __init__(self, frame: Frame) -> None:
            super().__init__()
            self.frame = frame

    class Broke(Message):
        """A thread ended by an exception that nobody expected."""

        def __init__(self, error: BaseException) -> None:
            super().__init__()
            self.error = error

    class ChartsCame(Message):
        """Charts were drawn, and wait to be taken."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        # a page that slides costs half a megabyte on the wire
        self.animation_level = "none"
        for theme in themes(options.colours):
            self.register_theme(theme)
        self.theme = THEMES[options.light].name
        # an index says a colour in half the bytes
        self._most_colours = (
            ColorSystem.EIGHT_BIT if options.low_bandwidth else ColorSystem.TRUECOLOR
        )
        self._options = options
        self._plain = [AsciiFilter()] if options.plain else []
        self.feed = BackendThread(
            options,
            self._take_frame,
            self._take_drawn,
        )
        self.monitor = MonitorScreen(self.feed, options)
        self.fault: BaseException | None = None  # what ended it, if that was none of the user's
        self._drawn: list[Drawn] = []
        self._drawn_lock = threading.Lock()

    def _take_frame(self, frame: Frame) -> None:
        """Hand a frame over to the screen's thread."""
        self.post_message(self.FrameCame(frame))

    def _take_drawn(self, drawn: Drawn) -> None:
        """Keep a chart until those of the same moment are there: they go in one repaint."""
        with self._drawn_lock:
            self._drawn.append(drawn)
        if not drawn.more:
            self.post_message(self.ChartsCame())

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        # Textual's own hook for all that is drawn; see wire.py for what this saves
        super()._display(
            screen, cast("RenderableType | None", lean(renderable, self._most_colours))
        )

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return what each line goes through before it is drawn."""
        found = super().get_line_filters()
        return [*found, *self._plain]

    def get_default_screen(self) -> Screen[object]:
        """Return the main screen, so that no other is laid out before it."""
        return cast("Screen[object]", self.monitor)

    def on_load(self) -> None:
        """Leave in order, with the terminal as it was found, if killed or the SSH line drops.

        This comes before anything is written: a signal finds the terminal as it was, or us ready.
        """
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread hears signals
        loop = asyncio.get_running_loop()
        for number in signals.ENDING:
            loop.add_signal_handler(number, self._end_by, number)
        if signals.heard:
            self._end_by(signals.heard[0])

    def _fatal_error(self) -> None:
        # Textual's own would show the traceback with the values of all variables
        self.fault = self.fault or self._exception or sys.exc_info()[1]
        self._close_messages_no_wait()

    def panic(self, *renderables: RenderableType) -> None:
        """End; Textual calls this with a traceback when the terminal cannot be read."""
        told = [
            f"{stack.exc_type}: {stack.exc_value}"
            for found in renderables
            if isinstance(found, Traceback)
            for stack in found.trace.stacks[:1]
        ]
        self.fault = self.fault or OSError(", ".join(told) or "unknown")
        self._return_code = 1
        self._close_messages_no_wait()

    def on_monitor_app_broke(self, message: Broke) -> None:
        """Leave in order: half a monitor would show old figures as if they were new."""
        self.fault = self.fault or message.error
        self.exit(return_code=1)

    def on_mount(self) -> None:
        """Paint the frame first; the logs are read by the feed's thread."""
        self.app_resume_signal.subscribe(self, lambda _: self._draw_again())
        if self._driver is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCONT, self._continued)
        # loading numpy and plotext takes as long as all before it: the frame is painted first
        self.monitor.call_after_refresh(self.feed.start)
        if self._options.notice:
            self.notify(self._options.notice, severity="warning", timeout=15, markup=False)

    def _end_by(self, number: int) -> None:
        self.exit(return_code=128 + number)

    def _continued(self, number: int, frame: FrameType | None) -> None:
        """Go on after a stop.

        Textual's handler takes every SIGCONT for the end of a stop that it prepared, and would
        start a second reader of the keys after a plain SIGSTOP.
        """
        driver = self._driver
        if isinstance(driver, LinuxDriver) and driver._must_signal_resume:  # noqa: SLF001 - it tells
            driver._sigcont_application(number, frame)  # noqa: SLF001 - what Textual would do
        elif self._loop is not None:
            # somebody else may have written to the terminal meanwhile
            self._loop.call_soon_threadsafe(self._draw_again)

    def _draw_again(self) -> None:
        for screen in self.screen_stack:
            screen.refresh(layout=True)

    def on_unmount(self) -> None:
        """Join the threads."""
        self.feed.close()

    def on_monitor_app_frame_came(self, message: FrameCame) -> None:
        """Give the main screen its values."""
        if self.monitor.is_mounted:
            self.monitor.show_frame(message.frame)

    def on_monitor_app_charts_came(self) -> None:
        """Give the main screen the charts drawn since it was last given some."""
        with self._drawn_lock:
            charts, self._drawn = self._drawn, []
        self.monitor.show_drawn(charts)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer every action of the screen's key table, and the other background."""
        # a page or a dialog has no table of its own: the main screen's stands in
        keys: tuple[Key, ...] | None = getattr(screen, "offered", None)
        doer = self.monitor if keys is None else screen
        for key in self._options.keys if keys is None else keys:
            if key.action != "command_palette":
                does = self._runner(doer, key.action)
                yield SystemCommand(key.text, f"{key.group}: {key.shown}", does)
        for chart in self.monitor.view.table.own if doer is self.monitor else ():
            # the palette takes texts for markup
            title = escape(clean(chart.title, 40, ascii_only=bool(self._plain)))
            yield SystemCommand(
                f"Show or hide the chart: {title}",
                f"Charts: {chart.key}".rstrip(": "),
                self._runner(doer, f"chart('{chart.id}')"),
            )
        for theme in THEMES:
            background = "dark" if theme.dark else "light"
            yield SystemCommand(
                f"Use the {background} background",
                "Program: colours",
                lambda name=theme.name: setattr(self, "theme", name),
            )

    @staticmethod
    def _runner(doer: "Screen[Any]", action: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await doer.run_action(action)

        return run
