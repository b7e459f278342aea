"""What every source of runs offers: a catalogue of runs, a reader of one run, and actions on it.

Screens, commands, export, reports and analysis use these protocols alone. How runs are stored, and
what the text of a `RunId` means, is known to the source that gave them.

Threads: a `Source` may be used from all; a `RunCatalog` and a `RunReader` from one at a time.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pprofplus_tui.model.cursor import Reading
from pprofplus_tui.model.death import Death
from pprofplus_tui.model.events import RunEvent
from pprofplus_tui.model.points import Points, SeriesKey
from pprofplus_tui.model.runs import RunId
from pprofplus_tui.sources.port_values import (
    BUNDLE_SUFFIX,
    Access,
    BundleError,
    Header,
    NoRunError,
    PinError,
    RunArtefact,
    RunToPack,
    SampleBlock,
    Selection,
    SourceError,
)
from pprofplus_tui.sources.run_info import MetricRow, RunInfo

__all__ = [
    "BUNDLE_SUFFIX",
    "Access",
    "BundleError",
    "Header",
    "MetricRow",
    "NoRunError",
    "PinError",
    "RunArtefact",
    "RunCatalog",
    "RunId",
    "RunInfo",
    "RunReader",
    "RunToPack",
    "SampleBlock",
    "SampleBlocks",
    "Selection",
    "Source",
    "SourceError",
]


class SampleBlocks(Protocol):
    """All samples that a window of a run may hold, in order of time."""

    def __len__(self) -> int:
        """Return the number of blocks."""

    def __iter__(self) -> Iterator[Sequence[SampleBlock]]:
        """Yield blocks, a few at a time; a block may have samples outside of the window."""


class RunReader(Protocol):
    """Reads one run. It is up to date when it is opened, and again after each `refresh`."""

    @property
    def id(self) -> RunId:
        """What tells the run from others."""

    @property
    def service(self) -> str:
        """The name of its service."""

    @property
    def pid(self) -> int:
        """Its process."""

    @property
    def name(self) -> str:
        """What a user calls it: SERVICE/PID-START."""

    @property
    def start_ms(self) -> int:
        """When its process began to record, unix ms."""

    @property
    def begin_ms(self) -> int:
        """Unix ms of the first sample or event that is kept; its start if there is none."""

    @property
    def end_ms(self) -> int:
        """Unix ms of the last sample or event; its start if there is none."""

    @property
    def last_sample_ms(self) -> int:
        """Unix ms of the last sample; `end_ms` if there is none."""

    @property
    def interval_ms(self) -> int:
        """The sampling interval at the end."""

    @property
    def has_data(self) -> bool:
        """Whether any sample or event could be read."""

    @property
    def only_end(self) -> bool:
        """Whether only the end of the run is read: it was opened with `Access.END`."""

    @property
    def header(self) -> Header | None:
        """What it says about its process, None if that could not be read."""

    @property
    def metrics(self) -> tuple[MetricRow, ...]:
        """All its metrics, each once; where schemas differ the newest one decides."""

    @property
    def schemas(self) -> tuple[tuple[MetricRow, ...], ...]:
        """The metrics of each of its schemas, in the order in which they were read."""

    @property
    def sample_count(self) -> int:
        """How many samples could be read."""

    @property
    def size_bytes(self) -> int:
        """How large it is as stored."""

    @property
    def held_bytes(self) -> int:
        """About how much memory the reader holds."""

    @property
    def pinned(self) -> bool:
        """Whether retention leaves it alone."""

    @property
    def damaged_pages(self) -> int:
        """How many parts of its record were left out as damaged, so far."""

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each reason why something is missing that may exist; untrusted."""

    def refresh(self) -> bool:
        """Bring it up to date; return whether anything changed. Raises nothing."""

    def query(
        self,
        begin_ms: int,
        end_ms: int,
        buckets: int,
        keys: Sequence[SeriesKey],
        *,
        exact: bool = True,
    ) -> dict[SeriesKey, Points]:
        """Return the points of each series in [begin_ms, end_ms), unix ms, at most `buckets` each.

        With rate, a counter's increase per second since the sample before: no points for a metric
        that is no counter. Without, values as recorded. No points for a metric that the run lacks.

        A window of at most `buckets` samples gives the samples. A longer one is cut into buckets
        of equal width, as in `model.time_buckets`, and those with samples are points.
        `Points.breaks` is True after a gap: more than 3 sampling intervals and a second, and in
        buckets at least one empty one. The first point never breaks.

        Unless `exact`, an extreme may be a quarter of a bucket away from where it belongs; none
        is lost. Raises ValueError if `buckets` is less than 1.
        """

    def sample_at(self, at_ms: int, near_ms: int, keys: Iterable[SeriesKey]) -> Reading:
        """Return the sample nearest to `at_ms`, unix ms, with its values of these series.

        A sample that is farther away than `near_ms` and than a gap is none.
        """

    def end_samples(
        self, begin_ms: int, end_ms: int, keys: Iterable[SeriesKey]
    ) -> tuple[Reading, Reading] | None:
        """Return the first and the last sample in [begin_ms, end_ms); None without one."""

    def has_samples(self, begin_ms: int, end_ms: int) -> bool:
        """Tell whether there may be samples in [begin_ms, end_ms), without reading any."""

    def last_values(self) -> Mapping[str, int]:
        """Return the last sample's value of each metric, empty if there is no sample."""

    def events(
        self,
        begin_ms: int | None = None,
        end_ms: int | None = None,
        *,
        most: int | None = None,
        kinds: Collection[str] = (),
        exact: bool = True,
    ) -> tuple[RunEvent, ...]:
        """Return the events in [begin_ms, end_ms), unix ms, in order of time; None: no limit.

        Of more than `most`, those of the lowest rank are kept, and of one rank the newest. `kinds`
        are the kinds wanted, all if empty. Unless `exact`, only the newest of the parts that have
        events are searched: enough for a chart.
        """

    def samples(
        self, begin_ms: int, end_ms: int, metrics: Collection[str] | None = None
    ) -> SampleBlocks:
        """Return the samples in [begin_ms, end_ms), of these metrics; None: of all.

        The reader must have been opened with `Access.SAMPLES`.
        """

    def earlier(self) -> "RunReader | None":
        """Return a run of the service that began before and can be compared with this one.

        It lasted long enough to show what is usual. None if there is none.
        """

    def death(
        self, state: str, others: Iterable[RunInfo] = (), *, at_once: bool = False
    ) -> Death | None:
        """Return when and why it ended, with the evidence; None while it is running.

        Args:
            state: of the run, by its catalogue.
            others: all runs that there are; some may be witnesses. Read only if needed.
            at_once: take a millisecond at most the first time, and leave more to the next call.
        """

    def profiles(self) -> tuple[RunArtefact, ...]:
        """Return the profiles that were recorded with it, the oldest first.

        Raises NoRunError, OSError.
        """


