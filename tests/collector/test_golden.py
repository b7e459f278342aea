"""Files of each release stay readable for ever, and this release writes the same bytes."""

import importlib.util
from pathlib import Path

import reference

from pprofplus.format import EVENT_KINDS

GOLDEN = Path(__file__).parent / "golden"


def load_maker():
    spec = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_this_release_writes_the_bytes_of_format_1_0():
    assert load_maker().segment() == (GOLDEN / "format-1.0.pplog").read_bytes()


def test_format_1_0_is_read():
    make = load_maker()
    header, pages, bad = reference.read_segment((GOLDEN / "format-1.0.pplog").read_bytes())
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
