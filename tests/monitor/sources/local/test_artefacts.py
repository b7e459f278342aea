"""Artefacts in a run directory: listed and read, next to any other files of such names."""

import os
import shutil

import pytest

from pprofplus.errors import LogFormatError
from pprofplus.log.artefacts import MAX_ARTEFACTS_BYTES
from pprofplus.log.format import RunHeader
from pprofplus.log.writer import Writer
from pprofplus_tui.sources.local.artefacts import read_artefact, run_artefacts
from pprofplus_tui.sources.local.local_source import LocalSource
from pprofplus_tui.sources.port import NoRunError, RunArtefact, RunId

UNIX_MS = 1_800_000_000_000


def names(path):
    return [artefact.name for artefact in run_artefacts(str(path))]


def test_artefacts_are_listed_oldest_first_with_the_parts_of_their_names(tmp_path):
    (tmp_path / f"{UNIX_MS + 5}-heap-limit-75.pb.gz").write_bytes(b"12345")
    (tmp_path / f"{UNIX_MS}-cpu.pb.gz").write_bytes(b"1")
    (tmp_path / "000001.pplog").write_bytes(b"1")
    assert run_artefacts(str(tmp_path)) == (
        RunArtefact(f"{UNIX_MS}-cpu.pb.gz", "cpu", UNIX_MS, "", "pb.gz", 1),
        RunArtefact(
            f"{UNIX_MS + 5}-heap-limit-75.pb.gz", "heap", UNIX_MS + 5, "limit-75", "pb.gz", 5
        ),
    )


def test_a_run_without_artefacts_lists_none_and_a_missing_run_is_an_error(tmp_path):
    assert run_artefacts(str(tmp_path)) == ()
    with pytest.raises(FileNotFoundError):
        run_artefacts(str(tmp_path / "gone"))


@pytest.mark.parametrize(
    "name",
    [
        "heap.pb.gz",
        "1-heap.pb.gz.new",
        ".1-heap.pb.gz.new",
        "1-he ap.pb.gz",
        "1-heap-\x1b[31m.pb.gz",
        "999999999999999-heap.pb.gz",
        "1-heap.sh.gz",
    ],
)
def test_a_foreign_name_is_not_listed_and_not_read(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    assert names(tmp_path) == []
    with pytest.raises(LogFormatError):
        read_artefact(str(tmp_path), name)


def test_links_directories_and_pipes_are_ignored_without_blocking(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    run = tmp_path / "run"
    run.mkdir()
    (run / "1-heap.pb.gz").symlink_to(secret)
    (run / "2-heap.pb.gz").mkdir()
    os.mkfifo(run / "3-heap.pb.gz")
    assert names(run) == []
    for name in ("1-heap.pb.gz", "2-heap.pb.gz", "3-heap.pb.gz"):
        with pytest.raises((OSError, LogFormatError)):
            read_artefact(str(run), name)


def test_a_name_with_another_directory_is_not_read(tmp_path):
    (tmp_path / "1-heap.pb.gz").write_bytes(b"x")
    (tmp_path / "run").mkdir()
    with pytest.raises(LogFormatError):
        read_artefact(str(tmp_path / "run"), "../1-heap.pb.gz")


def test_a_file_larger_than_the_collector_writes_is_left_out(tmp_path):
    for unix_ms, size_bytes in ((1, MAX_ARTEFACTS_BYTES), (2, MAX_ARTEFACTS_BYTES + 1)):
        with (tmp_path / f"{unix_ms}-heap.pb.gz").open("wb") as file:
            file.truncate(size_bytes)
    assert names(tmp_path) == ["1-heap.pb.gz"]
    with pytest.raises(LogFormatError, match="larger than an artefact may be"):
        read_artefact(str(tmp_path), "2-heap.pb.gz")


def test_an_artefact_is_read_whole_with_the_time_of_its_last_change(tmp_path):
    path = tmp_path / "1-heap.pb.gz"
    path.write_bytes(os.urandom(300_000))
    os.utime(path, (5, 7))
    assert read_artefact(str(tmp_path), path.name) == (path.read_bytes(), 7.0)


def test_what_the_collector_writes_is_listed_and_read(tmp_path):
    header = RunHeader(service="api", pid=1, start_ms=UNIX_MS, metrics=(("rss", "B", "gauge"),))
    writer = Writer(str(tmp_path / "logs"), header)
    writer.add(0, UNIX_MS, [1])
    name = writer.store_artefact(UNIX_MS, "heap", b"profile", why="asked")
    writer.close()
    (artefact,) = run_artefacts(writer.directory)
    assert artefact == RunArtefact(name, "heap", UNIX_MS, "asked", "pb.gz", 7)
    assert read_artefact(writer.directory, name)[0] == b"profile"


def test_the_source_lists_the_artefacts_of_a_run_as_its_profiles(tmp_path):
    header = RunHeader(service="api", pid=1, start_ms=UNIX_MS, metrics=(("rss", "B", "gauge"),))
    writer = Writer(str(tmp_path / "logs"), header)
    writer.add(0, UNIX_MS, [1])
    name = writer.store_artefact(UNIX_MS, "heap", b"profile", why="asked")
    writer.close()
    reader = LocalSource([str(tmp_path / "logs")]).open(RunId(writer.directory))
    assert [artefact.name for artefact in reader.profiles()] == [name]
    shutil.rmtree(writer.directory)
    with pytest.raises(NoRunError):
        reader.profiles()