class RunCatalog(Protocol):
    """The runs that there are. It starts empty: `refresh` looks.

    There may be 100,000 runs. Of most of those that ended only a summary is read; runs that a user
    sees are read in full.
    """

    @property
    def runs(self) -> tuple[RunInfo, ...]:
        """The runs found, by service, the newest first."""

    @property
    def infos(self) -> Mapping[RunId, RunInfo]:
        """The runs found; the mapping follows `refresh` and the other methods."""

    @property
    def running(self) -> Sequence[RunInfo]:
        """The runs whose processes are still there."""

    @property
    def services(self) -> tuple[str, ...]:
        """The services that have runs, selected or not."""

    @property
    def problems(self) -> tuple[str, ...]:
        """One line about each thing that could not be read; untrusted."""

    @property
    def unread(self) -> int:
        """How many runs were found but not read yet."""

    @property
    def read(self) -> int:
        """How many runs were read."""

    def find(self, run: RunId) -> RunInfo | None:
        """Return what is known of a run, None if there is none or it was not read yet."""

    def changes(self) -> dict[RunId, RunInfo | None]:
        """Return the runs that changed since the last call; None: the run is gone.

        Only here an ended run that was read in full has `last` and `recent`.
        """

    def refresh(
        self, sought: Collection[RunId] | None = None, until_s: float | None = None
    ) -> bool:
        """Look for what is new; return whether anything changed. Raises nothing.

        With `sought`, the runs in view, others are read in part and looked at less often. With
        `until_s`, a monotonic time, new runs are read until then; the rest stays `unread`.
        """

    def read_on(self, until_s: float) -> bool:
        """Read more of the `unread` runs until a monotonic time; return whether any changed."""

    def lacking(self, runs: Iterable[RunId]) -> list[RunId]:
        """Return those of the runs of which only a summary was read."""

    def complete(self, runs: Iterable[RunId], until_s: float) -> bool:
        """Read these runs in full until a monotonic time; return whether any was."""

    def unlisted(self, service: str | None) -> tuple[str, ...]:
        """Return the problems that may hide runs of a service, of any if it is None."""


class Source(Protocol):
    """A place that has runs."""

    @property
    def where(self) -> str:
        """Where it looks for runs, for a message."""

    def catalog(self, selection: Selection = ..., *, counting: bool = False) -> RunCatalog:
        """Return a catalogue of the runs selected.

        With `counting`, the samples of ended runs are counted where that is cheap; `count` counts
        the others.
        """

    def called(self, name: str) -> tuple[tuple[RunInfo, ...], tuple[str, ...]]:
        """Return (the runs that a user calls `name`, problems that may hide others).

        A name is SERVICE/PID or SERVICE/PID-START, which one run alone has.
        """

    def open(self, run: RunId, access: Access = Access.CHARTS) -> RunReader:
        """Return a reader of a run, refreshed. Raises NoRunError if there is none."""

    def name(self, run: RunId) -> str:
        """Return the name that only this run has: SERVICE/PID-START."""

    def location(self, run: RunId) -> str:
        """Return where a run is stored, for a user to read."""

    def count(self, info: RunInfo) -> RunInfo:
        """Return `info` with its samples and damaged parts counted."""

    def set_pinned(self, run: RunId, *, pinned: bool) -> None:
        """Pin a run, so that retention leaves it alone, or unpin it. Raises PinError."""

    def toggle_pinned(self, run: RunId) -> bool:
        """Pin a run, or unpin it if it is pinned; return whether it is pinned. Raises PinError."""

    def pack(self, runs: Iterable[RunToPack], path: str | Path) -> int:
        """Write runs to a new bundle at `path`, for a colleague; return its size in bytes.

        Of a live run it is what has been written by now. Raises FileExistsError, OutputError if
        the disk refuses it, BundleError.
        """
