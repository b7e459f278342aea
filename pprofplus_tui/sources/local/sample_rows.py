"""All samples of a run, page by page."""

from collections.abc import Collection, Iterator

import numpy as np

from pprofplus_tui.model.points import Ints
from pprofplus_tui.sources.local.decode import PageBatch
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.port import SampleBlock

_BATCH_STREAMS = 528  # 16 pages of the usual schema
_MIN_STREAMS = 8  # a page with fewer counts as this many, because pages may be large


def batches(run: RunLog, rows: Ints) -> Iterator[Ints]:
    """Split rows of the run's table into batches of pages of one schema."""
    schema = run.table.rows["schema"][rows]
    for part in np.split(rows, np.flatnonzero(np.diff(schema)) + 1):
        if len(part):
            table = run.table.schemas[int(run.table.rows["schema"][part[0]])]
            pages = _BATCH_STREAMS // max(_MIN_STREAMS, len(table.metrics)) or 1
            for at in range(0, len(part), pages):
                yield part[at : at + pages]


def page_blocks(run: RunLog, rows: Ints, names: Collection[str] | None) -> list[SampleBlock]:
    """Return the samples of each page, none of a damaged one; `names` selects metrics, None all.

    All rows must have one schema.
    """
    table = run.table
    schema = table.schemas[int(table.rows["schema"][rows[0]])].metrics
    order = [i for i, (name, _, _) in enumerate(schema) if names is None or name in names]
    metrics = tuple(schema[i] for i in order)
    nothing = SampleBlock(metrics, np.zeros(0, np.int64), np.zeros((len(order), 0), np.int64))
    pages = run.pages.read_pages(rows)
    whole = [(int(row), page) for row, page in zip(rows, pages, strict=True) if page is not None]
    found = [nothing] * (len(pages) - len(whole))
    if not whole:
        return found
    batch = PageBatch([page for _, page in whole], len(schema))
    mono, bad = batch.times()
    of_page = np.repeat(np.arange(len(whole)), len(order))
    values, bad_streams = batch.columns(of_page, np.tile(np.array(order, np.int64), len(whole)))
    bad[of_page[bad_streams]] = True
    at = 0
    for i, (row, _) in enumerate(whole):
        count = int(batch.fixed["samples"][i])
        begin = at * len(order)
        block = values[begin : begin + count * len(order)].reshape(len(order), count)
        t_ms = mono[at : at + count] + table.offset_ms[row]
        at += count
        found.append(nothing if bad[i] else SampleBlock(metrics, t_ms, block))
    return found
