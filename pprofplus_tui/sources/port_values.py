"""The values that pass through the port of a source, and the errors that it raises."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

import numpy as np

from pprofplus.errors import PprofplusError
from pprofplus_tui.model.death import Cause
from pprofplus_tui.model.points import Floats, Ints
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


class StackFrame(NamedTuple):
    """A line of a function; its texts are untrusted.

    Attributes:
        name: "module.qualname".
        file: of its source, as the interpreter has it.
        first_line: of the function; 0 if unknown.
        line: that ran; 0 if unknown.
    """

    name: str
    file: str
    first_line: int
    line: int


class StackThread(NamedTuple):
    """A thread: the kernel's identifier, and its name, which is untrusted; (0, "") for others."""

    native_id: int
    name: str


@dataclass(frozen=True, eq=False)
class StackWindow:
    """What the threads of a run did in a window, from its stored stacks.

    A row is a thread with a stack in a state. Stacks form a tree: a stack is a frame and its
    callers, which are another stack.

    Attributes:
        frames: each once.
        frame_of: index of each stack's last frame; shape (stacks,).
        parent_of: index of the stack of its callers, -1 for none; always less than the index of
            the stack itself; shape (stacks,).
        threads: each once.
        states: names of the states, such as "running" or "lock".
        thread: index of the thread of each row; shape (n,).
        stack: index of the stack of each row; -1 if it is unknown, or for CPU time that was used
            between ticks; shape (n,).
        state: index of the state of each row; shape (n,).
        ticks: how many ticks found it, without the biased ones; shape (n,).
        biased_ticks: how many biased ticks found it: those at moments that the interpreter chose;
            shape (n,).
        wall_ms: estimated time; from biased ticks if there are no others; shape (n,).
        cpu_ms: CPU time; that of each thread is exact, and how it is divided among the rows of a
            thread an estimate; shape (n,).
        total_ticks: ticks in the window, without the biased ones.
        total_biased_ticks: biased ticks in the window.
        covered_ms: how much of the window has stacks.
        lost_ticks: ticks that could not be written.
        missed_ticks: ticks that could not be taken.
        problems: one line for each reason why stacks may be missing; untrusted.
    """

    frames: tuple[StackFrame, ...]
    frame_of: Ints
    parent_of: Ints
    threads: tuple[StackThread, ...]
    states: tuple[str, ...]
    thread: Ints
    stack: Ints
    state: Ints
    ticks: Ints
    biased_ticks: Ints
    wall_ms: Floats
    cpu_ms: Floats
    total_ticks: int
    total_biased_ticks: int
    covered_ms: int
    lost_ticks: int
    missed_ticks: int
    problems: tuple[str, ...] = ()

    @classmethod
    def empty(cls) -> "StackWindow":
        """A window of which no stacks are stored."""
        ints, floats = np.zeros(0, np.int64), np.zeros(0)
        columns = (ints, ints, ints, ints, ints, floats, floats)
        return cls((), ints, ints, (), (), *columns, 0, 0, 0, 0, 0)

    @property
    def biased(self) -> bool:
        """Whether all its ticks are biased: shares of time of running threads are unreliable."""
        return not self.total_ticks

    def frames_of(self, stack: int) -> tuple[StackFrame, ...]:
        """Return the frames of a stack, the outermost first; none for -1."""
        found = []
        while stack >= 0:
            found.append(self.frames[self.frame_of[stack]])
            stack = int(self.parent_of[stack])
        return tuple(reversed(found))
