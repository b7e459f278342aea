"""Artefacts of a run: named, limited, counted and removed like its log, and always complete."""

import errno
import os
import signal
import stat
import time
from pathlib import Path

import pytest

import pprofplus
from kit import mounts, reference
from kit.ledger import ledger_of
from kit.waiting import wait_until
from pprofplus.control.actions import Action
from pprofplus.control.client import put_request, take_answer
from pprofplus.control.requests import Request
from pprofplus.log import artefacts, retention
from pprofplus.log.artefacts import (
    MAX_ARTEFACTS_BYTES,
    SOURCE_SUFFIX,
    artefact_name,
    list_artefacts,
    parse_artefact_name,
)
from pprofplus.log.format import RunHeader
from pprofplus.log.ledger import LedgerBusyError
from pprofplus.log.log_directory import PIN_NAME, open_log_directory
from pprofplus.log.retention import request_expiry
from pprofplus.log.writer import Writer
from pprofplus.recording.inherited import close_strays
from pprofplus.recording.run_actions import ACTIONS

METRICS = tuple((f"m{i}", "B", "gauge") for i in range(33))
UNIX_MS = 1_795_000_000_000
CAP = 4 << 20  # of the log directory: the artefacts of a run may take a quarter
KIB = 1 << 10
EVER_S = 60
DAY_S = 86_400


def begin(log_directory, number=1, samples=3, *, max_total_bytes=CAP, group_readable=False):
    """Begin a run; return its writer."""
    header = RunHeader(service="svc", pid=100 + number, start_ms=UNIX_MS + number, metrics=METRICS)
    writer = Writer(
        str(log_directory),
        header,
        max_bytes=64 << 20,
        max_total_bytes=max_total_bytes,
        group_readable=group_readable,
    )
    add(writer, samples)
    return writer


def add(writer, samples):
    for i in range(samples):
        figures = [int.from_bytes(os.urandom(5), "big") for _ in METRICS]
        writer.add(1000 * i, UNIX_MS + 1000 * i, figures)


def store(writer, size_bytes, unix_ms=UNIX_MS, kind="heap", **options):
    return writer.store_artefact(unix_ms, kind, os.urandom(size_bytes), **options)


def artefact_names(writer):
    """Return the names of a run's artefacts, the oldest first."""
    run_fd = os.open(writer.directory, os.O_RDONLY)
    try:
        return [artefact.name for artefact in list_artefacts(run_fd)]
    finally:
        os.close(run_fd)


def files_of(writer):
    return sorted(path.name for path in Path(writer.directory).iterdir())


def used_bytes(log_directory):
    files = [path for path in Path(log_directory).rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files if ".pplog" in path.name or ".gz" in path.name)


def bound_of(log_directory):
    with ledger_of(log_directory) as ledger:
        return ledger.bound_bytes


def maintained(log_directory, max_total_bytes=CAP):
    """Do everything that is due for the log directory, as a collector does in slices."""
    log_directory_fd = open_log_directory(str(log_directory))
    try:
        while retention._maintain_once(log_directory_fd, max_total_bytes) <= retention._PAUSE_S:
            pass
    finally:
        os.close(log_directory_fd)


def scanned(log_directory):
    """Scan all runs, and return the bound in the ledger after that."""
    with ledger_of(log_directory) as ledger:
        ledger.scan.finished_s = 0.0
    maintained(log_directory)
    return bound_of(log_directory)


def aged(writer, days):
    then = time.time() - days * DAY_S
    for path in reference.segments(writer.directory):
        os.utime(path, (then, then))


def expired(log_directory):
    with ledger_of(log_directory) as ledger:
        ledger.expiry_checked_s = time.time() - 7200
    request_expiry(str(log_directory), 14.0)
    maintained(log_directory)


# -- names


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("1-cpu.pb.gz", (1, "cpu", "", "pb.gz")),
        (f"{UNIX_MS}-heap-limit-75.pb.gz", (UNIX_MS, "heap", "limit-75", "pb.gz")),
        (f"{UNIX_MS}-heap.src.gz", (UNIX_MS, "heap", "", SOURCE_SUFFIX)),
        (f"{UNIX_MS}-trace-asked.json.gz", (UNIX_MS, "trace", "asked", "json.gz")),
    ],
)
def test_a_name_contains_time_kind_and_cause(name, parts):
    assert artefact_name(*parts) == name
    found = parse_artefact_name(name)
    assert (found.unix_ms, found.kind, found.why, found.suffix) == parts


