"""Damaged and malicious logs: the reference reader raises LogFormatError, or reads intact pages."""

import lzma
import os
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import damaged_corpus as corpus
from kit.processes import IMPORT_PATH
from kit.scripts import DAMAGED
from pprofplus.errors import LogFormatError
from pprofplus.log.format import (
    DATA,
    HEADER,
    MAX_HEADER_BYTES,
    RunHeader,
    header_part,
    parse_header,
    read_data_page,
    read_prefix,
)

make = corpus.make

# What a reader with a memory limit runs: all of the corpus, and larger headers.
LIMITED = """
import importlib.util, resource, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("test_damaged", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
limit = int(sys.argv[3]) << 20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sorted(Path(sys.argv[2]).rglob("*.pplog")):
    tests.read_file(path.read_bytes())
for text in tests.bombs():
    try:
        tests.parse_header(text)
    except tests.LogFormatError:
        pass
print("read")
"""


def bombs():
    """Yield headers of the maximum size that need much more memory than bytes."""
    size = MAX_HEADER_BYTES
    for piece in (b"[],", b"{},", b'{"a":0},', b"0,", b'"",', b"1e9,", b'"\\u1234",', b"-9,"):
        for name in (b"argv", b"metrics", b"later"):
            text = b'{"%s":[' % name + piece * ((size - 60) // len(piece))
            yield text[:-1] + b'],"metrics":[]}'
    yield b'{"metrics":[' + b'["","",""],' * 20_000 + b"[]]}"
    yield b'{"a":' * (size // 5)
    yield b'["' + b"\\" * (size - 4) + b'"]'
    yield b"1" * size
    yield b'"' + "\U0001f600".encode() * (size // 4 - 1) + b'"'


def page_size(data):
    """Return the page size in the first intact page."""
    sizes = [8192, *(1 << n for n in range(9, 21))]
    for at in sorted({slot * size for slot in range(4) for size in sizes}):
        try:
            size = read_prefix(data[at : at + (1 << 16)]).page_size
        except LogFormatError:
            continue
        if at % size == 0:
            return size
    return 8192


def read_file(data):
    """Return (header or None, intact data pages, number of bad pages) of a segment."""
    size = page_size(data)
    parts, pages, bad, count = {}, [], 0, 0
    for at in range(0, len(data), size):
        page = data[at : at + size]
        try:
            prefix = read_prefix(page)
            if prefix.page_size != size:
                bad += 1
            elif prefix.type == DATA:
                pages.append(read_data_page(page))
            elif prefix.type == HEADER:
                part, count, parts[part] = header_part(prefix, page)
        except LogFormatError:
            bad += 1
    header = None
    if parts and sorted(parts) == list(range(count)):
        try:
            header = parse_header(b"".join(parts[i] for i in range(count)))
        except LogFormatError:
            bad += 1
    return header, pages, bad


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    directory = tmp_path_factory.mktemp("damaged")
    corpus.unpack(directory)
    return directory


def test_the_corpus_equals_the_output_of_its_script():
    data, cases = make.archive()
    assert cases == corpus.CASES
    assert lzma.decompress(data) == lzma.decompress((DAMAGED / "corpus.tar.xz").read_bytes())


def test_the_corpus_is_small():
    assert sum(path.stat().st_size for path in DAMAGED.glob("corpus*")) < 150_000


@pytest.mark.parametrize("case", corpus.CASES)
def test_the_intact_pages_of_a_damaged_log_are_read_and_only_format_errors_are_raised(
    unpacked, case
):
    seen = {}
    schemas = {make.header().schema, make.header(make.OTHER).schema}
    for path in sorted(corpus.log_directory_of(unpacked, case).rglob("*.pplog")):
        header, pages, _ = read_file(path.read_bytes())
        assert header is None or isinstance(header, RunHeader)
        for page in pages:
            if page.head.schema in schemas and len(page.columns) == 3:
                rows = zip(*page.columns, strict=True)
                seen.update(zip(zip(page.mono_ms, page.unix_ms, strict=True), rows, strict=True))
    for n in corpus.CASES[case]["must"]:
        assert seen[1000 * n, make.START_MS + 1000 * n] == tuple(make.values(n))


def test_a_file_cut_at_any_byte_gives_the_pages_before_the_cut():
    whole = make.segments()[1]
    ends = [
        at + int.from_bytes(whole[at + 8 : at + 12], "little") for at in range(0, len(whole), 8192)
    ]
    for begin, end in zip(range(0, len(whole), 8192), ends, strict=True):
        for cut in range(begin, end):
            header, pages, bad = read_file(whole[:cut])
            assert (header is None) == (cut < ends[0])
            assert len(pages) == max(0, begin // 8192 - 1)
            assert bad == (cut > begin)


def test_a_flipped_bit_costs_its_page_and_no_other():
    whole = make.segments()[1]
    for at in range(2 * 8192, 2 * 8192 + len(make.pages()[1])):
        for bit in (0, 3, 7):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            header, pages, bad = read_file(bytes(damaged))
            assert header == make.header()
            assert [page.head.prefix.number for page in pages] == [0, 2]
            assert bad == 1


CHANGES = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(make.pages()), CHANGES)
def test_a_changed_page_with_valid_checksums_is_refused_or_read_completely(page, changes):
    changed = bytearray(page)
    for at, value in changes:
        changed[at % len(changed)] = value
    try:
        found = read_data_page(make.sealed(changed))
    except LogFormatError:
        return
    count = found.head.samples
    assert [len(column) for column in found.columns] == [count] * found.head.columns
    assert len(found.mono_ms) == count
    assert found.mono_ms == sorted(found.mono_ms)


# few letters: Hypothesis needs seconds to collect all Unicode letters
TEXT = st.text(st.sampled_from("a[\0\x1b\x9b\u202e\ud800\U0001f600"), max_size=9)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.sampled_from(["\ud800", "\x1b[2J", "gauge", "counter", 2**63, 2**64, -1]),
    lambda some: st.lists(some, max_size=4) | st.dictionaries(TEXT, some, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(RunHeader.__slots__), JSON, max_size=4))
def test_a_header_with_any_json_in_it_is_refused_or_has_the_right_types(changes):
    try:
        header = parse_header(make.header_json(**changes))
    except LogFormatError:
        return
    assert all(isinstance(word, str) for word in (header.service, header.host, *header.argv))
    assert all(type(n) is int and n >= 0 for n in (header.pid, header.interval_ms))
    assert all(isinstance(cell, str) for row in header.metrics for cell in row)
    assert isinstance(header.schema, int)


@settings(deadline=None)
@given(st.data())
def test_a_header_changed_at_any_byte_is_refused_or_read(data):
    text = bytearray(make.header_json(argv=["a", "b"]))
    for at in data.draw(st.lists(st.integers(0, len(text) - 1), max_size=4)):
        text[at] = data.draw(st.integers(0, 255))
    with suppress(LogFormatError):
        assert isinstance(parse_header(bytes(text)), RunHeader)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is kept by Linux")
def test_the_reference_reader_reads_the_corpus_within_256_mib(unpacked):
    command = [sys.executable, "-c", LIMITED, __file__, str(unpacked), "256"]
    environment = {**os.environ, "PYTHONPATH": IMPORT_PATH}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=110, env=environment
    )
    assert (done.stdout, done.stderr) == ("read\n", "")
