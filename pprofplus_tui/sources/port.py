"""The interface of a source of runs: a catalogue of runs, a reader of one run, actions on it.

Screens, commands, export, reports and analysis use only these protocols. Only the source itself
depends on how runs are stored and on the text of a `RunId`.

Threads: all may use a `Source`; only one at a time may use a `RunCatalog` or a `RunReader`.
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
    """The samples of a window of a run, in blocks, in order of time."""

    def __len__(self) -> int:
        """Return the number of blocks."""

    def __iter__(self) -> Iterator[Sequence[SampleBlock]]:
        """Yield a few blocks at a time; a block may have samples outside the window."""


class RunReader(Protocol):
    """Reads one run, in its state at the opening or at the last `refresh`."""

    @property
    def id(self) -> RunId:
        """The identifier of the run."""

    @property
    def service(self) -> str:
        """The name of its service."""

    @property
    def pid(self) -> int:
        """The pid of its process."""

    @property
    def name(self) -> str:
        """The name shown to a user: SERVICE/PID-START."""

    @property
    def start_ms(self) -> int:
        """When the recording started, unix ms."""

    @property
    def begin_ms(self) -> int:
        """Unix ms of the first stored sample or event; `start_ms` if there is none."""

    @property
    def end_ms(self) -> int:
        """Unix ms of the last sample or event; `start_ms` if there is none."""

    @property
    def last_sample_ms(self) -> int:
        """Unix ms of the last sample; `end_ms` if there is none."""

    @property
    def interval_ms(self) -> int:
        """The latest sampling interval."""

    @property
    def has_data(self) -> bool:
        """Whether any sample or event could be read."""

    @property
    def only_end(self) -> bool:
        """Whether only the end of the run is read: it was opened with `Access.END`."""

    @property
    def header(self) -> Header | None:
        """What is recorded about its process, None if that could not be read."""

    @property
    def metrics(self) -> tuple[MetricRow, ...]:
        """All its metrics, each once; if schemas differ, as in the newest one."""

    @property
    def schemas(self) -> tuple[tuple[MetricRow, ...], ...]:
        """The metrics of each of its schemas, in the order in which they were read."""

    @property
    def sample_count(self) -> int:
        """The number of readable samples."""

    @property
    def size_bytes(self) -> int:
        """The stored size."""

    @property
    def held_bytes(self) -> int:
        """The approximate memory of the reader."""

    @property
    def pinned(self) -> bool:
        """Whether it is pinned: retention does not remove it."""

    @property
    def damaged_pages(self) -> int:
        """The number of damaged pages that were skipped so far."""

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each reason why data may be missing; untrusted."""

    def refresh(self) -> bool:
        """Read new data; return whether anything changed. Raises nothing."""

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

        For a rate the values are a counter's increase per second since the previous sample: no
        points for a metric that is not a counter. Otherwise they are the recorded values. No
        points for a metric that the run lacks.

        For a window of at most `buckets` samples the points are the samples. A longer window is
        divided into buckets of equal width, as in `model.time_buckets`; a bucket with samples is
        a point.
        `Points.breaks` is True after a gap, which is longer than 3 sampling intervals and a second,
        and for buckets contains an empty bucket. It is False for the first point.

        Unless `exact`, an extreme may be misplaced by a quarter of a bucket; none is lost. Raises
        ValueError if `buckets` is less than 1.
        """

    def sample_at(self, at_ms: int, near_ms: int, keys: Iterable[SeriesKey]) -> Reading:
        """Return the sample nearest to `at_ms`, unix ms, with its values of these series.

        The reading is empty if that sample is farther away than `near_ms` and than a gap.
        """

    def end_samples(
        self, begin_ms: int, end_ms: int, keys: Iterable[SeriesKey]
    ) -> tuple[Reading, Reading] | None:
        """Return the first and the last sample in [begin_ms, end_ms); None without one."""

    def has_samples(self, begin_ms: int, end_ms: int) -> bool:
        """Return whether there may be samples in [begin_ms, end_ms), without reading any."""

    def last_values(self) -> Mapping[str, int]:
        """Return the last sample's value of each metric, empty if there is no sample."""

    def events(
        self,
        begin_ms: int | None = None,
        end_ms: int | None = None,
        *,
        limit: int | None = None,
        kinds: Collection[str] = (),
        exact: bool = True,
    ) -> tuple[RunEvent, ...]:
        """Return the events in [begin_ms, end_ms), unix ms, in order of time; None: all.

        If there are more than `limit`, those of the lowest rank are kept, within a rank the newest.
        `kinds` are the kinds to return, all if empty. Unless `exact`, only the newest pages with
        events are searched, which is enough for a chart.
        """

    def samples(
        self, begin_ms: int, end_ms: int, metrics: Collection[str] | None = None
    ) -> SampleBlocks:
        """Return the samples in [begin_ms, end_ms), of these metrics; None: of all.

        The reader must have been opened with `Access.SAMPLES`.
        """

    def earlier(self) -> "RunReader | None":
        """Return an earlier run of the service that can be compared with this one.

        It lasted long enough to show what is usual. None if there is no such run.
        """

    def death(
        self, state: str, others: Iterable[RunInfo] = (), *, at_once: bool = False
    ) -> Death | None:
        """Return when and why the run ended, with the evidence; None while it is running.

        Args:
            state: the state of the run in the catalogue.
            others: all runs; some may have evidence. Iterated only if needed.
            at_once: the first call takes a millisecond at most; later calls find the rest.
        """

    def profiles(self) -> tuple[RunArtefact, ...]:
        """Return the profiles recorded with the run, the oldest first.

        Raises NoRunError, OSError.
        """


