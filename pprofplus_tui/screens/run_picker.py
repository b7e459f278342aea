"""The run picker: the list of runs, filtered, sorted, marked and pinned by the user."""

import time
from typing import Protocol

from textual.binding import BindingsMap
from textual.events import Key

from pprofplus.errors import PprofplusError
from pprofplus_tui.backend.interface import BackendPort
from pprofplus_tui.model.comparison_request import COMPARE, SERVICE, ComparisonRequest
from pprofplus_tui.model.messages import Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.run_filter import GROWTH, MAX_MARKED, Arranger, RunFilter
from pprofplus_tui.model.runs import Run, RunId, Runs, find, neighbour, sibling
from pprofplus_tui.model.text import clean
from pprofplus_tui.widgets.run_list import RunList, RunListView

_MIN_COMPARED = 2


class PickerOwner(Protocol):
    """The screen that shows the picked run."""

    def pick_run(self, run: Run | None) -> None:
        """Show this run; None: keep the one that is shown."""

    def open_comparison(self, comparison: ComparisonRequest) -> None:
        """Show this comparison."""


class RunPicker:
    """Filters, sorts, marks and pins the runs; reports the picked run to its owner.

    Attributes:
        list: the widget of the list.
        run_filter: the words, the order and the marks.
        listed: the runs in the list, in its order.
    """

    def __init__(self, backend: BackendPort, options: Options, owner: PickerOwner) -> None:
        self._backend = backend
        self._options = options
        self._owner = owner
        self._frame = Frame()
        self._selected: RunId | None = None  # the run that is shown
        self._arranger = Arranger()
        self.list = RunList(id="runs")
        self.run_filter = RunFilter()
        self.listed = Runs()

    def show(self, frame: Frame, selected: RunId | None, *, redraw: bool = True) -> None:
        """Show the runs of a frame; the highlight stays on the selected run.

        Without `redraw` the list on the screen stays as it is until the next change.
        """
        self._frame, self._selected = frame, selected
        if redraw:
            self._update()

    def _update(self) -> None:
        frame, selected = self._frame, self._selected
        self.listed = self._arranger.listed(frame.runs, self.run_filter, time.monotonic())
        view = RunListView(
            self.listed,
            selected,
            plain=self._options.plain,
            run_filter=self.run_filter,
            total=len(frame.runs),
            unread=frame.unread,
        )
        self.list.show(view)
        first = self.list.visible_runs
        if selected is not None and selected not in first:
            first = (selected, *first)
        self._backend.read_first(first, with_growth=self.run_filter.order == GROWTH)

    def _set_filter(self, run_filter: RunFilter) -> None:
        if run_filter != self.run_filter:
            self.run_filter = run_filter
            self._update()

    @property
    def _run(self) -> Run | None:
        """The run that is shown."""
        return find(self._frame.runs, self._selected)

    # -- moving in the list

    def step(self, step: int) -> None:
        """Pick the run `step` places down the list."""
        self._owner.pick_run(neighbour(self.listed, self._selected, step))

    def step_sibling(self, step: int) -> None:
        """Pick the next or previous pid of the same service."""
        self._owner.pick_run(sibling(self._frame.runs, self._selected, step))

    # -- filtering

    @property
    def typing(self) -> bool:
        """Whether keys go to the filter's text."""
        return self.run_filter.typing

    def open_filter(self) -> None:
        """Start to type the filter's text."""
        if not self.list.display:
            self.list.notify("The list of runs needs a wider terminal.", markup=False)
        elif self._frame.runs:
            self._set_filter(self.run_filter.opened())

    def take_key(self, event: Key, bindings: BindingsMap) -> bool:
        """Handle a key that is typed into the filter or opens it; return whether it was handled."""
        if self.run_filter.typing:
            self._type(event)
            return True
        bound = bindings.key_to_bindings.get(event.key, ())
        if any(binding.action == "filter" for binding in bound):
            # do not wait for the binding, which Textual runs later: over a slow connection, letters
            # that arrive together with this key would be lost
            self.open_filter()
            return True
        return False

    def _type(self, event: Key) -> None:
        """Edit the filter's text, close the filter, or move in the list by the arrow keys."""
        run_filter, key = self.run_filter, event.key
        if key == "escape":
            self._set_filter(run_filter.cleared())
        elif key in {"enter", "tab"}:
            self._set_filter(run_filter.done())
            if self.listed and find(self.listed, self._selected) is None:
                self._owner.pick_run(self.listed[0])
        elif key in {"up", "down"}:
            self.step(-1 if key == "up" else 1)
        elif key in {"backspace", "ctrl+h"}:
            self._set_filter(run_filter.erased())
        elif key in {"ctrl+w", "ctrl+u"}:
            self._set_filter(run_filter.erased(word=True))
        elif key == "ctrl+c":
            self.list.app.exit()
        elif event.is_printable and event.character is not None:
            self._set_filter(run_filter.typed(event.character))

    def clear_filter(self) -> None:
        """List all runs again."""
        self._set_filter(self.run_filter.cleared())

    # -- ordering, marking, pinning

    def next_order(self) -> None:
        """Sort the list in the next order."""
        self._set_filter(self.run_filter.cycled())

    def toggle_mark(self) -> None:
        """Mark the run that is shown, or unmark it."""
        run = self._run
        if run is None:
            return
        marked = self.run_filter.toggled(run.id)
        if marked == self.run_filter:
            self.list.notify(
                f"At most {MAX_MARKED} runs can be compared: unmark one first.",
                severity="warning",
                markup=False,
            )
        self._set_filter(marked)

    def toggle_pin(self) -> None:
        """Pin the run that is shown, or unpin it; in a worker, because a disk may be slow."""
        run = self._run
        if run is not None:
            self.list.run_worker(lambda: self._toggle_pin(run), thread=True)

    def _toggle_pin(self, run: Run) -> None:
        try:
            state = "pinned" if self._backend.toggle_pin(run) else "unpinned"
        except PprofplusError as error:
            text = clean(str(error), ascii_only=self._options.plain)
            self.list.notify(text, severity="warning", markup=False)
        else:
            self.list.notify(f"{run.service} {run.pid} {state}", markup=False)

    # -- comparing

    def compare_marked(self, chart: str) -> None:
        """Compare the marked runs in that chart."""
        runs = self._frame.runs
        marked = tuple(run for run in self.run_filter.marked if find(runs, run) is not None)
        if len(marked) < _MIN_COMPARED:
            hint = "Mark at least two runs with c, then press C to compare them."
            self.list.notify(hint, markup=False)
            return
        self._owner.open_comparison(ComparisonRequest(COMPARE, marked, chart=chart))

    def compare_service(self, chart: str, service: str | None = None) -> None:
        """Compare all runs of a service in that chart, by default of the run that is shown."""
        run = self._run
        if service is None and run is not None:
            service = run.service
        if service is not None:
            self._owner.open_comparison(ComparisonRequest(SERVICE, service=service, chart=chart))
