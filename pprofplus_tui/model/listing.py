"""What the list of runs shows: narrowed by words, in an order of choice, some runs marked."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pprofplus_tui.model.runs import Run

NEWEST, RSS, GROWTH, AGE, NAME = ORDERS = ("newest", "rss", "growth", "age", "name")
MOST_MARKED = 6  # as many lines as there are colours to tell them apart
LETTERS = "ABCDEF"
_MOST_TYPED = 80
_SETTLED_S = 10.0
_RUNNING, _ENDED, _PINNED, _MARKED = "running", "ended", "pinned", "marked"

Key = tuple[float | int | str, ...]


@dataclass(frozen=True)
class Listing:
    """What the user made of the list.

    Attributes:
        order: one of ORDERS.
        text: words that a run shown must match, or "".
        typing: keys go to the text.
        marked: paths of the runs to compare, in the order in which they were marked.
    """

    order: str = NEWEST
    text: str = ""
    typing: bool = False
    marked: tuple[str, ...] = ()

    def asked(self) -> "Listing":
        """Return the listing with the text open for typing."""
        return replace(self, typing=True)

    def typed(self, text: str) -> "Listing":
        """Return the listing with printable text added."""
        return replace(self, text=(self.text + text)[:_MOST_TYPED])

    def erased(self, *, word: bool = False) -> "Listing":
        """Return the listing with its last character gone, or its last word."""
        if word:
            return replace(self, text=self.text.rstrip(" ").rpartition(" ")[0])
        return replace(self, text=self.text[:-1])

    def done(self) -> "Listing":
        """Return the listing with the text kept and no longer open."""
        return replace(self, typing=False, text=self.text.strip())

    def cleared(self) -> "Listing":
        """Return the listing of all runs."""
        return replace(self, typing=False, text="")

    def cycled(self) -> "Listing":
        """Return the listing in the next order."""
        return replace(self, order=ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)])

    def toggled(self, path: str) -> "Listing":
        """Return the listing with a run marked or not; itself if there are too many marked."""
        if path in self.marked:
            return replace(self, marked=tuple(p for p in self.marked if p != path))
        if len(self.marked) >= MOST_MARKED:
            return self
        return replace(self, marked=(*self.marked, path))

    def letter(self, path: str) -> str:
        """Return the letter of a marked run, or ""."""
        return LETTERS[self.marked.index(path)] if path in self.marked else ""


def matches(run: Run, words: Iterable[str], marked: Iterable[str] = ()) -> bool:
    """Tell whether a run matches all words: parts of its service, pid or state, in lower case."""
    service, pid = run.service.lower(), str(run.pid)
    states = [run.state, _RUNNING if run.running else _ENDED]
    states += [_PINNED] * run.pinned
    states += [_MARKED] * (run.path in marked)
    return all(
        word in service or word in pid or any(state.startswith(word) for state in states)
        for word in words
    )


def matching(runs: tuple[Run, ...], listing: Listing) -> tuple[Run, ...]:
    """Return the runs that match, in their order."""
    words = listing.text.lower().split()
    if not words:
        return runs
    return tuple(run for run in runs if matches(run, words, listing.marked))


def _figure(run: Run, order: str) -> float | None:
    """Return what a run is put in order by, the largest first; None while it is not known."""
    if order == RSS:
        return float(run.rss_bytes) if run.rss_bytes is not None else -1.0
    if order == GROWTH:
        # what has ended does not grow: the newest of them come first
        return None if run.growth is None or not run.running else run.growth.order
    return float(run.end_ms - run.begin_ms)


class Arranger:
    """Puts runs in order; one by figures holds for some seconds, so that lines do not dance."""

    def __init__(self) -> None:
        self._figures: dict[str, float] = {}
        self._order = NEWEST
        self._taken_s = float("-inf")

    def arranged(self, runs: tuple[Run, ...], order: str, now_s: float) -> tuple[Run, ...]:
        """Return the runs (as `runs.ordered` gives them) in the order asked for.

        Services stay together, the one with the first run first; within one, what runs comes
        before what has ended. `now_s` is monotonic.
        """
        if order == NEWEST:
            return runs
        if order == NAME:
            return tuple(sorted(runs, key=lambda run: (run.service, run.pid, -run.begin_ms)))
        if order != self._order or not 0 <= now_s - self._taken_s < _SETTLED_S:
            self._figures, self._order, self._taken_s = {}, order, now_s
        for run in runs:
            if run.path not in self._figures:
                figure = _figure(run, order)
                if figure is not None:
                    self._figures[run.path] = figure
        figures = defaultdict(lambda: float("-inf"), self._figures)
        best = _best(runs, figures)
        return tuple(
            sorted(
                runs,
                key=lambda run: (
                    best[run.service],
                    run.service,
                    not run.running,
                    -figures[run.path],
                ),
            )
        )


def _best(runs: tuple[Run, ...], figures: Mapping[str, float]) -> dict[str, Key]:
    """Return by service the rank of its first run, the lowest first."""
    best: dict[str, Key] = {}
    for run in runs:
        rank: Key = (not run.running, -figures[run.path])
        if run.service not in best or rank < best[run.service]:
            best[run.service] = rank
    return best
