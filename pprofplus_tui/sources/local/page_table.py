"""The page index of a run: its pages as rows of numbers, on one time axis."""

from array import array
from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from pprofplus.log.format import RunHeader
from pprofplus.metrics import COUNTER
from pprofplus_tui.model.points import Bools, Ints
from pprofplus_tui.sources.local.column_lanes import assign_lanes
from pprofplus_tui.sources.local.page_blocks import NO_HEAD, PageBlocks
from pprofplus_tui.sources.local.page_index import PageHeads
from pprofplus_tui.sources.run_info import MetricRow

ABSENT, GAUGE_COLUMN, COUNTER_COLUMN = 0, 1, 2
_KINDS = 3
_ROW_DTYPE = np.dtype(
    [
        ("number", "i8"),
        ("segment", "i8"),
        ("slot", "i8"),
        ("schema", "i8"),
        ("head_crc", "i8"),
        ("samples", "i8"),
        ("events_bytes", "i8"),
        ("first_mono_ms", "i8"),
        ("last_mono_ms", "i8"),
        ("offset_ms", "i8"),
        ("end_offset_ms", "i8"),
        ("cap_ms", "i8"),  # the smallest offset of the pages that follow in another PageTable
        ("interval_ms", "i8"),
        ("pages", "i8"),
    ]
)
_INITIAL_ROWS = 16  # enough for the end of a run; there may be hundreds of such tables
_NO_CAP_MS = np.iinfo(np.int64).max
# A real run has fewer; a malicious log could otherwise exhaust the memory.
_MAX_VALUES = 1 << 24  # 400 MB; a month at 1 Hz has half a million
# Memory for schemas: some 100,000 names. A run that adds a gauge with each segment uses 10 MB of it
# when its log reaches the cap of 64 MiB with segments of two pages.
_MAX_SCHEMAS_BYTES = 64 << 20
_SPARE_SHARE = 4  # a quarter of it is kept free when the oldest schemas are dropped
_MAX_KINDS = 1024  # columns: more than charts request
_SCHEMA_BYTES, _METRIC_BYTES, _NAME_BYTES = 600, 24, 500


