"""What the list of runs shows: filtered by words, in a chosen order, some runs marked."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pprofplus_tui.model.runs import Run, RunId, Runs, find, indexed

NEWEST, RSS, GROWTH, AGE, NAME = ORDERS = ("newest", "rss", "growth", "age", "name")
MAX_MARKED = 6  # as many lines as there are colours
LETTERS = "ABCDEF"
_MAX_TYPED = 80
_SETTLED_S = 10.0
_RUNNING, _ENDED, _PINNED, _MARKED = "running", "ended", "pinned", "marked"


@dataclass(frozen=True)
class RunFilter:
    """Filter, order and marks of the list of runs.

    Attributes:
        order: one of ORDERS.
        text: words that a run must match to be listed, or "".
        typing: keys are typed into the text.
        marked: the runs to compare, in the order in which they were marked.
    """

    order: str = NEWEST
    text: str = ""
    typing: bool = False
    marked: tuple[RunId, ...] = ()

    def opened(self) -> "RunFilter":
        """Return the filter with the text open for typing."""
        return replace(self, typing=True)

    def typed(self, text: str) -> "RunFilter":
        """Return the filter with printable text added."""
        return replace(self, text=(self.text + text)[:_MAX_TYPED])

    def erased(self, *, word: bool = False) -> "RunFilter":
        """Return the filter without its last character, or its last word."""
        if word:
            return replace(self, text=self.text.rstrip(" ").rpartition(" ")[0])
        return replace(self, text=self.text[:-1])

    def done(self) -> "RunFilter":
        """Return the filter with the text kept and no longer open."""
        return replace(self, typing=False, text=self.text.strip())

    def cleared(self) -> "RunFilter":
        """Return the filter without words: all runs are listed."""
        return replace(self, typing=False, text="")

    def cycled(self) -> "RunFilter":
        """Return the filter in the next order."""
        return replace(self, order=ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)])

    def toggled(self, run_id: RunId) -> "RunFilter":
        """Return the filter with a run marked or unmarked; itself if too many are marked."""
        if run_id in self.marked:
            return replace(self, marked=tuple(p for p in self.marked if p != run_id))
        if len(self.marked) >= MAX_MARKED:
            return self
        return replace(self, marked=(*self.marked, run_id))

    def letter(self, run_id: RunId) -> str:
        """Return the letter of a marked run, or ""."""
        return LETTERS[self.marked.index(run_id)] if run_id in self.marked else ""


def matches(run: Run, words: Iterable[str], marked: Iterable[RunId] = ()) -> bool:
    """Return whether a run matches all words: parts of its service, pid or state, in lower case."""
    service, pid = run.service.lower(), str(run.pid)
    states = _states(run, marked)
    return all(
        word in service or word in pid or any(state.startswith(word) for state in states)
        for word in words
    )


def _states(run: Run, marked: Iterable[RunId]) -> list[str]:
    """Return the words for the state of a run."""
    states = [run.state, _RUNNING if run.running else _ENDED]
    states += [_PINNED] * run.pinned
    states += [_MARKED] * (run.id in marked)
    return states


def _matching_places(runs: Runs, words: Sequence[str], marked: Sequence[RunId]) -> Iterator[int]:
    """Yield the places of the runs that match all words.

    Words that the service's name matches are not compared with each of its runs.
    """
    for group in runs.groups:
        service = group.service.lower()
        others = [word for word in words if word not in service]
        places = range(group.begin, group.end)
        if not others:
            yield from places
            continue
        known: dict[tuple[str, bool, bool], list[str]] = {}
        for at in places:
            run = runs[at]
            key = run.state, run.pinned, run.id in marked
            unmatched = known.get(key)
            if unmatched is None:
                states = _states(run, marked)
                unmatched = known[key] = [
                    word for word in others if not any(s.startswith(word) for s in states)
                ]
            if unmatched:
                pid = str(run.pid)
                if not all(word in pid for word in unmatched):
                    continue
            yield at


def _figure(run: Run, order: str) -> float | None:
    """Return the figure that a run is sorted by, the largest first; None while it is unknown."""
    if order == RSS:
        return float(run.rss_bytes) if run.rss_bytes is not None else -1.0
    if order == GROWTH:
        # ended runs do not grow: the newest of them are first
        return None if run.growth is None or not run.running else run.growth.order
    return float(run.end_ms - run.begin_ms)


class Arranger:
    """Puts runs in order; an order by figures is kept for some seconds, so that lines do not jump.

    While the same runs have new figures, they keep their places: nothing is sorted or searched.
    """

    def __init__(self) -> None:
        self._figures: dict[RunId, float] = {}
        self._order = NEWEST
        self._taken_s = float("-inf")
        self._unknown: set[RunId] = set()  # running runs without a figure yet
        self._arranged = _Picked()
        self._matching = _Picked()

    def listed(self, runs: Runs, run_filter: RunFilter, now_s: float) -> Runs:
        """Return the runs that match, in the filter's order; see `arranged`."""
        arranged = self.arranged(runs, run_filter.order, now_s)
        words = run_filter.text.lower().split()
        if not words:
            return arranged
        criteria = tuple(words), run_filter.marked
        return self._matching.of(
            arranged, criteria, lambda: list(_matching_places(arranged, words, run_filter.marked))
        )

    def arranged(self, runs: tuple[Run, ...], order: str, now_s: float) -> Runs:
        """Return the runs (as `runs.ordered` gives them) in that order.

        The runs of a service stay together, running before ended ones; the service with the first
        run is first. `now_s` is monotonic.
        """
        runs = indexed(runs)
        if order == NEWEST:
            return runs
        if order == NAME:
            return self._arranged.of(runs, order, lambda: _by_name(runs))
        if order != self._order or not 0 <= now_s - self._taken_s < _SETTLED_S:
            self._figures, self._order, self._taken_s = {}, order, now_s
            self._arranged = _Picked()
        elif any(self._is_known(runs, run_id, order) for run_id in self._unknown):
            self._arranged = _Picked()
        return self._arranged.of(runs, order, lambda: self._by_figures(runs, order))

    @staticmethod
    def _is_known(runs: Runs, run_id: RunId, order: str) -> bool:
        run = find(runs, run_id)
        return run is not None and _figure(run, order) is not None

    def _by_figures(self, runs: Runs, order: str) -> list[int]:
        """Return the places of the runs in an order by figures."""
        known, figures = self._figures, []
        self._unknown = set()
        for run in runs:
            figure = _figure(run, order)
            if run.running:  # the value of an ended run is final
                figure = known.get(run.id, figure)
                if figure is None:
                    self._unknown.add(run.id)
                else:
                    known[run.id] = figure
            figures.append(float("inf") if figure is None else -figure)
        services = []
        for group in runs.groups:
            running: list[int] = []
            ended: list[int] = []
            for at in range(group.begin, group.end):
                (running if runs[at].running else ended).append(at)
            running.sort(key=figures.__getitem__)
            ended.sort(key=figures.__getitem__)
            first = (running or ended)[0]
            services.append(((not running, figures[first], group.service), running + ended))
        services.sort()
        return [at for _, places in services for at in places]


