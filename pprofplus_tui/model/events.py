"""The events of a run: the table of their kinds, letters and texts."""

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
from pprofplus_tui.model.runs import Run, RunId, Runs
from pprofplus_tui.model.units import format_span_ms

CLOCK, NEXT, DEATH, UNWATCHED = "clock", "next", "death", "unwatched"
MARKED = EVENT_KINDS[MARK]


@dataclass(frozen=True)
class Kind:
    """A kind of event.

    Attributes:
        word: its name; the first letter, a capital that no other kind has, is shown where there
            is no room for the word.
        meaning: an explanation for the help.
        style: of its line and its word.
        rank: if there are too many to show, kinds of a lower rank are kept first.
    """

    word: str
    meaning: str
    style: str = "event"
    rank: int = 1


KINDS: dict[str, Kind] = {
    MARKED: Kind("Mark", "a mark that the service set", "mark", 0),
    EVENT_KINDS[LOST]: Kind("Lost", "samples that could not be written", "lost", 0),
    EVENT_KINDS[START]: Kind("Start", "sampling began"),
    EVENT_KINDS[STOP]: Kind("End", "the process ended normally, or stopped recording"),
    EVENT_KINDS[PAUSE]: Kind("Pause", "sampling was paused"),
    EVENT_KINDS[RESUME]: Kind("Resume", "sampling was resumed"),
    EVENT_KINDS[FORK]: Kind("Fork", "another process forked this one"),
    EVENT_KINDS[INTERVAL]: Kind("Interval", "the sampling interval changed"),
    CLOCK: Kind("Clock", "the wall clock was set, or the machine was suspended"),
    NEXT: Kind("Next", "the next run of this service began", "accent"),
    DEATH: Kind("Died", "the last sample of a process that did not end normally", "lost", 0),
    UNWATCHED: Kind("Unwatched", "pprofplus watch ended; the process continued"),
}
_OTHER = Kind("?", "an event of a later version", rank=2)


@dataclass(frozen=True)
class RunEvent:
    """One event of a run.

    Attributes:
        t_ms: unix milliseconds on the run's time axis.
        kind: one of KINDS, or the name of a later version's kind.
        value: depends on the kind: samples lost, microseconds, a pid, milliseconds of a step.
        text: untrusted; clean it before it is shown.
        run: the run that began, None for all other kinds.
        brief: one or two words for a chart, or "".
    """

    t_ms: int
    kind: str
    value: int = 0
    text: str = ""
    run: RunId | None = None
    brief: str = ""

    @property
    def description(self) -> Kind:
        """Its row of the table of kinds."""
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
        """Its word and figure, for a chart."""
        return f"{self.description.word} {self.brief or self.figure}".rstrip()


def most_important(found: Iterable[RunEvent], most: int) -> tuple[RunEvent, ...]:
    """Return at most `most` events in order of time: by rank, within a rank the newest."""
    ranked = sorted(found, key=lambda event: (event.description.rank, -event.t_ms))
    return tuple(sorted(ranked[:most], key=lambda event: event.t_ms))


def death_event(death: Death | None) -> tuple[RunEvent, ...]:
    """Return the event of a run's death: one, or none if it ended normally."""
    if death is None or not death.cause.is_death:
        return ()
    return (RunEvent(death.t_ms, DEATH, 0, death.details, brief=death.cause.brief),)


def next_run(run: Run, runs: Iterable[Run]) -> RunEvent | None:
    """Return the begin of the service's next run after this one ended, None if there is none."""
    if run.running:
        return None
    same = runs.of_service(run.service) if isinstance(runs, Runs) else runs
    later = [
        other
        for other in same
        if other.begin_ms >= run.end_ms and other.service == run.service and other.id != run.id
    ]
    if not later:
        return None
    first = min(later, key=lambda other: (other.begin_ms, other.pid))
    return RunEvent(first.begin_ms, NEXT, first.pid, run=first.id)


def end_events(run: Run, runs: Iterable[Run], death: Death | None) -> tuple[RunEvent, ...]:
    """Return the events that a run's own log does not hold: its death, and the next run's start."""
    following = next_run(run, runs)
    return death_event(death) + ((following,) if following is not None else ())
