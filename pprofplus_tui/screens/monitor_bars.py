"""The three single lines of the main screen: status, verdicts, keys."""

from pprofplus_tui.model.cell_rows import Cellrun
from pprofplus_tui.model.messages import Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import PIN_SIGN, PLAIN_PIN_SIGN, Run
from pprofplus_tui.model.view import View
from pprofplus_tui.widgets.bars import Bar, StatusView, keys_row, status_row
from pprofplus_tui.widgets.row_text import fit, with_end
from pprofplus_tui.widgets.verdict_line import verdict_row


class MonitorBars:
    """Owns the widgets of the three lines and fills them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        # references, not queries: a late frame may arrive after the screen is unmounted
        self.status, self.verdicts, self.keys = Bar(id="status"), Bar(id="verdicts"), Bar(id="keys")

    def show(self, view: View, frame: Frame, run: Run | None, charts: int) -> None:
        """Fill the lines; `run` is the selected run, `charts` the number of charts with a place."""
        options = self._options
        status = StatusView(
            frame.runs,
            run,
            view.window,
            options.zone,
            plain=options.plain,
            problem=frame.problem,
            cursor=frame.reading_at(view.cursor),
        )
        self.status.set_rows((status_row(status, self.status.size.width),))
        self._show_verdicts(view, frame, run, charts)
        keys = keys_row(self.keys.size.width, plain=options.plain, keys=options.keys)
        self.keys.set_rows((keys,))

    def _show_verdicts(self, view: View, frame: Frame, run: Run | None, charts: int) -> None:
        """Fill the line of verdicts; at its end a pin, and how many charts fit if some do not."""
        plain, width, wanted = self._options.plain, self.verdicts.size.width, len(view.shown)
        # the other charts need a larger screen
        missing = f"{charts} of {wanted} charts" if charts < wanted else ""
        pin = PLAIN_PIN_SIGN if plain else PIN_SIGN
        pinned = f"{pin} pinned" if run is not None and run.pinned else ""
        room = width - len(f" {pinned} ") if pinned else width
        death = frame.death_of(view.run)
        row = fit(verdict_row(frame.verdicts, room, plain=plain, death=death), width)
        with_note = row
        for note in ("   ".join(filter(None, (pinned, missing))), pinned, missing):
            with_note = with_end(row, Cellrun(f" {note} " if note else "", "dim"))
            if with_note is not row:
                break
        self.verdicts.set_rows((with_note,))
