"""Which run the monitor opens on, while the list of runs is still incomplete."""

from pprofplus_tui.model.messages import Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import Run, find, opening
from pprofplus_tui.model.view import View


class FirstRun:
    """Chooses the run to open on, and its first view.

    Reading a hundred thousand runs takes time, and the requested run or a running one may be read
    late. It then replaces the selected run, unless the user has already changed the view.
    """

    def __init__(self, options: Options, view: View) -> None:
        self._options = options
        self._opened = view  # before the user changed anything

    def choose(self, frame: Frame, before: Frame, view: View) -> Run | None:
        """Return the run to open, None to keep the one that is shown.

        Args:
            frame: the new answer of the backend.
            before: the previous answer.
            view: what is shown now.
        """
        shown = find(frame.runs, view.run)
        wanted = find(frame.runs, self._options.run)
        if shown is None:
            return wanted or opening(frame.runs)
        changed = (view.run, view.window) != (self._opened.run, self._opened.window)
        if changed or not before.unread or shown is wanted:
            return None
        if wanted is not None or shown.running:
            return wanted
        first = opening(frame.runs)
        return None if first is shown else first

    def open(self, view: View, run: Run, now_ms: int) -> View:
        """Return the first view of a run: with the window of the command line, if it gave one."""
        options = self._options
        window = options.begin_ms, options.end_ms, options.last_ms
        self._opened = view.opened(run, now_ms, *window)
        return self._opened