def _by_name(runs: Runs) -> list[int]:
    """Return the places of the runs by service and pid, the newest of one pid first."""

    def key(at: int) -> tuple[str, int, int]:
        run = runs[at]
        return run.service, run.pid, -run.begin_ms

    return sorted(range(len(runs)), key=key)


class _PickedPlaces(Mapping[RunId, int]):
    """The places of picked runs, by id: four bytes a run, not a table of ids."""

    def __init__(self, places: Mapping[RunId, int], picked: Sequence[int], count: int) -> None:
        self._places = places
        self._now = array("i", [-1]) * count
        for at, place in enumerate(picked):
            self._now[place] = at

    def __getitem__(self, run_id: RunId) -> int:
        at = self._now[self._places[run_id]]
        if at < 0:
            raise KeyError(run_id)
        return at

    def __iter__(self) -> Iterator[RunId]:
        return (run_id for run_id, place in self._places.items() if self._now[place] >= 0)

    def __len__(self) -> int:
        return sum(at >= 0 for at in self._now)


class _Picked:
    """Some of the runs, or all in another order: their places, while these are valid."""

    def __init__(self) -> None:
        self._layout: object = None
        self._criteria: object = None
        self._places = array("i")
        self._from: Runs | None = None
        self._runs = Runs()

    def of(self, runs: Runs, criteria: object, pick: Callable[[], Sequence[int]]) -> Runs:
        """Return the runs at the places that `pick` gives; called if runs or criteria changed.

        The same runs give the same object.
        """
        same = self._layout is runs.layout and self._criteria == criteria
        if same and self._from is runs:
            return self._runs
        if not same:
            self._layout, self._criteria, self._places = runs.layout, criteria, array("i", pick())
        picked = Runs(map(runs.__getitem__, self._places))
        if same:
            picked.laid_out_as(self._runs)
        else:
            picked.find_by(_PickedPlaces(runs.places, self._places, len(runs)))
        self._from, self._runs = runs, picked
        return picked
