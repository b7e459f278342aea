"""The app: it owns the backend, the theme and the main screen."""

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
from pprofplus_tui.backend.interface import Backend
from pprofplus_tui.model.keys import Key
from pprofplus_tui.model.messages import Drawn, Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.text import clean
from pprofplus_tui.screens.monitor import MonitorScreen
from pprofplus_tui.terminal.ascii_filter import AsciiFilter
from pprofplus_tui.terminal.encoder import lean
from pprofplus_tui.widgets.theme import THEMES, themes

MakeBackend = Callable[[Options, Callable[[Frame], None], Callable[[Drawn], None]], Backend]


class MonitorApp(App[int]):
    """The monitor. Its result is the exit code."""

    TITLE = "pprofplus"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = []

    class FrameArrived(Message):
        """The backend sent a frame."""

        def __init__(self, frame: Frame) -> None:
            super().__init__()
            self.frame = frame

    class ThreadFailed(Message):
        """A thread ended with an unexpected exception."""

        def __init__(self, error: BaseException) -> None:
            super().__init__()
            self.error = error

    class ChartsDrawn(Message):
        """Charts were drawn and are not shown yet."""

    def __init__(self, options: Options, make_backend: MakeBackend) -> None:
        super().__init__()
        # an animated page costs half a megabyte over SSH
        self.animation_level = "none"
        for theme in themes(options.colours):
            self.register_theme(theme)
        self.theme = THEMES[options.light].name
        # a colour by its index costs half the bytes
        self._colour_system = (
            ColorSystem.EIGHT_BIT if options.low_bandwidth else ColorSystem.TRUECOLOR
        )
        self._options = options
        self._plain = [AsciiFilter()] if options.plain else []
        self.backend = make_backend(options, self._take_frame, self._take_drawn)
        self.monitor = MonitorScreen(self.backend, options)
        self.failure: BaseException | None = None  # why the app ended, unless the user ended it
        self._drawn: list[Drawn] = []
        self._drawn_lock = threading.Lock()

    def _take_frame(self, frame: Frame) -> None:
        """Pass a frame to the thread of the screens; called in a thread of the backend."""
        self.post_message(self.FrameArrived(frame))

    def _take_drawn(self, drawn: Drawn) -> None:
        """Keep a chart until all of its answer have arrived: one repaint shows them all."""
        with self._drawn_lock:
            self._drawn.append(drawn)
        if not drawn.more:
            self.post_message(self.ChartsDrawn())

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        # Textual calls this for all output; `lean` makes it shorter
        super()._display(
            screen, cast("RenderableType | None", lean(renderable, self._colour_system))
        )

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return the filters of each line: with the plain option, one to ASCII."""
        return [*super().get_line_filters(), *self._plain]

    def get_default_screen(self) -> Screen[object]:
        """Return the main screen; Textual would lay out an empty one first."""
        return cast("Screen[object]", self.monitor)

    def on_load(self) -> None:
        """Handle the signals that end the app, to restore the terminal first.

        Textual calls this before it changes the terminal, so that no signal finds it changed but
        unhandled.
        """
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread can handle signals
        loop = asyncio.get_running_loop()
        for number in signals.ENDING:
            loop.add_signal_handler(number, self._end_by, number)
        if signals.ended_by:
            self._end_by(signals.ended_by[0])

    def _fatal_error(self) -> None:
        # Textual would print a traceback with the values of all variables
        self.failure = self.failure or self._exception or sys.exc_info()[1]
        self._close_messages_no_wait()

    def panic(self, *renderables: RenderableType) -> None:
        """End the app; Textual calls this with a traceback when it cannot read the terminal."""
        causes = [
            f"{stack.exc_type}: {stack.exc_value}"
            for found in renderables
            if isinstance(found, Traceback)
            for stack in found.trace.stacks[:1]
        ]
        self.failure = self.failure or OSError(", ".join(causes) or "unknown")
        self._return_code = 1
        self._close_messages_no_wait()

    def on_monitor_app_thread_failed(self, message: ThreadFailed) -> None:
        """End the app: without a thread it would show outdated figures as if they were new."""
        self.failure = self.failure or message.error
        self.exit(return_code=1)

    def on_mount(self) -> None:
        """Start the backend after the first paint."""
        self.app_resume_signal.subscribe(self, lambda _: self._draw_again())
        if self._driver is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCONT, self._continued)
        # importing numpy and plotext takes as long as the start so far: paint first
        self.monitor.call_after_refresh(self.backend.start)
        if self._options.notice:
            self.notify(self._options.notice, severity="warning", timeout=15, markup=False)

    def _end_by(self, number: int) -> None:
        self.exit(return_code=128 + number)

    def _continued(self, number: int, frame: FrameType | None) -> None:
        """Resume after a stop.

        Textual's handler treats every SIGCONT as the end of a stop that it prepared; after a plain
        SIGSTOP it would start a second reader of the keys.
        """
        driver = self._driver
        if isinstance(driver, LinuxDriver) and driver._must_signal_resume:  # noqa: SLF001 - no public API
            driver._sigcont_application(number, frame)  # noqa: SLF001 - as Textual does
        elif self._loop is not None:
            # another program may have written to the terminal
            self._loop.call_soon_threadsafe(self._draw_again)

    def _draw_again(self) -> None:
        for screen in self.screen_stack:
            screen.refresh(layout=True)

    def on_unmount(self) -> None:
        """Join the threads of the backend."""
        self.backend.close()

    def on_monitor_app_frame_arrived(self, message: FrameArrived) -> None:
        """Pass the frame to the main screen."""
        if self.monitor.is_mounted:
            self.monitor.show_frame(message.frame)

    def on_monitor_app_charts_drawn(self) -> None:
        """Pass all charts that were drawn since the last call to the main screen."""
        with self._drawn_lock:
            charts, self._drawn = self._drawn, []
        self.monitor.show_drawn(charts)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Return the commands of the palette: the screen's key table, own charts, backgrounds."""
        # a page or a dialog has no key table: use that of the main screen
        keys: tuple[Key, ...] | None = getattr(screen, "offered", None)
        target = self.monitor if keys is None else screen
        for key in self._options.keys if keys is None else keys:
            if key.action != "command_palette":
                run = self._runner(target, key.action)
                yield SystemCommand(key.text, f"{key.group}: {key.shown}", run)
        for chart in self.monitor.view.table.own if target is self.monitor else ():
            # the palette interprets markup in texts
            title = escape(clean(chart.title, 40, ascii_only=bool(self._plain)))
            yield SystemCommand(
                f"Show or hide the chart: {title}",
                f"Charts: {chart.key}".rstrip(": "),
                self._runner(target, f"chart('{chart.id}')"),
            )
        for theme in THEMES:
            background = "dark" if theme.dark else "light"
            yield SystemCommand(
                f"Use the {background} background",
                "Program: colours",
                lambda name=theme.name: setattr(self, "theme", name),
            )

    @staticmethod
    def _runner(target: "Screen[Any]", action: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await target.run_action(action)

        return run
