"""The values that pass through the port of a source, and the errors that it raises."""

from dataclasses import dataclass
from enum import Enum, auto

from pprofplus.errors import PprofplusError
from pprofplus_tui.model.death import Cause
from pprofplus_tui.model.points import Ints
from pprofplus_tui.model.runs import RunId
from pprofplus_tui.sources.run_info import MetricRow

BUNDLE_SUFFIX = ".pplogs"  # of files that `Source.pack` writes


class NoRunError(PprofplusError):
    """The source has no run with this id, or not any more."""


class SourceError(PprofplusError):
    """The source cannot answer now, for example a server is down; the text is one line.

    Any method of a reader or catalogue that reads may raise it. Earlier results stay valid.
    """


class PinError(PprofplusError):
    """A run could not be pinned or unpinned; the text is one line with the reason."""


class BundleError(PprofplusError):
    """A bundle cannot be made or opened; the text is one line with the reason."""


class Access(Enum):
    """The purpose of a reader: a source reads and keeps no more than the purpose needs."""

    CHARTS = auto()  # queries of windows; a long run opens fast and takes little memory
    SAMPLES = auto()  # every sample and every event, for exports, reports and lists
    END = auto()  # queries of the last minutes


@dataclass(frozen=True)
class Selection:
    """Which runs a catalogue has.

    Attributes:
        service: only runs of this service, matched exactly; None: of all services.
        pids: only runs of these processes; empty: of all processes.
    """

    service: str | None = None
    pids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Header:
    """What is recorded about the process of a run; the texts are untrusted.

    Attributes:
        host: name of the machine that recorded it.
        argv: command line.
        python: version of Python.
        collector: version of pprofplus that recorded it.
    """

    host: str = ""
    argv: tuple[str, ...] = ()
    python: str = ""
    collector: str = ""


@dataclass(frozen=True)
class RunArtefact:
    """A file that was recorded with a run, such as a profile; its texts are untrusted.

    Attributes:
        name: identifies it among those of the run.
        kind: what it contains, such as "heap".
        unix_ms: when it was taken.
        why: what caused it, or "".
        suffix: of its name, such as "pb.gz".
        size_bytes: as stored.
    """

    name: str
    kind: str
    unix_ms: int
    why: str
    suffix: str
    size_bytes: int


@dataclass(frozen=True)
class RunToPack:
    """A run to pack, its current state, and the cause of its end if it ended."""

    id: RunId
    service: str
    pid: int
    state: str
    begin_ms: int
    end_ms: int
    cause: Cause | None = None


@dataclass(frozen=True, eq=False, slots=True)
class SampleBlock:
    """Consecutive samples that have the same metrics.

    Attributes:
        metrics: of the rows of `values`, in the schema's order.
        t_ms: unix ms, shape (n,); n is 0 if the block is damaged.
        values: as recorded, shape (len(metrics), n).
    """

    metrics: tuple[MetricRow, ...]
    t_ms: Ints
    values: Ints

    @property
    def damaged(self) -> bool:
        """Whether its samples could not be read."""
        return not len(self.t_ms)
