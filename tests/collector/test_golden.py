"""Files of each release stay readable, and this release writes the same bytes."""

import pytest

from kit import reference
from kit.scripts import GOLDEN, load_script
from kit.summary_page import SummaryPage
from pprofplus.log.format import EVENT_KINDS, PAGE_SIZE


def load_maker():
    return load_script(GOLDEN / "make.py")


def test_this_release_writes_the_data_pages_of_format_1_0():
    kept = (GOLDEN / "format-1.0.pplog").read_bytes()
    assert load_maker().segment()[PAGE_SIZE:] == kept[PAGE_SIZE:]


def test_this_release_writes_the_bytes_of_format_1_1():
    assert load_maker().summarised() == (GOLDEN / "format-1.1.pplog").read_bytes()


def test_the_summary_of_format_1_1_is_read():
    data = (GOLDEN / "format-1.1.pplog").read_bytes()
    _, pages, _ = reference.read_segment(data)
    summary = SummaryPage(data[-(len(data) % PAGE_SIZE) :])
    assert (summary.pages, summary.row_pages, summary.slot) == (len(pages), 2, 1)
    assert [row.samples for row in summary.rows] == [300, 300, 250, 50]
    assert [row.lo[0] for row in summary.rows] == [
        min(min(page.columns[0]) for page in pages[i : i + 2]) for i in range(0, len(pages), 2)
    ]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_each_format_is_read(version):
    make = load_maker()
    header, pages, bad = reference.read_segment((GOLDEN / f"format-{version}.pplog").read_bytes())
    assert bad == 0
    assert header == make.header()
    assert [page.head.prefix.number for page in pages] == list(range(len(pages)))
    times = [pair for page in pages for pair in zip(page.mono_ms, page.unix_ms, strict=True)]
    assert times == [make.times(i) for i in range(make.SAMPLES)]
    rows = [list(row) for page in pages for row in zip(*page.columns, strict=True)]
    assert rows == [make.values(i) for i in range(make.SAMPLES)]
    events = [(EVENT_KINDS[event.kind], event.text) for page in pages for event in page.events]
    assert events == [
        ("start", ""),
        ("fork", ""),
        ("mark", "deploy 1.4.2 ✓"),
        ("lost", "ENOSPC"),
        ("stop", ""),
    ]