@pytest.mark.parametrize(
    "name",
    [
        "",
        "heap.pb.gz",
        "1-heap",
        "1-heap.pb",
        "1-heap.exe.gz",
        "1-Heap.pb.gz",
        "-1-heap.pb.gz",
        "1-heap-.pb.gz",
        "1-heap-a.b.pb.gz",
        "1-heap-a/b.pb.gz",
        "../1-heap.pb.gz",
        ".1-heap.pb.gz",
        "1-heap.pb.gz\n",
        "1-heap.pb.gz.new",
        "\u0661-heap.pb.gz",
        f"{'1' * 16}-heap.pb.gz",
        f"1-{'a' * 17}.pb.gz",
        f"1-heap-{'a' * 33}.pb.gz",
    ],
)
def test_another_name_is_no_name_of_an_artefact(name):
    assert parse_artefact_name(name) is None


@pytest.mark.parametrize("parts", [(-1, "heap"), (1, ""), (1, "a b"), (1, "heap", "../x")])
def test_an_artefact_whose_name_is_not_allowed_is_not_written(log_directory, parts):
    writer = begin(log_directory)
    unix_ms, kind, *why = parts
    with pytest.raises(ValueError, match="no name of an artefact"):
        store(writer, 10, unix_ms, kind, why=why[0] if why else "")
    assert artefact_names(writer) == []
    writer.close()


# -- writing


@pytest.mark.parametrize(("group_readable", "mode"), [(False, 0o600), (True, 0o640)])
def test_an_artefact_is_complete_private_and_counted_to_the_byte(
    log_directory, group_readable, mode
):
    writer = begin(log_directory, group_readable=group_readable)
    before = bound_of(log_directory)
    data = os.urandom(100_001)
    name = writer.store_artefact(UNIX_MS, "heap", data, why="asked")
    assert name == f"{UNIX_MS}-heap-asked.pb.gz"
    path = Path(writer.directory, name)
    assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert bound_of(log_directory) == before + len(data)
    assert scanned(log_directory) == before + len(data)
    writer.close()
    assert bound_of(log_directory) == used_bytes(log_directory)


def test_two_artefacts_of_one_moment_have_different_names(log_directory):
    writer = begin(log_directory)
    names = [store(writer, 10), store(writer, 10), store(writer, 10, suffix=SOURCE_SUFFIX)]
    assert names == [
        f"{UNIX_MS}-heap.pb.gz",
        f"{UNIX_MS + 1}-heap.pb.gz",
        f"{UNIX_MS}-heap.src.gz",
    ]
    writer.close()


def test_an_artefact_may_be_empty(log_directory):
    writer = begin(log_directory)
    assert artefact_names(writer) == [] != [store(writer, 0)] == artefact_names(writer)
    writer.close()


def test_the_oldest_artefacts_of_a_run_are_evicted_for_the_next_in_complete_groups(log_directory):
    writer = begin(log_directory)
    for i in range(30):
        store(writer, 90 * KIB, UNIX_MS + i)
        store(writer, 10 * KIB, UNIX_MS + i, suffix=SOURCE_SUFFIX)
        found = artefact_names(writer)
        sizes = [Path(writer.directory, name).stat().st_size for name in found]
        assert sum(sizes) <= CAP // 4
        assert f"{UNIX_MS + i}-heap.pb.gz" in found
        profiles = {name.partition(".")[0] for name in found if name.endswith("pb.gz")}
        sources = {name.partition(".")[0] for name in found if name.endswith("src.gz")}
        assert profiles == sources
    assert len(found) == 20
    assert found[0] == f"{UNIX_MS + 20}-heap.pb.gz"
    writer.close()
    assert bound_of(log_directory) == used_bytes(log_directory)


