"""The events of a run: their kinds, declared once, and how each is shown."""

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
        word: its name; where there is no room, its first letter alone, which no other kind has.
        meaning: what it means, for the help page and the list of events.
        style: style of its line and its word.
        rank: if there are too many events to show, those of a lower rank are kept first.
    """

    word: str
    meaning: str
    style: str = "event"
    rank: int = 1


KINDS: dict[str, Kind] = {
    MARKED: Kind("Mark", "a mark that the service set", "mark", 0),
    EVENT_KINDS[LOST]: Kind("Lost", "samples that could not be written", "lost", 0),
    EVENT_KINDS[START]: Kind("Start", "sampling began"),
    EVENT_KINDS[STOP]: Kind("End", "the process exited normally, or stopped recording"),
    EVENT_KINDS[PAUSE]: Kind("Pause", "sampling was paused"),
    EVENT_KINDS[RESUME]: Kind("Resume", "sampling was resumed"),
    EVENT_KINDS[FORK]: Kind("Fork", "another process forked this one"),
    EVENT_KINDS[INTERVAL]: Kind("Interval", "the sampling interval was changed"),
    CLOCK: Kind("Clock", "the wall clock was set, or the machine slept"),
    NEXT: Kind("Next", "the next run of this service began", "accent"),
    DEATH: Kind("Died", "the last sample of a process that did not exit normally", "lost", 0),
    UNWATCHED: Kind("Unwatched", "pprofplus watch ended; the process continued"),
}
_OTHER = Kind("?", "an event of a later version", rank=2)


@dataclass(frozen=True)
class Happening:
    """One event of a run.

    Attributes:
        t_ms: unix milliseconds on the run's time axis.
        kind: one of KINDS, or what a later version calls it.
        value: depends on the kind: samples lost, microseconds, a pid, milliseconds of a step.
        text: untrusted; clean it before it is shown.
        path: path of the run that began, or "".
        brief: one or two words for a chart, or "".
    """

    t_ms: int
    kind: str
    value: int = 0
    text: str = ""
    path: str = ""
    brief: str = ""

    @property
    def told(self) -> Kind:
        """Its kind; a kind of a later version is "?"."""
        return KINDS.get(self.kind, _OTHER)

    @property
    def figure(self) -> str:
        """Its value as text, "" if the kind has none."""
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
        """Its word and value, for a chart."""
        return f"{self.told.word} {self.brief or self.figure}".rstrip()


def most_telling(found: Iterable[Happening], most: int) -> tuple[Happening, ...]:
    """Return at most `most` events in order of time: those of the lowest rank, then the newest."""
    ranked = sorted(found, key=lambda event: (event.told.rank, -event.t_ms))
    return tuple(sorted(ranked[:most], key=lambda event: event.t_ms))


def death_event(death: Death | None) -> tuple[Happening, ...]:
    """Return the event of a run's death: one, or none if it exited normally."""
    if death is None or not death.cause.is_death:
        return ()
    return (Happening(death.t_ms, DEATH, 0, death.told, brief=death.cause.brief),)


def next_run(run: Run, runs: Iterable[Run]) -> Happening | None:
    """Return the start of the service's next run; None while this one is running."""
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


def end_events(run: Run, runs: Iterable[Run], death: Death | None) -> tuple[Happening, ...]:
    """Return the events that a run's own log does not hold: its death, and the next run's start."""
    following = next_run(run, runs)
    return death_event(death) + ((following,) if following is not None else ())
