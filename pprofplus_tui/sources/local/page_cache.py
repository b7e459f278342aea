"""A cache of decoded pages, and the rates of counters."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from pprofplus.log.format import rate_milli
from pprofplus_tui.model.points import Bools, Ints
from pprofplus_tui.sources.local.decode import PageBatch
from pprofplus_tui.sources.local.page_store import PageStore
from pprofplus_tui.sources.local.page_table import ABSENT, PageTable

_BATCH_STREAMS = 256  # keeps the decoder's temporary arrays within the processor's cache
_CACHE_BYTES = 8 << 20
_PAGE_OVERHEAD_BYTES = 600
_EXACT_DELTA = 9_000_000_000_000  # multiplied by a million, it fits into 64 bits


class PagesLostError(Exception):
    """Pages are damaged or missing and were removed from the table: repeat the query."""


class _DecodedPage:
    """The decoded columns of a page."""

    __slots__ = ("columns", "head_crc", "mono_ms", "size_bytes")

    def __init__(self, head_crc: int, mono_ms: Ints) -> None:
        self.head_crc = head_crc
        self.mono_ms = mono_ms
        self.columns: dict[int, Ints] = {}
        self.size_bytes = mono_ms.nbytes + _PAGE_OVERHEAD_BYTES


class _CacheEntries:
    """Pages by number, the most recently used last, and their total size."""

    def __init__(self) -> None:
        self.pages: OrderedDict[int, _DecodedPage] = OrderedDict()
        self.size_bytes = 0


class PageCache:
    """Decoded columns of the most recently used pages of a run, limited in bytes."""

    def __init__(self, source: PageStore, shared: "PageCache | None" = None) -> None:
        """Make a cache of the pages of a table; with `shared`, it uses that cache's entries."""
        self._source = source
        self._entries = _CacheEntries()
        if shared is not None:
            self._entries = shared._entries

    def clear(self) -> None:
        """Drop all pages, because the columns of the table have changed."""
        self._entries = _CacheEntries()

    def decode(self, wanted: Iterable[tuple[int, int | None]]) -> "Decoded":
        """Decode these (row, column) pairs unless they are cached; column None: times alone.

        Columns are those of the run's table; a pair whose page lacks the metric is ignored. The
        result stays valid when the cache evicts its pages. Raises PagesLostError.
        """
        table = self._source.table
        by_row: dict[int, set[int]] = {}
        for row, column in wanted:
            columns = by_row.setdefault(row, set())
            if column is not None:
                columns.add(column)
        rows = sorted(by_row)
        numbers = table.rows["number"][rows].tolist()
        crcs = table.rows["head_crc"][rows].tolist()
        pages: dict[int, _DecodedPage] = {}
        missing: dict[int, list[int]] = {}
        for row, number, crc in zip(rows, numbers, crcs, strict=True):
            page = self._entries.pages.get(number)
            if page is None or page.head_crc != crc:
                missing[row] = sorted(by_row[row])
                continue
            self._entries.pages.move_to_end(number)
            pages[row] = page
            absent = by_row[row] - page.columns.keys()
            if absent:
                missing[row] = sorted(absent)
        lost: list[int] = []
        for some in _batches(missing, table):
            lost += self._decode(some, missing, pages)
        if lost:
            self._source.exclude(lost)
            raise PagesLostError
        self._evict()
        return Decoded(table, pages)

    def _decode(
        self, rows: list[int], missing: dict[int, list[int]], pages: dict[int, _DecodedPage]
    ) -> list[int]:
        """Decode columns of pages of one schema into `pages`; return the rows that are bad."""
        table = self._source.table
        found = self._source.read_pages(np.array(rows))
        lost = [row for row, page in zip(rows, found, strict=True) if page is None]
        whole = [(row, page) for row, page in zip(rows, found, strict=True) if page is not None]
        if not whole:
            return lost
        schema = int(table.rows["schema"][rows[0]])
        own = table.own_columns(schema)
        batch = PageBatch([page for _, page in whole], len(table.schemas[schema].metrics))
        counts = batch.fixed["samples"].tolist()
        times, bad_pages = batch.times()
        requested = [
            (i, column)
            for i, (row, _) in enumerate(whole)
            for column in missing[row]
            if own[column] >= 0
        ]
        of_page = np.array([i for i, _ in requested], np.int64)
        of_column = np.array([column for _, column in requested], np.int64)
        values, bad_streams = batch.columns(of_page, own[of_column])
        bad_pages[of_page[bad_streams]] = True
        at = 0
        for i, (row, _) in enumerate(whole):
            if row not in pages and not bad_pages[i]:
                pages[row] = self._keep(row, times[at : at + counts[i]].copy())
            at += counts[i]
        at = 0
        for i, column in requested:
            end = at + counts[i]
            if not bad_pages[i]:
                page = pages[whole[i][0]]
                page.columns[column] = values[at:end].copy()
                page.size_bytes += 8 * counts[i]
                self._entries.size_bytes += 8 * counts[i]
            at = end
        return lost + [whole[i][0] for i in np.flatnonzero(bad_pages)]

    def _keep(self, row: int, mono_ms: Ints) -> _DecodedPage:
        rows = self._source.table.rows
        number = int(rows["number"][row])
        old = self._entries.pages.pop(number, None)
        if old is not None:
            self._entries.size_bytes -= old.size_bytes
        page = _DecodedPage(int(rows["head_crc"][row]), mono_ms)
        self._entries.pages[number] = page
        self._entries.size_bytes += page.size_bytes
        return page

    def _evict(self) -> None:
        while self._entries.size_bytes > _CACHE_BYTES:
            _, page = self._entries.pages.popitem(last=False)
            self._entries.size_bytes -= page.size_bytes

    def last_values(self, row: int) -> dict[str, int]:
        """Return the value of each metric at the last sample of a page; {} if it is damaged."""
        table = self._source.table
        schema = int(table.rows["schema"][row])
        metrics = table.schemas[schema].metrics
        page = self._source.read_pages(np.array([row]))[0]
        if page is None or not metrics:
            return {}
        batch = PageBatch([page], len(metrics))
        columns = np.arange(len(metrics))
        values, bad = batch.columns(np.zeros_like(columns), columns)
        if bad.any():
            return {}
        last = values.reshape(len(metrics), -1)[:, -1].tolist()
        return {name: value for (name, _, _), value in zip(metrics, last, strict=True)}


