"""Runs of format 1.0 stay readable: their content equals the content recorded with them."""

import json
import struct
import zipfile
from itertools import pairwise
from zlib import crc32

import pytest

from kit.scripts import GOLDEN, load_script
from pprofplus.log.format import EVENT_KINDS, PAGE_SIZE

make = load_script(GOLDEN / "make_run.py")

WANTED = json.loads((GOLDEN / "runs-1.0.json").read_text())
PAGES = [
    (path, page) for path, file in WANTED.items() for page in file["pages"] if "damaged" not in page
]


def kept():
    """Return {path: bytes} of the golden runs."""
    with zipfile.ZipFile(GOLDEN / "runs-1.0.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def behind_header(some):
    return {path: data[PAGE_SIZE:] for path, data in some.items()}


def test_this_release_writes_the_data_pages_of_the_runs_of_format_1_0():
    assert behind_header(make.files()) == behind_header(kept())


def test_the_runs_of_format_1_0_are_read_unchanged():
    assert make.decoded(kept()) == WANTED


def test_they_contain_every_kind_of_event():
    assert {event[0] for _, page in PAGES for event in page["events"]} == set(EVENT_KINDS.values())


def test_they_contain_two_versions_of_a_page_and_a_torn_one():
    numbers = [[page.get("number") for page in file["pages"]] for file in WANTED.values()]
    assert numbers == [[0, 1, 2], [3, 4, 4], [5, 6, None], [0]]


def test_their_samples_equal_the_input():
    for path, page in PAGES:
        table, interval_ms, first, _ = make.PAGES[page["number"]]
        span = range(first, first + len(page["mono_ms"]))
        assert page["interval_ms"] == interval_ms
        assert list(zip(page["mono_ms"], page["unix_ms"], strict=True)) == [
            make.times(n) for n in span
        ]
        rows = [list(row) for row in zip(*page["columns"], strict=True)]
        assert rows == [make.values(n, table) for n in span]
        assert [list(row) for row in table] == WANTED[path]["header"]["metrics"]


def test_their_heads_agree_with_the_samples():
    for _, page in PAGES:
        table, _, first, _ = make.PAGES[page["number"]]
        begins = page["number"] in {0, 5}  # of a run, or of a schema
        span = range(first if begins else first - 1, first + len(page["mono_ms"]))
        for column, (_, _, kind) in enumerate(table):
            points = [(make.times(n)[0], make.values(n, table)[column]) for n in span]
            if kind == "gauge":
                measures = [value for _, value in points[not begins :]]
            else:
                # from the specification, in exact numbers; clipped to 64 bits like every value in a
                # page
                measures = [0] if begins else []
                for (then, before), (now, value) in pairwise(points):
                    rate = (value - before) * 1_000_000 // max(1, now - then)
                    measures.append(min(max(rate, -(2**63)), 2**63 - 1))
            assert page["first"][column] == points[0 if begins else 1][1]
            assert (page["lo"][column], page["hi"][column]) == (min(measures), max(measures))


def differences(stream, count):
    """Return a stream's differences: written from the specification, not from the decoder."""
    numbers = []
    digits = ""
    for byte in stream:
        digits = f"{byte & 127:07b}" + digits
        if byte < 128:
            numbers.append(int(digits, 2) & (2**64 - 1))
            digits = ""
    assert not digits
    found, at = [], 0
    while at < len(numbers):
        if numbers[at]:
            half, odd = divmod(numbers[at], 2)
            found.append(-half - 1 if odd else half)
            at += 1
        else:
            found += [0] * numbers[at + 1]
            at += 2
    return found + [0] * (count - len(found))


@pytest.mark.parametrize("index", range(len(PAGES)))
def test_a_decoder_written_from_the_specification_alone_reads_the_same(index):
    path, wanted = PAGES[index]
    page = kept()[path][8192 * wanted["slot"] :][:8192]
    magic, major, kind, log2, _, length, head, number, body_sum, head_sum = struct.unpack(
        "<4sBBBBIIIII", page[:28]
    )
    assert (magic, major, kind, log2, number) == (b"PPLG", 1, 2, 13, wanted["number"])
    assert body_sum == crc32(page[head:length])
    assert head_sum == crc32(page[:24] + page[28:head])
    schema, samples, columns, events, mono, unix, last, interval, _ = struct.unpack(
        "<IIHHqqqII", page[28:72]
    )
    assert schema == WANTED[path]["schema"] == wanted["schema"]
    cells = struct.unpack(f"<{3 * columns}q{columns + 1}H", page[72:head])
    assert list(cells[: 3 * columns]) == wanted["first"] + wanted["lo"] + wanted["hi"]
    at, series = head, []
    for begin, step, size in zip(
        (mono, *cells[:columns]), (interval, *[0] * columns), cells[3 * columns :], strict=True
    ):
        values = [begin]
        for delta in differences(page[at : at + size], samples - 1):
            values.append((values[-1] + delta + step + 2**63) % 2**64 - 2**63)
        series.append(values)
        at += size
    assert series == [wanted["mono_ms"], *wanted["columns"]]
    assert series[0][-1] == last
    assert wanted["unix_ms"][0] == unix
    found_events = []
    while at < length:
        kind, mono_ms, unix_ms, value, size = struct.unpack("<BqqqH", page[at : at + 27])
        found_events.append(
            [EVENT_KINDS[kind], mono_ms, unix_ms, value, page[at + 27 :][:size].decode()]
        )
        at += 27 + size
    assert found_events == wanted["events"]
    assert sum(cells[3 * columns :]) + events == length - head
