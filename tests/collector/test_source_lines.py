"""Source lines beside a profile: the right ones, bounded, and only of regular source files."""

import json
import os
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pprofplus.errors import ProfileFormatError
from pprofplus.profiles import source_lines
from pprofplus.profiles.source_lines import (
    MAX_SOURCE_BYTES,
    SourceLines,
    encode_source_lines,
    pack_source_lines,
    parse_source_lines,
)

PROGRAM = """import time

def first():
    time.sleep(1)

    return 1


def second():
    return 2
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    os.utime(path, (1, 1))  # before this process started
    return str(path)


def lines_of(wanted):
    return parse_source_lines(pack_source_lines(wanted)).files


def test_the_whole_function_that_ran_is_kept_and_no_other(program):
    found = lines_of({program: {3: {4}}})
    assert found == {program: {3: "def first():", 4: "    time.sleep(1)", 5: "", 6: "    return 1"}}


def test_functions_that_overlap_are_one_block(program):
    found = lines_of({program: {3: {4, 6}, 6: {6}, 9: {10}}})
    assert list(found[program]) == [3, 4, 5, 6, 9, 10]


def test_of_a_long_function_only_lines_around_those_that_ran_are_kept(tmp_path):
    path = tmp_path / "long.py"
    path.write_text("\n".join(f"x = {i}" for i in range(1, 2001)))
    found = lines_of({str(path): {1: {1000}}})
    assert list(found[str(path)]) == [*range(1, 12), *range(990, 1011)]


def test_lines_that_the_file_does_not_have_are_left_out(program):
    assert lines_of({program: {3: {4, 999}, 500: {600}}}) == lines_of({program: {3: {4}}})
    assert pack_source_lines({program: {500: {600}}}) == b""


def test_a_file_that_was_written_after_the_start_of_the_process_is_marked(program):
    assert parse_source_lines(pack_source_lines({program: {3: {4}}})).changed == set()
    os.utime(program, (4e9, 4e9))
    assert parse_source_lines(pack_source_lines({program: {3: {4}}})).changed == {program}


def test_only_absolute_paths_of_regular_source_files_are_read(tmp_path, program, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "fifo.py")
    (tmp_path / "directory.py").mkdir()
    (tmp_path / "device.py").symlink_to("/dev/zero")
    (tmp_path / "secret").write_text(PROGRAM)
    (tmp_path / "large.py").write_bytes(b"\n" * (5 << 20))
    (tmp_path / "link.py").symlink_to(program)
    names = ["fifo.py", "directory.py", "device.py", "secret", "large.py", "missing.py", "a\0.py"]
    wanted = {f"{tmp_path}/{name}": {1: {1}} for name in names}
    wanted |= {"<frozen importlib._bootstrap>": {1: {1}}, "program.py": {1: {1}}, "": {1: {1}}}
    wanted |= {f"{program}/archive.py": {1: {1}}}
    assert pack_source_lines(wanted) == b""
    link = f"{tmp_path}/link.py"
    assert list(lines_of({**wanted, link: {3: {4}}})) == [link]


def test_a_fifo_with_a_writer_is_not_opened(tmp_path):
    path = f"{tmp_path}/fifo.py"
    os.mkfifo(path)
    opened = threading.Event()

    def write():
        with open(path, "wb"):
            opened.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert pack_source_lines({path: {1: {1}}}) == b""
        assert not opened.is_set()
    finally:
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writer.join()
        os.close(reader)


def test_the_file_is_never_longer_than_its_limit(tmp_path):
    wanted = {}
    for number in range(40):
        path = tmp_path / f"noise{number}.py"
        path.write_text("\n".join(os.urandom(40).hex() for _ in range(400)))
        wanted[str(path)] = {1: {300}}
    packed = pack_source_lines(wanted)
    found = parse_source_lines(packed)
    assert MAX_SOURCE_BYTES // 2 < len(packed) <= MAX_SOURCE_BYTES
    assert 0 < len(found.files) < 40
    assert found.files == {
        name: dict(enumerate(Path(name).read_text().split("\n")[:300], 1)) | lines
        for name, lines in found.files.items()
    }


def test_the_text_is_never_longer_than_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(source_lines, "MAX_TEXT_BYTES", 20_000)
    wanted = {}
    for number in range(40):
        path = tmp_path / f"same{number}.py"
        path.write_text("x = 1\n" * 300)
        wanted[str(path)] = {1: {300}}
    packed = pack_source_lines(wanted)
    assert len(zlib.decompress(packed, 31)) < 20_000
    assert 0 < len(parse_source_lines(packed).files) < 40


TEXT = st.text(max_size=30).filter(lambda text: "\n" not in text)


@given(st.dictionaries(TEXT, st.dictionaries(st.integers(1, 60), TEXT, min_size=1), max_size=4))
def test_what_is_encoded_is_parsed(files):
    sources = SourceLines()
    sources.files = files
    sources.changed = set(list(files)[:1])
    found = parse_source_lines(encode_source_lines(sources)) if files else sources
    assert (found.files, found.changed) == (files, sources.changed)


def pack(*lines):
    packer = zlib.compressobj(wbits=31)
    return packer.compress("\n".join(lines).encode("utf-8", "surrogatepass")) + packer.flush()


HEAD = json.dumps({"format": "pprofplus source lines", "version": 1})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no gzip",
        pack(HEAD)[:-4],
        pack(HEAD) + b"tail",
        pack(""),
        pack("[]"),
        pack(json.dumps({"format": "pprofplus source lines", "version": 2})),
        pack(HEAD, '{"file": "a", "first": 0, "lines": ["x"]}'),
        pack(HEAD, '{"file": "a", "first": true, "lines": ["x"]}'),
        pack(HEAD, '{"file": "a", "first": 1, "lines": [1]}'),
        pack(HEAD, '{"file": 1, "first": 1, "lines": []}'),
        pack(HEAD, '{"file": "a", "lines": []}'),
        pack(HEAD, *['{"file": "a", "first": 1, "lines": ["x"]}'] * 2),
        pack(HEAD, "[" * 100_000),
        pack(HEAD, "ä"),
    ],
)
def test_a_malformed_file_is_refused(data):
    with pytest.raises(ProfileFormatError):
        parse_source_lines(data)


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(source_lines, "MAX_TEXT_BYTES", 1000)
    with pytest.raises(ProfileFormatError, match="too long"):
        parse_source_lines(pack(HEAD, " " * 2000))


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(data):
    for raw in (data, zlib.compress(data, wbits=31), pack(HEAD, data.decode("latin-1"))):
        try:
            parse_source_lines(raw)
        except ProfileFormatError:
            continue
