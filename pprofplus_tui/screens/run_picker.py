"""The part of the main screen that picks runs: narrowing, ordering, marking, comparing."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from textual.events import Key
from textual.screen import Screen

from pprofplus_tui.model.comparison_request import COMPARE, SERVICE, ComparisonRequest
from pprofplus_tui.model.messages import ChartRequest, Drawn, Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.run_filter import GROWTH, MOST_MARKED, Arranger, RunFilter
from pprofplus_tui.model.runs import Run, Runs, find
from pprofplus_tui.model.view import View
from pprofplus_tui.widgets.run_list import RunList, RunListView

if TYPE_CHECKING:
    from pprofplus_tui.screens.comparison import ComparisonScreen

_LEAST_COMPARED = 2


class FeedPort(Protocol):
    """What the screen asks of the feed."""

    def show(self, request: ChartRequest) -> None:
        """Answer this request now and whenever there is something new."""

    def study(self, study: ComparisonRequest | None) -> None:
        """Answer this study instead of the request, or the request again."""

    def in_sight(self, paths: tuple[str, ...], *, ranking: bool = False) -> None:
        """Take these runs for the ones of which everything is to be known.

        With `ranking`, tell how each live run grows.
        """


class RunPicker(Screen[None]):
    """Owns what the user made of the list of runs, and the views of several runs."""

    def __init__(self, feed: FeedPort, options: Options) -> None:
        super().__init__()
        self._feed = feed
        self._options = options
        self.view = View()
        self.frame = Frame()
        self.listing = RunFilter()
        self.listed = Runs()
        self._arranger = Arranger()
        self._list = RunList(id="runs")
        self._study: ComparisonScreen | None = None
        self._missed: Frame | None = None  # the last that came while that was shown

    def _select(self, run: Run | None) -> None:
        """Show a run."""
        raise NotImplementedError

    def _show_list(self) -> None:
        """Show the list as it now is; the cursor stays on its run."""
        runs = self.frame.runs
        self.listed = self._arranger.listed(runs, self.listing, time.monotonic())
        view = RunListView(
            self.listed,
            self.view.run,
            plain=self._options.plain,
            listing=self.listing,
            total=len(runs),
            unread=self.frame.unread,
        )
        self._list.show(view)
        sought = self._list.in_sight
        if self.view.run is not None and self.view.run not in sought:
            sought = (self.view.run, *sought)
        self._feed.in_sight(sought, ranking=self.listing.order == GROWTH)

    def _set_listing(self, listing: RunFilter) -> None:
        if listing != self.listing:
            self.listing = listing
            self._show_list()

    # -- narrowing

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let no key act while it is typed into the text."""
        return not self.listing.typing and super().check_action(action, parameters) is not False

    def on_key(self, event: Key) -> None:
        """Take what is typed into the text; the arrows still go through the list."""
        if not self.listing.typing and self._is_filter_key(event.key):
            # not by its binding, which the app runs later: letters that come in one piece with it,
            # as over a slow line, would be lost
            self.action_filter()
        elif not self.listing.typing:
            return
        else:
            self._take_key(event)
        event.stop()
        event.prevent_default()

    def _is_filter_key(self, key: str) -> bool:
        bindings = self._bindings.key_to_bindings.get(key, ())
        return any(binding.action == "filter" for binding in bindings)

    def _take_key(self, event: Key) -> None:
        """Change the text by a key, or end it."""
        listing, key = self.listing, event.key
        if key == "escape":
            self._set_listing(listing.cleared())
        elif key in {"enter", "tab"}:
            self._set_listing(listing.done())
            if self.listed and find(self.listed, self.view.run) is None:
                self._select(self.listed[0])
        elif key in {"up", "down"}:
            self.action_run(-1 if key == "up" else 1)
        elif key in {"backspace", "ctrl+h"}:
            self._set_listing(listing.erased())
        elif key in {"ctrl+w", "ctrl+u"}:
            self._set_listing(listing.erased(word=True))
        elif key == "ctrl+c":
            self.app.exit()
        elif event.is_printable and event.character is not None:
            self._set_listing(listing.typed(event.character))

    def action_run(self, step: int) -> None:
        """Show the run `step` places down the list."""
        raise NotImplementedError

    def action_filter(self) -> None:
        """Open the text that narrows the list."""
        if not self._list.display:
            self.notify("The list of runs needs a wider terminal.", markup=False)
        elif self.frame.runs:
            self._set_listing(self.listing.asked())

    def _cleared(self) -> bool:
        """Show all runs again; return whether they were narrowed."""
        narrowed = bool(self.listing.text)
        self._set_listing(self.listing.cleared())
        return narrowed

    # -- ordering and marking

    def action_order(self) -> None:
        """Put the list in the next order."""
        self._set_listing(self.listing.cycled())

    def action_mark(self) -> None:
        """Mark the run shown, or unmark it."""
        run = find(self.frame.runs, self.view.run)
        if run is None:
            return
        marked = self.listing.toggled(run.path)
        if marked == self.listing:
            self.notify(
                f"No more than {MOST_MARKED} runs can be told apart in one chart: unmark one.",
                severity="warning",
                markup=False,
            )
        self._set_listing(marked)

    # -- several runs at once

    def action_compare(self) -> None:
        """Compare the marked runs."""
        runs = tuple(
            run for path in self.listing.marked if (run := find(self.frame.runs, path)) is not None
        )
        if len(runs) < _LEAST_COMPARED:
            self.notify("Mark two runs or more with c, then compare them.", markup=False)
            return
        self._open(
            ComparisonRequest(COMPARE, tuple(run.path for run in runs), chart=self.view.chosen)
        )

    def action_service(self) -> None:
        """Show all runs of the service of the run shown."""
        run = find(self.frame.runs, self.view.run)
        if run is not None:
            self._open(ComparisonRequest(SERVICE, service=run.service, chart=self.view.chosen))

    def on_run_list_headed(self, message: RunList.Headed) -> None:
        """Show all runs of the service whose line was clicked."""
        self._open(ComparisonRequest(SERVICE, service=message.service, chart=self.view.chosen))

    def _open(self, study: ComparisonRequest) -> None:
        # what only a key needs is loaded by it: the first paint comes sooner
        from pprofplus_tui.screens.comparison import ComparisonScreen  # noqa: PLC0415

        if self._study is None:
            self._study = ComparisonScreen(self._feed, self._options, study, self.frame, self._left)
            self.app.push_screen(self._study)

    def _hidden_by_study(self, frame: Frame) -> bool:
        """Hand a frame to the view of several runs, if that is shown.

        What lies below it is not drawn: Textual would paint all of the screen for that.
        """
        if self._study is None:
            return False
        self._missed = frame
        self._study.show_frame(frame)
        return True

    def _left(self) -> None:
        self._study = None
        self._feed.study(None)
        missed, self._missed = self._missed, None
        if missed is not None:
            self.show_frame(missed)

    def show_frame(self, frame: Frame) -> None:
        """Take over what the feed found."""
        raise NotImplementedError

    def _own(self, drawn: Sequence[Drawn]) -> list[Drawn]:
        """Hand charts of several runs to the screen that shows them; return the others."""
        own: list[Drawn] = []
        passed_on: list[Drawn] = []
        for one in drawn:
            (passed_on if one.chart.startswith((COMPARE, SERVICE)) else own).append(one)
        if passed_on and self._study is not None:
            self._study.show_drawn(passed_on)
        return own