def test_an_artefact_over_the_cap_is_refused_and_evicts_nothing(log_directory):
    writer = begin(log_directory)
    old = store(writer, 10)
    for size_bytes in (CAP // 4 + 1, MAX_ARTEFACTS_BYTES + 1):
        with pytest.raises(OSError, match="File too large"):
            store(writer, size_bytes)
    assert artefact_names(writer) == [old]
    writer.close()
    assert bound_of(log_directory) == used_bytes(log_directory)


def test_the_source_of_a_profile_does_not_evict_its_profile(log_directory):
    writer = begin(log_directory)
    profile = store(writer, CAP // 4 - 10)
    with pytest.raises(OSError, match="one moment"):
        store(writer, 11, suffix=SOURCE_SUFFIX)
    assert artefact_names(writer) == [profile]
    writer.close()
    assert bound_of(log_directory) == used_bytes(log_directory)


def test_ended_runs_are_evicted_for_an_artefact_and_the_cap_holds_to_the_byte(log_directory):
    for number in range(1, 30):
        ended = begin(log_directory, number, 800)
        ended.close()
    writer = begin(log_directory, 50)
    for i in range(12):
        store(writer, 300 * KIB, UNIX_MS + i)
        assert used_bytes(log_directory) <= CAP
        assert bound_of(log_directory) <= CAP
    assert len(artefact_names(writer)) == 3
    runs = {path.name.split("-")[0] for path in reference.runs(log_directory)}
    assert "101" not in runs
    assert "129" in runs
    writer.close()


def test_live_and_pinned_runs_are_not_evicted_for_an_artefact(log_directory):
    writers = []
    for number in range(1, 5):
        writers.append(begin(log_directory, number))
        store(writers[-1], CAP // 4 - 200 * KIB)
        if number % 2:
            Path(writers[-1].directory, PIN_NAME).touch()
            writers[-1].close()
    before = {writer.directory: artefact_names(writer) for writer in writers}
    late = begin(log_directory, 9)
    with pytest.raises(OSError, match="max_total_bytes"):
        store(late, CAP // 4)
    assert {writer.directory: artefact_names(writer) for writer in writers} == before
    assert artefact_names(late) == []
    assert used_bytes(log_directory) <= CAP


def test_in_a_full_log_directory_older_artefacts_of_the_run_are_evicted(log_directory):
    pinned = begin(log_directory, 1, 3)
    store(pinned, CAP // 4)
    others = [pinned, *(begin(log_directory, n) for n in (2, 3))]
    for other in others[1:]:
        store(other, CAP // 4)
    Path(pinned.directory, PIN_NAME).touch()
    pinned.close()
    writer = begin(log_directory, 4)
    first = store(writer, 500 * KIB)
    second = store(writer, 500 * KIB, UNIX_MS + 5)
    assert first not in artefact_names(writer)
    assert second in artefact_names(writer)
    assert used_bytes(log_directory) <= CAP


def test_the_log_continues_if_only_artefacts_of_its_run_can_be_evicted(log_directory):
    cap = 512 * KIB
    writer = begin(log_directory, 1, 1, max_total_bytes=cap)
    for i in range(2):
        store(writer, cap // 8, UNIX_MS + i)
    pinned = begin(log_directory, 2, 0, max_total_bytes=cap)
    add(pinned, 1000)
    Path(pinned.directory, PIN_NAME).touch()
    add(writer, 3000)
    assert writer.write_error is None
    assert used_bytes(log_directory) <= cap


def test_with_a_busy_ledger_nothing_is_written_and_the_caller_may_try_again(log_directory):
    writer = begin(log_directory)
    with ledger_of(log_directory), pytest.raises(LedgerBusyError):
        store(writer, 10)
    assert artefact_names(writer) == []
    assert store(writer, 10) in artefact_names(writer)
    writer.close()
    assert bound_of(log_directory) == used_bytes(log_directory)


def test_an_artefact_of_a_run_whose_first_samples_met_a_busy_ledger_creates_the_run_directory(
    log_directory,
):
    begin(log_directory, 1).close()
    with ledger_of(log_directory):
        writer = begin(log_directory, 2, 3)
        assert writer.samples == 0
        with pytest.raises(LedgerBusyError):
            store(writer, 10)
    assert store(writer, 10) in artefact_names(writer)
    add(writer, 1)
    writer.close()
    assert writer.samples == 4
    assert bound_of(log_directory) == used_bytes(log_directory)


def test_a_write_that_fails_leaves_no_file_and_releases_its_reservation(log_directory, monkeypatch):
    writer = begin(log_directory)
    before, files = bound_of(log_directory), files_of(writer)
    for step in ("ftruncate", "pwrite", "rename"):
        with monkeypatch.context() as patched:

            def fail(*_, **__):
                raise OSError(errno.ENOSPC, "No space left on device")

            class Faulty:
                def __getattr__(self, name, step=step):
                    return fail if name == step else getattr(os, name)

            patched.setattr(artefacts, "os", Faulty())
            with pytest.raises(OSError, match="No space"):
                store(writer, 1000)
        assert files_of(writer) == files
        assert bound_of(log_directory) == before
    add(writer, 10)
    assert writer.write_error is None
    writer.close()


def test_on_a_full_disk_an_artefact_is_an_error_and_leaves_no_file(log_directory, spawn):
    prefix = mounts.private_mounts(log_directory.parent)
    log_directory.mkdir()
    process = spawn(
        """
import os, subprocess, sys
from pprofplus.log.format import RunHeader
from pprofplus.log.writer import Writer
log_directory = os.environ["PPROFPLUS_DIR"]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=640k", "tmpfs", log_directory], check=True)
header = RunHeader(service="svc", pid=1, start_ms=1, metrics=(("m", "B", "gauge"),))
writer = Writer(log_directory + "/logs", header)
writer.add(0, 1, [1])
try:
    writer.store_artefact(1, "heap", bytes(1 << 20))
except OSError as error:
    print(error.errno, os.listdir(writer.directory))
print(writer.store_artefact(1, "heap", bytes(1 << 17)))
writer.add(1, 2, [2])
print(writer.write_error)
""",
        prefix=prefix,
    )
    out, err = process.communicate(timeout=EVER_S)
    assert (process.returncode, err) == (0, "")
    assert out == f"{errno.ENOSPC} ['000001.pplog']\n1-heap.pb.gz\nNone\n"


def test_a_limit_to_the_size_of_files_is_an_error_and_no_signal(run):
    lines = run(
        """
import os, resource, sys
from pprofplus.log.format import RunHeader
from pprofplus.log.writer import Writer
header = RunHeader(service="svc", pid=1, start_ms=1, metrics=(("m", "B", "gauge"),))
writer = Writer(os.environ["PPROFPLUS_DIR"], header)
writer.add(0, 1, [1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    writer.store_artefact(1, "heap", bytes((1 << 20) + 1))
except OSError as error:
    print(error.errno, len(os.listdir(writer.directory)))
print(writer.store_artefact(1, "heap", bytes(1 << 20)))
"""
    )
    assert lines == [str(errno.EFBIG), "1", "1-heap.pb.gz"]


# -- foreign files


def test_a_foreign_entry_with_an_artefacts_name_is_not_followed_counted_or_replaced(
    log_directory, tmp_path
):
    writer = begin(log_directory)
    directory = Path(writer.directory)
    before = scanned(log_directory)
    target = tmp_path / "precious"
    target.write_bytes(b"x" * 100_000)
    (directory / f"{UNIX_MS}-heap.pb.gz").symlink_to(target)
    (directory / f"{UNIX_MS + 1}-heap.pb.gz").mkdir()
    os.mkfifo(directory / f"{UNIX_MS + 2}-heap.pb.gz")
    (directory / f".{UNIX_MS + 3}-heap.pb.gz.new").symlink_to(target)
    assert artefact_names(writer) == []
    assert scanned(log_directory) == before
    assert store(writer, 10) == f"{UNIX_MS + 3}-heap.pb.gz"
    assert target.read_bytes() == b"x" * 100_000
    assert (directory / f"{UNIX_MS}-heap.pb.gz").is_symlink()
    writer.close()


# -- removal with the run


def test_artefacts_are_removed_with_their_run_and_nothing_remains(log_directory):
    old, young = begin(log_directory, 1), begin(log_directory, 2)
    for writer in (old, young):
        store(writer, 1000)
        Path(writer.directory, f".{UNIX_MS + 5}-cpu.pb.gz.new").write_bytes(b"half")
        writer.close()
    aged(old, 15)
    aged(young, 13)
    expired(log_directory)
    assert not Path(old.directory).exists()
    assert len(artefact_names(young)) == 1
    assert bound_of(log_directory) == used_bytes(log_directory)


def test_a_pinned_run_keeps_its_artefacts(log_directory):
    pinned = begin(log_directory)
    name = store(pinned, 1000)
    Path(pinned.directory, PIN_NAME).touch()
    pinned.close()
    aged(pinned, 400)
    expired(log_directory)
    assert artefact_names(pinned) == [name]


def test_artefacts_that_an_earlier_release_left_are_removed(log_directory):
    """It removes segments and its other files: a directory without a segment remains."""
    writer = begin(log_directory)
    store(writer, 1000)
    writer.close()
    directory = Path(writer.directory)
    for segment in reference.segments(directory):
        segment.unlink()
    then = time.time() - 15 * DAY_S
    os.utime(directory, (then, then))
    expired(log_directory)
    assert not directory.exists()


KILLED = """
import os, signal, sys
from pprofplus.log import artefacts
from pprofplus.log.format import RunHeader
from pprofplus.log.writer import Writer
header = RunHeader(
    service="svc", pid=101, start_ms=1_795_000_000_001, metrics=(("m", "B", "gauge"),)
)
writer = Writer(os.environ["PPROFPLUS_DIR"], header, max_total_bytes=int(sys.argv[2]))
writer.add(0, 1, [1])
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(artefacts.NewArtefact, sys.argv[1], die)
writer.store_artefact(1, "heap", b"x" * 200_000)
"""


@pytest.mark.parametrize("step", ["write", "publish"])
def test_a_file_that_a_kill_left_unfinished_is_counted_and_removed_with_the_run(
    spawn, log_directory, step
):
    process = spawn(KILLED, step, str(CAP))
    assert process.wait(EVER_S) == -signal.SIGKILL
    (directory,) = reference.runs(log_directory)
    (half,) = directory.glob(".*.new")
    assert half.stat().st_size == 200_000
    assert scanned(log_directory) == used_bytes(log_directory) > 200_000
    for number in range(2, 60):
        begin(log_directory, number, 800).close()
        assert used_bytes(log_directory) <= CAP
    assert not directory.exists()


def test_the_next_write_removes_unfinished_files_of_earlier_ones(log_directory):
    writer = begin(log_directory)
    Path(writer.directory, f".{UNIX_MS}-cpu.pb.gz.new").write_bytes(b"half")
    name = store(writer, 10)
    assert files_of(writer) == ["000001.pplog", name]
    writer.close()


def test_an_unfinished_artefact_is_counted_with_its_final_size_at_any_moment(
    log_directory, monkeypatch
):
    writer = begin(log_directory)
    before = bound_of(log_directory)
    found = []

    def look(self, data):
        found.append(scanned(log_directory))
        write(self, data)
        found.append(scanned(log_directory))

    write = artefacts.NewArtefact.write
    monkeypatch.setattr(artefacts.NewArtefact, "write", look)
    store(writer, 123_456)
    assert found == [before + 123_456] * 2
    assert scanned(log_directory) == before + 123_456
    writer.close()


def test_a_forked_child_closes_an_artefact_that_was_being_written(log_directory):
    writer = begin(log_directory)
    fd = os.open(Path(writer.directory, ".1-heap.pb.gz.new"), os.O_RDWR | os.O_CREAT, 0o600)
    assert close_strays(str(log_directory)) >= 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.slow
def test_concurrent_writers_of_artefacts_keep_the_log_directory_under_its_cap(log_directory, spawn):
    program = """
import os, sys
from pprofplus.log.format import RunHeader
from pprofplus.log.ledger import LedgerBusyError
from pprofplus.log.writer import Writer
for number in range(12):
    header = RunHeader(
        service="svc", pid=os.getpid(), start_ms=1_795_000_000_000 + number,
        metrics=tuple((f"m{i}", "B", "gauge") for i in range(33)),
    )
    writer = Writer(os.environ["PPROFPLUS_DIR"], header, max_total_bytes=int(sys.argv[1]))
    for i in range(60):
        writer.add(1000 * i, i, [int.from_bytes(os.urandom(5), "big") for _ in range(33)])
        if i % 10 == 5:
            try:
                writer.store_artefact(1000 + i, "heap", os.urandom(100_000))
            except OSError as error:
                assert isinstance(error, LedgerBusyError) or error.errno == 122, error
    writer.close()
"""
    cap = 2 << 20
    processes = [spawn(program, str(cap)) for _ in range(4)]
    until = time.monotonic() + EVER_S
    most = 0
    while any(process.poll() is None for process in processes):
        assert time.monotonic() < until
        try:
            most = max(most, used_bytes(log_directory)) if log_directory.exists() else 0
        except FileNotFoundError:
            continue
    assert [(p.returncode, p.communicate()[1]) for p in processes] == [(0, "")] * 4
    assert 1 << 20 < most <= cap
    maintained(log_directory, cap)
    assert scanned(log_directory) == used_bytes(log_directory)


# -- from an action, by the recorder


@pytest.fixture
def collector(log_directory, monkeypatch):
    monkeypatch.setattr(ACTIONS, "_actions", dict(ACTIONS._actions))
    yield pprofplus.start("api", interval_s=0.05)
    pprofplus.stop()


def answer_of(directory, stem):
    return wait_until(lambda: take_answer(directory, stem), EVER_S)


@pytest.mark.parametrize("long", [False, True])
def test_an_action_stores_an_artefact_in_its_run_directory(collector, long):
    def capture(recorder, _, task=None):
        check = None if task is None else task.check
        return recorder.store_artefact("heap", b"profile", why="asked", check=check)

    ACTIONS.register(Action("capture", capture, long=long))
    stem = put_request(collector.directory, Request("capture"))
    done, name = answer_of(collector.directory, stem)
    assert done
    assert Path(collector.directory, name).read_bytes() == b"profile"
    assert abs(parse_artefact_name(name).unix_ms - time.time() * 1000) < EVER_S * 1000


def test_an_artefact_that_cannot_be_stored_is_answered_with_the_error_and_recording_continues(
    collector,
):
    ACTIONS.register(
        Action("capture", lambda r, *_: r.store_artefact("heap", bytes(17 << 20)), long=True)
    )
    done, text = answer_of(
        collector.directory, put_request(collector.directory, Request("capture"))
    )
    assert not done
    assert "File too large" in text
    before = collector.samples
    wait_until(lambda: collector.samples >= before + 3, EVER_S)


def test_an_artefact_is_written_when_a_busy_ledger_is_free(collector, log_directory):
    ACTIONS.register(
        Action("capture", lambda r, *_: r.store_artefact("heap", b"profile"), long=True)
    )
    with ledger_of(log_directory):
        stem = put_request(collector.directory, Request("capture"))
        time.sleep(1)
        assert take_answer(collector.directory, stem) is None
    done, name = answer_of(collector.directory, stem)
    assert done
    assert Path(collector.directory, name).read_bytes() == b"profile"


def test_an_artefact_during_the_end_of_a_run_is_written_or_refused_without_a_wait(
    collector,
):
    ACTIONS.register(
        Action(
            "capture",
            lambda r, _, task: " ".join(
                r.store_artefact("heap", bytes(10_000), check=task.check) for _ in range(10_000)
            ),
            long=True,
        )
    )
    directory = collector.directory
    stem = put_request(directory, Request("capture"))
    wait_until(lambda: list(Path(directory).glob("*.pb.gz")), EVER_S)
    pprofplus.stop()
    assert take_answer(directory, stem) == (False, "cancelled: the recording ends")
    assert list(Path(directory).glob(".*.new")) == []
    assert {path.stat().st_size for path in Path(directory).glob("*.pb.gz")} == {10_000}
