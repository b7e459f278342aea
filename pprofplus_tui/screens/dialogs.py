"""Opens pages and dialogs; each module is imported on first use, for an early first paint."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.screen import Screen

from pprofplus_tui.backend.interface import BackendPort
from pprofplus_tui.model.export_job import ExportJob
from pprofplus_tui.model.keys import Key
from pprofplus_tui.model.messages import Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import Run, RunId, find
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.view import View

if TYPE_CHECKING:
    from pprofplus_tui.model.events import RunEvent
    from pprofplus_tui.model.time_grammar import Goto

# (the current view, the selected run, unix ms now) -> the new view
Change = Callable[[View, Run, int], View]
ChangeView = Callable[[Change], None]


class Dialogs:
    """Opens pages and dialogs above a screen.

    While no run is shown, those that need a run do nothing, or notify the user why.
    """

    def __init__(self, screen: Screen[None], backend: BackendPort, options: Options) -> None:
        self._screen = screen
        self._backend = backend
        self._options = options

    def show_help(self, keys: tuple[Key, ...]) -> None:
        """Show the help page for a table of keys."""
        from pprofplus_tui.screens.help_page import HelpPage  # noqa: PLC0415 - see the module

        self._screen.app.push_screen(HelpPage(plain=self._options.plain, keys=keys))

    def save_screenshot(self, name: str) -> None:
        """Ask for a path, then save what is shown now; `name` is part of the file's name."""
        from pprofplus_tui.screens.screenshot_dialog import dialog_for  # noqa: PLC0415 - see the module

        app, options = self._screen.app, self._options
        app.push_screen(dialog_for(app, name, options.zone, plain=options.plain))

    def explain(self, view: View, frame: Frame) -> None:
        """Explain the chosen chart, and how the memory of the run changes in the window."""
        run, chart = find(frame.runs, view.run), view.table.by_id.get(view.chosen)
        if run is None or chart is None:
            self._warn("There is no run to explain yet.")
            return
        from pprofplus_tui.screens.explain_page import Explained, ExplainPage  # noqa: PLC0415

        plain = self._options.plain
        name = clean(f"{run.service} {run.pid}", ascii_only=plain)
        explained = Explained(chart, frame.verdicts, name, frame.death_of(run.id))
        self._screen.app.push_screen(ExplainPage(explained, plain=plain))

    def ask_time(self, view: View, frame: Frame, change_view: ChangeView) -> None:
        """Ask for a time, and go there."""
        run, window = find(frame.runs, view.run), view.window
        if run is None or window is None:
            return
        from pprofplus_tui.screens.goto_dialog import GotoContext, GotoDialog  # noqa: PLC0415

        def done(goto: "Goto | None") -> None:
            if goto is not None:
                _go_to(goto, change_view)

        context = GotoContext(run, view.cursor or window.begin_ms, self._options.zone)
        self._screen.app.push_screen(GotoDialog(context, plain=self._options.plain), done)

    def list_events(
        self, view: View, frame: Frame, change_view: ChangeView, show_run: Callable[[RunId], None]
    ) -> None:
        """List the events of the run; go to the picked event, or to the run that it refers to."""
        run, window = find(frame.runs, view.run), view.window
        if run is None or window is None:
            return
        from pprofplus_tui.model.time_grammar import Goto  # noqa: PLC0415 - see the module
        from pprofplus_tui.screens.event_list import EventList, EventListContext  # noqa: PLC0415

        def done(event: "RunEvent | None") -> None:
            if event is not None and event.run:
                show_run(event.run)
            elif event is not None:
                _go_to(Goto(at_ms=event.t_ms), change_view)

        options, at_ms = self._options, view.cursor or window.end_ms
        death = frame.death_of(run.id)
        context = EventListContext(run, frame.runs, options.zone, at_ms, options.colours, death)
        page = EventList(self._backend, context, plain=options.plain)
        self._screen.app.push_screen(page, done)

    def export(self, view: View, frame: Frame) -> None:
        """Ask for a path, then export the visible window."""
        run, window = find(frame.runs, view.run), view.window
        if run is None or window is None:
            self._warn("There is no run to export yet.")
            return
        from pprofplus_tui.screens.export_dialog import ExportDialog  # noqa: PLC0415 - see the module

        job = ExportJob(run, window.begin_ms, window.end_ms, self._options.zone)
        self._screen.app.push_screen(ExportDialog(self._backend, job, plain=self._options.plain))

    def _warn(self, text: str) -> None:
        self._screen.notify(text, severity="warning", markup=False)


def _go_to(goto: "Goto", change_view: ChangeView) -> None:
    from pprofplus_tui.model.goto_target import goto_view  # noqa: PLC0415 - see the module

    change_view(lambda view, run, now_ms: goto_view(view, goto, run, now_ms))
