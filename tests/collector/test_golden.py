"""Files of each release stay readable, and this release writes the same bytes."""

import json

import pytest

from kit import reference
from kit.scripts import GOLDEN, load_script
from kit.summary_page import SummaryPage
from pprofplus.log.format import EVENT_KINDS, PAGE_SIZE, header_part, read_prefix


def load_maker():
    return load_script(GOLDEN / "make.py")


def test_this_release_writes_the_data_pages_of_format_1_0():
    kept = (GOLDEN / "format-1.0.pplog").read_bytes()
    assert load_maker().segment()[PAGE_SIZE:] == kept[PAGE_SIZE:]


def test_this_release_writes_the_bytes_of_format_1_1():
    assert load_maker().summarised() == (GOLDEN / "format-1.1.pplog").read_bytes()


def test_this_release_writes_the_bytes_of_format_1_2():
    kept = (GOLDEN / "format-1.2.pplog").read_bytes()
    assert load_maker().summarised(artefact=True) == kept


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_the_summary_of_later_formats_is_read(version):
    data = (GOLDEN / f"format-{version}.pplog").read_bytes()
    _, pages, _ = reference.read_segment(data)
    summary = SummaryPage(data[-(len(data) % PAGE_SIZE) :])
    assert (summary.pages, summary.row_pages, summary.slot) == (len(pages), 2, 1)
    assert [row.samples for row in summary.rows] == [300, 300, 250, 50]
    assert [row.lo[0] for row in summary.rows] == [
        min(min(page.columns[0]) for page in pages[i : i + 2]) for i in range(0, len(pages), 2)
    ]


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
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
        *([("artefact", "1795173813867-heap-limit-90.pb.gz")] if version == "1.2" else []),
        ("stop", ""),
    ]


def test_a_header_has_a_later_version_only_after_the_first_artefact():
    text = {
        version: json.loads(header_part(read_prefix(data := page(version)), data)[2])["format"]
        for version in ("1.0", "1.1", "1.2")
    }
    assert text == {version: version for version in text}


def page(version):
    """Return the header page of a golden segment."""
    return (GOLDEN / f"format-{version}.pplog").read_bytes()[:PAGE_SIZE]