class RunCatalog(Protocol):
    """The runs of a source. It is empty until the first `refresh`.

    There may be 100,000 runs. For most ended runs only a summary is read; runs that a user sees
    are read in full.
    """

    @property
    def runs(self) -> tuple[RunInfo, ...]:
        """The runs found, sorted by service, then the newest first."""

    @property
    def infos(self) -> Mapping[RunId, RunInfo]:
        """The runs found by id; the mapping is live: other methods change it."""

    @property
    def running(self) -> Sequence[RunInfo]:
        """The runs that have not ended."""

    @property
    def services(self) -> tuple[str, ...]:
        """The services that have runs, including runs that are not selected."""

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each read problem; untrusted."""

    @property
    def unread(self) -> int:
        """The number of runs that were found but not read yet."""

    @property
    def read(self) -> int:
        """The number of runs that were read."""

    def find(self, run: RunId) -> RunInfo | None:
        """Return a run, None if it does not exist or was not read yet."""

    def changes(self) -> dict[RunId, RunInfo | None]:
        """Return the runs that changed since the last call; None: the run is gone.

        Only these values of ended runs that were read in full have `last` and `recent`.
        """

    def refresh(
        self, in_view: Collection[RunId] | None = None, until_s: float | None = None
    ) -> bool:
        """Find new and changed runs; return whether anything changed. Raises nothing.

        `in_view` are the runs that a user sees; None: all are checked and read in full. Other
        runs are checked less often, and only their summaries are read. New runs are read until
        `until_s`, a monotonic time; the rest stays `unread`.
        """

    def read_unread(self, until_s: float) -> bool:
        """Read `unread` runs until a monotonic time; return whether any changed."""

    def incomplete(self, runs: Iterable[RunId]) -> list[RunId]:
        """Return the runs for which only a summary was read."""

    def complete(self, runs: Iterable[RunId], until_s: float) -> bool:
        """Read these runs in full until a monotonic time; return whether any was read."""

    def hiding_problems(self, service: str | None) -> tuple[str, ...]:
        """Return the problems that may hide runs of a service; None: of any service."""


class Source(Protocol):
    """A source of runs."""

    @property
    def where(self) -> str:
        """Where it searches for runs, for messages."""

    def catalog(self, selection: Selection = ..., *, counting: bool = False) -> RunCatalog:
        """Return a catalogue of the selected runs.

        With `counting`, samples of ended runs are counted if that is cheap; for other runs call
        `count`.
        """

    def find_by_name(self, name: str) -> tuple[tuple[RunInfo, ...], tuple[str, ...]]:
        """Return (the runs with this name, problems that may hide others).

        A name is SERVICE/PID, or SERVICE/PID-START, which is unique.
        """

    def open(self, run: RunId, access: Access = Access.CHARTS) -> RunReader:
        """Return a refreshed reader of a run. Raises NoRunError if the run does not exist."""

    def name(self, run: RunId) -> str:
        """Return the unique name of a run: SERVICE/PID-START."""

    def location(self, run: RunId) -> str:
        """Return where a run is stored, for messages."""

    def count(self, info: RunInfo) -> RunInfo:
        """Return `info` with its samples and damaged pages counted."""

    def set_pinned(self, run: RunId, *, pinned: bool) -> None:
        """Pin a run, so that retention does not remove it, or unpin it. Raises PinError."""

    def toggle_pinned(self, run: RunId) -> bool:
        """Pin a run, or unpin it if it is pinned; return whether it is now. Raises PinError."""

    def pack(self, runs: Iterable[RunToPack], path: str | Path) -> int:
        """Write runs to a new bundle at `path`; return its size in bytes.

        A live run is packed as stored now. Raises FileExistsError, BundleError, and OutputError
        if the file cannot be written.
        """