class Decoded:
    """Times and values of some rows of a run's table."""

    def __init__(self, table: PageTable, pages: dict[int, _DecodedPage]) -> None:
        self._table = table
        self._pages = pages

    def mono_ms(self, rows: Sequence[int]) -> Ints:
        """Return the monotonic times of these rows' samples, one after the other."""
        return _joined([self._pages[row].mono_ms for row in rows])

    def t_ms(self, rows: Sequence[int]) -> Ints:
        """Return the unix times of these rows' samples, one after the other."""
        counts = self._table.rows["samples"][rows]
        return self.mono_ms(rows) + np.repeat(self._table.offset_ms[rows], counts)

    def values(self, rows: Sequence[int], column: int) -> Ints:
        """Return the column's values in these rows, one after the other."""
        return _joined([self._pages[row].columns[column] for row in rows])

    def rates(self, rows: Sequence[int], column: int) -> Ints:
        """Return a counter's rates in 1/1000 per second in these rows, one after the other.

        The rows that `predecessors` returns must be decoded too. The first sample of a counter
        has the rate 0, which has no meaning: see `beginnings`.
        """
        table = self._table
        counts = table.rows["samples"][rows]
        ends = np.cumsum(counts)
        starts = ends - counts
        values, mono = self.values(rows, column), self.mono_ms(rows)
        before, then = np.empty_like(values), np.empty_like(mono)
        before[1:], then[1:] = values[:-1], mono[:-1]
        follows = predecessors(table, rows, column)
        for at, row in zip(starts.tolist(), follows, strict=True):
            if row < 0:
                before[at], then[at] = values[at], mono[at]
            else:
                before[at], then[at] = (
                    self._pages[row].columns[column][-1],
                    self._pages[row].mono_ms[-1],
                )
        rates = milli_rates(values, before, mono - then)
        lo, hi = table.lo(column)[rows], table.hi(column)[rows]
        known = np.clip(rates[starts], lo, hi)
        for i in np.flatnonzero(np.array(follows) < 0).tolist():
            rest = rates[starts[i] + 1 : ends[i]]
            known[i] = _first_rate(rest, int(lo[i]), int(hi[i]))
        rates[starts] = known
        return rates


def predecessors(table: PageTable, rows: Sequence[int], column: int) -> list[int]:
    """Return for each row the row with the sample before its first, -1 if there is none.

    A counter that the schema before lacks begins with the rate 0, as at the beginning of a run.
    """
    before = table.before[rows]
    known = table.kinds(column)[table.rows["schema"][before]] != ABSENT
    found: list[int] = np.where((before >= 0) & known, before, -1).tolist()
    return found


def beginnings(table: PageTable, rows: Ints, column: int) -> Bools:
    """Return for each row whether a counter begins in it: its first sample has no rate.

    This holds for the first page of a run, and if the schema of the page before lacks the counter,
    but not if that page is missing.
    """
    if not len(rows):
        return np.zeros(0, np.bool_)
    before = table.before[rows]
    # pages are numbered from 0: if number and `pages_before` are equal, no page before is missing
    first: Bools = (before < 0) & (table.rows["number"][rows] == table.pages_before[rows])
    if len(table.schemas) == 1:
        return first
    known = table.kinds(column)[table.rows["schema"][before]] != ABSENT
    begun: Bools = first | ((before >= 0) & ~known)
    return begun


def _first_rate(rest: Ints, lo: int, hi: int) -> int:
    """Return the rate of a page's first sample when the page before it is missing.

    It is the extreme in the head that no other sample has. If other samples have both extremes, it
    lies between them, and cannot be an extreme in a chart.
    """
    if not len(rest) or lo < rest.min():
        return lo
    if hi > rest.max():
        return hi
    return min(max(0, lo), hi)


def milli_rates(values: Ints, before: Ints, elapsed_ms: Ints) -> Ints:
    """Return `pprofplus.log.format.rate_milli` of each sample, shape as `values`."""
    rough = np.abs(values.astype(np.float64) - before.astype(np.float64))
    elapsed = np.maximum(elapsed_ms, 1)
    rates: Ints = (values - before) * 1_000_000 // elapsed
    for i in np.flatnonzero(rough > _EXACT_DELTA).tolist():
        rates[i] = rate_milli(int(values[i]) - int(before[i]), int(elapsed[i]))
    return rates


def _joined(parts: Sequence[Ints]) -> Ints:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _batches(missing: dict[int, list[int]], table: PageTable) -> Iterator[list[int]]:
    """Split rows into batches of pages of one schema, with few enough columns to decode."""
    rows = list(missing)
    schemas = table.rows["schema"][rows].tolist() if rows else []
    batch: list[int] = []
    streams = 0
    for i, row in enumerate(rows):
        streams += 1 + len(missing[row])
        if batch and (streams > _BATCH_STREAMS or schemas[i] != schemas[i - 1]):
            yield batch
            batch, streams = [], 1 + len(missing[row])
        batch.append(row)
    if batch:
        yield batch
