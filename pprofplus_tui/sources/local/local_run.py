"""A reader of one run of the local source: the log of the run and queries on it."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from pprofplus_tui.model.cursor import Reading
from pprofplus_tui.model.death import Death
from pprofplus_tui.model.events import RunEvent
from pprofplus_tui.model.points import Ints, Points, SeriesKey
from pprofplus_tui.model.runs import RunId
from pprofplus_tui.sources.local.artefacts import run_artefacts
from pprofplus_tui.sources.local.cgroup_siblings import Sibling
from pprofplus_tui.sources.local.death_evidence import CauseFinder
from pprofplus_tui.sources.local.earlier_run import earlier_run
from pprofplus_tui.sources.local.event_search import search_events
from pprofplus_tui.sources.local.kernel_log import KernelLog
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.sample_at import read_at, read_ends
from pprofplus_tui.sources.local.sample_rows import batches, page_blocks
from pprofplus_tui.sources.local.window_query import query, rows_within
from pprofplus_tui.sources.port import Header, NoRunError, RunArtefact, SampleBlock
from pprofplus_tui.sources.run_info import MetricRow, RunInfo

_ROW_BYTES = 1536  # per page, in the page table and in the caches


class LocalRun:
    """Reads a run from its run directory. See `sources.port.RunReader`."""

    def __init__(self, log: RunLog, kernel: KernelLog | None = None) -> None:
        """Make a reader of a refreshed log; `kernel` has evidence of why the process ended."""
        self._log = log
        self._kernel = kernel
        self._causes: CauseFinder | None = None

    @property
    def id(self) -> RunId:
        """See the port; here it is the path of the run directory."""
        return RunId(self._log.path)

    @property
    def service(self) -> str:
        """See the port."""
        return self._log.service

    @property
    def pid(self) -> int:
        """See the port."""
        return self._log.pid

    @property
    def name(self) -> str:
        """See the port."""
        return self._log.name

    @property
    def start_ms(self) -> int:
        """See the port."""
        return self._log.start_ms

    @property
    def begin_ms(self) -> int:
        """See the port."""
        return self._log.begin_ms

    @property
    def end_ms(self) -> int:
        """See the port."""
        return self._log.end_ms

    @property
    def last_sample_ms(self) -> int:
        """See the port."""
        return self._log.last_sample_ms

    @property
    def interval_ms(self) -> int:
        """See the port."""
        return self._log.interval_ms

    @property
    def has_data(self) -> bool:
        """See the port."""
        return bool(self._log.table.count)

    @property
    def only_end(self) -> bool:
        """See the port."""
        return self._log.only_end

    @property
    def header(self) -> Header | None:
        """See the port."""
        found = self._log.header
        if found is None:
            return None
        return Header(found.host, found.argv, found.python, found.collector)

    @property
    def metrics(self) -> tuple[MetricRow, ...]:
        """See the port."""
        return self._log.metrics

    @property
    def schemas(self) -> tuple[tuple[MetricRow, ...], ...]:
        """See the port."""
        return tuple(schema.metrics for schema in self._log.table.schemas)

    @property
    def sample_count(self) -> int:
        """See the port."""
        return self._log.samples

    @property
    def size_bytes(self) -> int:
        """See the port."""
        return self._log.size_bytes

    @property
    def held_bytes(self) -> int:
        """See the port."""
        return self._log.table.count * _ROW_BYTES

    @property
    def pinned(self) -> bool:
        """See the port."""
        return self._log.pinned

    @property
    def damaged_pages(self) -> int:
        """See the port."""
        return self._log.damaged_pages

    @property
    def problems(self) -> tuple[str, ...]:
        """See the port."""
        return self._log.problems

    def refresh(self) -> bool:
        """See the port."""
        return self._log.refresh()

    def query(
        self,
        begin_ms: int,
        end_ms: int,
        buckets: int,
        keys: Sequence[SeriesKey],
        *,
        exact: bool = True,
    ) -> dict[SeriesKey, Points]:
        """See the port."""
        return query(self._log, begin_ms, end_ms, buckets, keys, exact=exact)

    def sample_at(self, at_ms: int, near_ms: int, keys: Iterable[SeriesKey]) -> Reading:
        """See the port."""
        return read_at(self._log, at_ms, near_ms, keys)

    def end_samples(
        self, begin_ms: int, end_ms: int, keys: Iterable[SeriesKey]
    ) -> tuple[Reading, Reading] | None:
        """See the port."""
        return read_ends(self._log, begin_ms, end_ms, keys)

    def has_samples(self, begin_ms: int, end_ms: int) -> bool:
        """See the port."""
        return bool(len(rows_within(self._log.table, begin_ms, end_ms)))

    def last_values(self) -> Mapping[str, int]:
        """See the port."""
        return self._log.last()

    def events(
        self,
        begin_ms: int | None = None,
        end_ms: int | None = None,
        *,
        limit: int | None = None,
        kinds: Collection[str] = (),
        exact: bool = True,
    ) -> tuple[RunEvent, ...]:
        """See the port."""
        return search_events(self._log, begin_ms, end_ms, most=limit, kinds=kinds, exact=exact)

    def samples(
        self, begin_ms: int, end_ms: int, metrics: Collection[str] | None = None
    ) -> "PageSamples":
        """See the port."""
        rows = rows_within(self._log.table, begin_ms, end_ms)
        return PageSamples(self._log, rows, metrics)

    def earlier(self) -> "LocalRun | None":
        """See the port."""
        found = earlier_run(self._log)
        return None if found is None else LocalRun(found, self._kernel)

    def death(
        self, state: str, others: Iterable[RunInfo] = (), *, at_once: bool = False
    ) -> Death | None:
        """See the port."""
        if self._causes is None:
            self._causes = CauseFinder(self._kernel)
        return self._causes.death_of(self._log, state, map(Sibling.of, others), at_once=at_once)

    def profiles(self) -> tuple[RunArtefact, ...]:
        """See the port."""
        try:
            return run_artefacts(self._log.path)
        except FileNotFoundError as error:
            raise NoRunError(f"{self._log.path}: the run does not exist any more") from error


class PageSamples:
    """The samples in pages of a log; a block is a page. See `sources.port.SampleBlocks`."""

    def __init__(self, log: RunLog, rows: Ints, metrics: Collection[str] | None) -> None:
        self._log = log
        self._rows = rows
        self._metrics = metrics

    def __len__(self) -> int:
        """Return the number of pages."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Sequence[SampleBlock]]:
        """Yield the pages in the batches in which they are read."""
        for batch in batches(self._log, self._rows):
            yield page_blocks(self._log, batch, self._metrics)