class PageTable:
    """Rows are data pages in order of time, columns the metrics of all schemas of the run.

    A row may also be a block: consecutive pages of a segment, of which only the combined values
    are known. It is used like one large page, but cannot be decoded.

    The time axis of a run is its monotonic clock, shifted to unix time by the last setting of the
    wall clock: unix time never goes back on it, and the order of samples never changes. If the wall
    clock was set back, the pages before are moved back by the same amount: the clock is assumed to
    have been wrong until then, so a run of 20 minutes stays a run of 20 minutes. If it was set
    forward, there is a gap: a suspended machine looks the same, and then the time did pass.
    Windows, exports, begin and end of a run use this axis. Before a step back, the wall clock
    showed a later time than the axis, by the size of the step, which is an event of the run.

    Each metric has a column, and its values are stored in a lane. Metrics that are never in one
    schema share a lane: a run whose gauges come and go has thousands of names, but at most 256 of
    them at once.

    Attributes:
        names: metrics in the order in which they were first seen.
        schemas: the headers with these; the `schema` of a row is an index into it.
        crcs: of each of these, by which pages refer to it.
        generation: changes when `names` or `schemas` change.
        epoch: changes when existing rows change their index, time or contents.
        count: number of rows.
        offset_ms: to add to a page's monotonic times, shape (count,), never decreasing.
        begin_ms, end_ms: unix ms of a page's first and last sample, shape (count,).
        before: the row with the sample before a page's first, -1 if missing, shape (count,).
        pages_before: number of pages in the rows before, shape (count,).
    """

    def __init__(self) -> None:
        self.count = 0
        self.epoch = 0
        self.generation = 0
        self._rows = np.zeros(_INITIAL_ROWS, _ROW_DTYPE)
        self._clear_schemas()
        self._retime()

    def _clear_schemas(self) -> None:
        self.names: list[str] = []
        self.schemas: list[RunHeader] = []
        self.crcs: list[int] = []
        self._schema_bytes = 0
        self._index: dict[str, int] = {}
        self._schema_index: dict[int, int] = {}
        self._metrics: dict[MetricRow, MetricRow] = {}  # each once, for all schemas that have it
        self._columns: list[Ints] = []  # per schema, the column of each of its metrics
        self._having: list[array[int]] = []  # per column, schema * _KINDS + kind of each schema
        self._kinds: dict[int, Ints] = {}  # by column, results of `kinds`
        self._lanes: Ints = np.zeros(0, np.int64)  # per column
        self._values = np.zeros((3, 0, len(self._rows)), np.int64)

    def like(self) -> "PageTable":
        """Return a table without rows and with the same metrics, valid until a metric is added."""
        result = PageTable()
        result.names, result.schemas, result.crcs = self.names, self.schemas, self.crcs
        result._index, result._schema_index = self._index, self._schema_index
        result._columns, result._having, result._lanes = self._columns, self._having, self._lanes
        result._kinds = self._kinds
        result._rows = np.zeros(0, _ROW_DTYPE)
        result._values = np.zeros((3, self._values.shape[1], 0), np.int64)
        return result

    def schema_index(self, schema: int) -> int | None:
        """Return the index of the schema with this CRC, None if no header had it."""
        return self._schema_index.get(schema)

    def add_schema(self, header: RunHeader, schema: int, *, keep_spare: bool = False) -> bool:
        """Add the schema of a header if it is new; return False if there is no memory for it.

        `schema` is its CRC, `header.schema`, which takes time to compute. With `keep_spare`, some
        memory is kept for later schemas. The header's metrics become those of the table, so that a
        name in a thousand headers is in memory once.
        """
        known = self._schema_index.get(schema)
        if known is not None:
            if self.schemas[known].metrics == header.metrics:
                header.metrics = self.schemas[known].metrics
            return True
        new = [name for name, _, _ in header.metrics if name not in self._index]
        size_bytes = _SCHEMA_BYTES + _METRIC_BYTES * len(header.metrics)
        size_bytes += sum(_NAME_BYTES + len(name) for name in new)
        most_bytes = _MAX_SCHEMAS_BYTES - keep_spare * _MAX_SCHEMAS_BYTES // _SPARE_SHARE
        if self.schemas and self._schema_bytes + size_bytes > most_bytes:
            return False
        self._schema_bytes += size_bytes
        header.metrics = tuple(self._metrics.setdefault(row, row) for row in header.metrics)
        self._schema_index[schema] = len(self.schemas)
        self.schemas.append(header)
        self.crcs.append(schema)
        for name in new:
            self._index[name] = len(self.names)
            self.names.append(name)
            self._having.append(array("q"))
        columns = np.array([self._index[name] for name, _, _ in header.metrics], np.int64)
        for column, (_, _, kind) in zip(columns.tolist(), header.metrics, strict=True):
            code = COUNTER_COLUMN if kind == COUNTER else GAUGE_COLUMN
            self._having[column].append(len(self._columns) * _KINDS + code)
        self._columns.append(columns)
        self._kinds.clear()
        self._make_room_for(columns)
        self.generation += 1
        return True

    def _make_room_for(self, columns: Ints) -> None:
        """Assign a lane to each column of a new schema, different from its other columns."""
        known, width = len(self._lanes), self._values.shape[1]
        lanes, wider = assign_lanes(self._lanes, columns, len(self.names) - known, width)
        if wider > width:
            values = np.zeros((3, wider, len(self._rows)), np.int64)
            values[:, :width] = self._values
            self._values = values
        for column in np.flatnonzero(lanes[:known] != self._lanes).tolist():
            self._values[:, lanes[column]] = self._values[:, self._lanes[column]]
        self._lanes = lanes

    def clear(self) -> None:
        """Remove all rows and all schemas."""
        self.count = 0
        self.epoch += 1
        self.generation += 1
        self._clear_schemas()
        self._retime()

    @property
    def max_rows(self) -> int:
        """The number of rows that fit into memory, with that many metrics."""
        return _MAX_VALUES // max(1, self._values.shape[1])

    def reserve(self, count: int) -> None:
        """Allocate memory for `count` rows at once, instead of by doubling."""
        short = count - len(self._rows)
        if short > 0:
            self._rows = np.concatenate((self._rows, np.zeros(short, _ROW_DTYPE)))
            larger = np.zeros((3, self._values.shape[1], count), np.int64)
            larger[:, :, : self.count] = self._values[:, :, : self.count]
            self._values = larger

    def append(self, segment: int | Ints, schema_index: int, heads: PageHeads) -> None:
        """Append pages of one schema; call `finish` when all are added.

        `segment` is that of all pages, or of each.
        """
        if not len(heads):
            return
        begin, end = self.count, self.count + len(heads)
        if end > len(self._rows):
            self.reserve(max(end, 2 * len(self._rows)))
        rows, fixed = self._rows[begin:end], heads.fixed
        for field in ("number", "head_crc", "samples", "events_bytes", "first_mono_ms"):
            rows[field] = fixed[field]
        rows["last_mono_ms"] = fixed["last_mono_ms"]
        rows["interval_ms"] = fixed["interval_ms"]
        if isinstance(heads, PageBlocks):
            rows["offset_ms"], rows["end_offset_ms"] = fixed["offset_ms"], fixed["end_offset_ms"]
            rows["pages"] = fixed["pages"]
        else:
            rows["offset_ms"] = fixed["first_unix_ms"] - fixed["first_mono_ms"]
            rows["end_offset_ms"] = rows["offset_ms"]
            rows["pages"] = 1
        rows["cap_ms"] = _NO_CAP_MS
        rows["segment"], rows["schema"], rows["slot"] = segment, schema_index, heads.slot
        lanes = self._lanes[self._columns[schema_index]]
        # If the run has one schema, its columns are in order, and a plain copy is enough.
        plain = len(lanes) == self._values.shape[1] and bool((np.diff(lanes) == 1).all())
        places: slice | Ints = slice(None) if plain else lanes
        for i in range(3):
            part = heads.values[:, i * len(lanes) : (i + 1) * len(lanes)].T
            self._values[i, places, begin:end] = part
        self.count = end

    def adopt(self, other: "PageTable", rows: Ints) -> None:
        """Append rows of another table with the same metrics; call `finish` afterwards."""
        end = self.count + len(rows)
        self.reserve(end)
        self._rows[self.count : end] = other.rows[rows]
        self._values[:, :, self.count : end] = other._values[:, :, rows]  # noqa: SLF001 - the same class
        self.count = end

    def truncate(self, count: int) -> None:
        """Remove all rows from `count` on."""
        self.count = min(self.count, count)

    def remove(self, rows: Bools) -> None:
        """Remove the rows in the mask of shape (count,)."""
        keep = np.flatnonzero(~rows)
        self._rows[: len(keep)] = self._rows[keep]
        self._values[:, :, : len(keep)] = self._values[:, :, keep]
        self.count = len(keep)
        self.epoch += 1
        self._retime()

    def repeated(self, begin: int) -> Ints:
        """Return the rows of pages, not blocks, whose page number occurs several times.

        Call it before `finish`; the rows from `begin` on are new, those before are in order.
        """
        number = self.rows["number"]
        new = number[max(begin - 1, 0) :]
        if (new[1:] > new[:-1]).all():
            return np.zeros(0, np.int64)
        order = np.argsort(number, kind="stable")
        same = np.diff(number[order]) == 0
        several = order[np.append(False, same) | np.append(same, False)]
        return np.sort(several[~self.blocks[several]])

    def finish(self) -> list[int]:
        """Sort the rows, drop those that contradict others; return the page numbers dropped."""
        number = self.rows["number"]
        if not (number[1:] > number[:-1]).all():
            self._order(number)
        dropped: list[int] = []
        first, last = self.rows["first_mono_ms"], self.rows["last_mono_ms"]
        if (first[1:] < last[:-1]).any():
            dropped += self._drop(_out_of_order(first, last))
        if self.count:
            # with such a clock the run would have begun before 1970
            begin_ms = self.rows["offset_ms"] + self.rows["first_mono_ms"][0]
            if (begin_ms < 0).any():
                dropped += self._drop(begin_ms < 0)
        self._retime()
        return dropped

    def _drop(self, rows: Bools) -> list[int]:
        numbers: list[int] = self.rows["number"][rows].tolist()
        self.remove(rows)
        return numbers

    def _order(self, number: Ints) -> None:
        """Sort the rows by page number; keep of each number the fullest version."""
        rows = self.rows
        order = np.lexsort((rows["events_bytes"], rows["samples"], number))
        ordered = number[order]
        last = np.ones(len(order), np.bool_)
        last[:-1] = ordered[1:] != ordered[:-1]
        keep = order[last]
        self._rows[: len(keep)] = rows[keep]
        self._values[:, :, : len(keep)] = self._values[:, :, keep]
        self.count = len(keep)
        self.epoch += 1

    def _retime(self) -> None:
        rows = self.rows
        # A wall clock set back moves the pages before it back, so that times never overlap;
        # a clock set forward, or a suspended machine, leaves a gap.
        capped_ms = np.minimum(rows["offset_ms"], rows["cap_ms"])
        self.offset_ms: Ints = np.minimum.accumulate(capped_ms[::-1])[::-1]
        self.begin_ms: Ints = rows["first_mono_ms"] + self.offset_ms
        end_offset_ms = np.minimum(rows["end_offset_ms"], rows["cap_ms"])
        np.minimum(end_offset_ms[:-1], self.offset_ms[1:], out=end_offset_ms[:-1])
        self.end_ms: Ints = rows["last_mono_ms"] + end_offset_ms
        self.end_offset_ms: Ints = end_offset_ms
        sampled = np.flatnonzero(rows["samples"] > 0)
        before = np.full(self.count, -1)
        number = rows["number"][sampled]
        pages_before = np.cumsum(rows["pages"]) - rows["pages"]
        self.pages_before: Ints = pages_before
        whole = np.diff(number) == np.diff(pages_before[sampled])
        before[sampled[1:]] = np.where(whole, sampled[:-1], -1)
        self.before: Ints = before

    @property
    def blocks(self) -> Bools:
        """Which rows are blocks, shape (count,)."""
        blocks: Bools = self.rows["head_crc"] == NO_HEAD
        return blocks

    @property
    def hidden(self) -> Bools:
        """Which rows cannot be decoded here: blocks, and pages after one, because of rates."""
        blocks = self.blocks
        return blocks | ((self.before >= 0) & blocks[self.before])

    @property
    def rows(self) -> npt.NDArray[np.void]:
        """Number, segment, slot and the other fields of each page, shape (count,)."""
        return self._rows[: self.count]

    def first(self, column: int) -> Ints:
        """Return each page's first value, shape (count,); undefined where the metric is absent."""
        return self._values[0, self._lanes[column], : self.count]

    def lo(self, column: int) -> Ints:
        """Return each page's smallest value, for a counter its smallest rate in 1/1000 per s.

        Undefined where the metric is absent according to `kinds`.
        """
        return self._values[1, self._lanes[column], : self.count]

    def hi(self, column: int) -> Ints:
        """Return each page's largest value, for a counter its largest rate in 1/1000 per s.

        Undefined where the metric is absent according to `kinds`.
        """
        return self._values[2, self._lanes[column], : self.count]

    def column(self, name: str) -> int | None:
        """Return the column of a metric, None if the run has none with that name."""
        return self._index.get(name)

    def kinds(self, column: int) -> Ints:
        """Return for each schema ABSENT, GAUGE_COLUMN or COUNTER_COLUMN."""
        kinds = self._kinds.get(column)
        if kinds is None:
            having = np.frombuffer(self._having[column], np.int64)
            kinds = np.full(len(self.schemas), ABSENT)
            kinds[having // _KINDS] = having % _KINDS
            if len(self._kinds) >= _MAX_KINDS:
                self._kinds.clear()
            self._kinds[column] = kinds
        return kinds

    def own_columns(self, schema_index: int) -> Ints:
        """Return the index within the schema of each column of the table, -1 if absent."""
        columns = self._columns[schema_index]
        own = np.full(len(self.names), -1)
        own[columns] = np.arange(len(columns))
        return own


def _out_of_order(first: Ints, last: Ints) -> Bools:
    """Return the smallest set of pages to remove so that monotonic time never goes back."""
    ends: list[int] = []  # the earliest end of any chain of 1, 2, … pages in order
    tops: list[int] = []  # the last page of that chain
    before: list[int] = []
    for page, (begin, end) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        length = bisect_right(ends, begin)
        before.append(tops[length - 1] if length else -1)
        if length == len(ends):
            ends.append(end)
            tops.append(page)
        elif end < ends[length]:
            ends[length], tops[length] = end, page
    out = np.ones(len(first), np.bool_)
    page = tops[-1] if tops else -1
    while page >= 0:
        out[page] = False
        page = before[page]
    return out
