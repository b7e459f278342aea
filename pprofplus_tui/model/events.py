"""What happens to a run, declared once: kinds of events, their letters, and how they are told."""

from collections.abc import Iterable
from dataclasses import dataclass

from pprofplus.log.format import (
    EVENT_KINDS,
    FORK,
    INTERVAL,
    LOST,
    MARK,
    PAUSE,
    RESUME,
    START,
    STOP,
)
from pprofplus_tui.model.death import Death
from pprofplus_tui.model.runs import Run, Runs
from pprofplus_tui.model.units import format_span_ms

CLOCK, NEXT, DEATH, UNWATCHED = "clock", "next", "death", "unwatched"
MARKED = EVENT_KINDS[MARK]


@dataclass(frozen=True)
class Kind:
    """A kind of event.

    Attributes:
        word: what it is called; its first letter, a capital that no other kind has, stands for
            it where there is no room.
        meaning: what it is, for those who see it the first time.
        style: of its line and its word.
        rank: kinds of a lower rank are kept first where there are too many to show.
    """

    word: str
    meaning: str
    style: str = "event"
    rank: int = 1


KINDS: dict[str, Kind] = {
    MARKED: Kind("Mark", "a mark of the service's own", "mark", 0),
    EVENT_KINDS[LOST]: Kind("Lost", "samples that could not be written", "lost", 0),
    EVENT_KINDS[START]: Kind("Start", "sampling began"),
    EVENT_KINDS[STOP]: Kind("End", "the process ended in order, or stopped recording"),
    EVENT_KINDS[PAUSE]: Kind("Pause", "told to take no samples"),
    EVENT_KINDS[RESUME]: Kind("Resume", "told to take samples again"),
    EVENT_KINDS[FORK]: Kind("Fork", "this process was forked off by another"),
    EVENT_KINDS[INTERVAL]: Kind("Interval", "samples come at another pace from here on"),
    CLOCK: Kind("Clock", "the wall clock was set, or the machine slept"),
    NEXT: Kind("Next", "the next run of this service began", "accent"),
    DEATH: Kind("Died", "the last sample of a process that did not end in order", "lost", 0),
    UNWATCHED: Kind("Unwatched", "pprofplus watch ended; the process went on"),
}
_OTHER = Kind("?", "an event of a later version", rank=2)


@dataclass(frozen=True)
class Happening:
    """One event of a run.

    Attributes:
        t_ms: unix milliseconds on the run's time axis.
        kind: one of KINDS, or what a later version calls it.
        value: what the kind says: samples lost, microseconds, a pid, milliseconds of a step.
        text: untrusted; clean it before it is shown.
        path: of the run that began, or "".
        brief: a word or two for a chart, or "".
    """

    t_ms: int
    kind: str
    value: int = 0
    text: str = ""
    path: str = ""
    brief: str = ""

    @property
    def told(self) -> Kind:
        """What is known of its kind."""
        return KINDS.get(self.kind, _OTHER)

    @property
    def figure(self) -> str:
        """Its value in words, "" if the kind has none."""
        if self.kind == EVENT_KINDS[LOST]:
            return f"{self.value}"
        if self.kind == EVENT_KINDS[FORK]:
            return f"of {self.value}"
        if self.kind == EVENT_KINDS[INTERVAL]:
            return f"{self.value / 1_000_000:g}s"
        if self.kind == CLOCK:
            return f"{'+' if self.value > 0 else ''}{format_span_ms(self.value)}"
        if self.kind == NEXT:
            return f"{self.value}"
        return ""

    @property
    def short(self) -> str:
        """Its word and figure, for a chart."""
        return f"{self.told.word} {self.brief or self.figure}".rstrip()


def most_telling(found: Iterable[Happening], most: int) -> tuple[Happening, ...]:
    """Return at most so many in order of time: by rank, of one rank the newest."""
    ranked = sorted(found, key=lambda event: (event.told.rank, -event.t_ms))
    return tuple(sorted(ranked[:most], key=lambda event: event.t_ms))


def death_event(death: Death | None) -> tuple[Happening, ...]:
    """Return the event of a run's death: one, or none if it ended in order."""
    if death is None or not death.cause.is_death:
        return ()
    return (Happening(death.t_ms, DEATH, 0, death.told, brief=death.cause.brief),)


def next_run(run: Run, runs: Iterable[Run]) -> Happening | None:
    """Return the beginning of the first run of the service after this one ended, if it did."""
    if run.running:
        return None
    same = runs.of_service(run.service) if isinstance(runs, Runs) else runs
    later = [
        other
        for other in same
        if other.begin_ms >= run.end_ms and other.service == run.service and other.path != run.path
    ]
    if not later:
        return None
    first = min(later, key=lambda other: (other.begin_ms, other.pid))
    return Happening(first.begin_ms, NEXT, first.pid, path=first.path)
