"""The scan of all runs: in slices by any process, and exact while runs change."""

import contextlib
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from kit import linked_runs, reference
from kit.ledger import ledger_of, read_bound
from pprofplus.log import ledger as ledger_module
from pprofplus.log import ledger_scan, retention
from pprofplus.log.format import RunHeader, segment_capacity
from pprofplus.log.ledger import IDLE, VISITING, Ledger, LedgerBusyError
from pprofplus.log.log_directory import LEDGER_NAME, PIN_NAME, RUN_LIST_NAME, open_log_directory
from pprofplus.log.writer import Writer

METRICS = tuple((f"m{i}", "B", "gauge") for i in range(33))
UNIX_MS = 1_795_000_000_000
CAP = 64 << 20


@pytest.fixture
def small_slices(monkeypatch):
    """Let each slice visit three runs, independent of the machine's speed."""
    for name in ("_SLICE_S", "_NEAR_SLICE_S"):
        monkeypatch.setattr(retention, name, 0.0)
    monkeypatch.setattr(retention, "_SLICE_MIN_RUNS", 3)


def bound_of(log_directory):
    with ledger_of(log_directory) as ledger:
        return ledger.bound_bytes


def progress_of(log_directory):
    with ledger_of(log_directory) as ledger:
        return ledger.scan


def due(log_directory):
    """Make the next slice begin a scan, if none is in progress."""
    with ledger_of(log_directory) as ledger:
        ledger.scan.finished_s = 0.0


def one_slice(log_directory, cap=CAP):
    log_directory_fd = open_log_directory(str(log_directory))
    try:
        return retention._maintain_once(log_directory_fd, cap)
    finally:
        os.close(log_directory_fd)


def whole_scan(log_directory, cap=CAP):
    """Scan the log directory in slices; return their number."""
    due(log_directory)
    slices = 0
    while slices == 0 or progress_of(log_directory).phase != IDLE:
        one_slice(log_directory, cap)
        slices += 1
        assert slices < 10_000
    return slices


def truth(log_directory):
    """The bytes on disk, and those that live runs may add, counted without the code under test."""
    total = 0
    for directory in Path(log_directory).glob("*/*-*"):
        sizes = {path: path.stat().st_size for path in directory.glob("*.pplog")}
        total += sum(sizes.values())
        if sizes and reference.is_live(directory):
            newest = max(sizes)
            total += max(0, segment_capacity(newest.read_bytes()[:64]) - sizes[newest])
    return total


def writer_of(log_directory, number, *, start_ms=None, service="svc", **options):
    start_ms = UNIX_MS + number if start_ms is None else start_ms
    header = RunHeader(service=service, pid=100 + number, start_ms=start_ms, metrics=METRICS)
    options = {"max_bytes": 4 << 20, "max_total_bytes": CAP, **options}
    return Writer(str(log_directory), header, **options)


def fill(writer, samples, source, since=0):
    for i in range(since, since + samples):
        values = [source.randrange(1 << 40) for _ in METRICS]
        writer.add(1000 * i, UNIX_MS + 1000 * i, values)


def ended_runs(log_directory, count, *, service="svc", first=0):
    """Create many ended runs quickly: copies of one segment."""
    writer = writer_of(log_directory, 9_000_000 + first, service=service)
    fill(writer, 3, random.Random(1))
    writer.close()
    (segment,) = reference.segments(writer.directory)
    data = segment.read_bytes()
    for number in range(first, first + count):
        directory = Path(log_directory) / service / f"{100 + number}-{UNIX_MS + number}"
        directory.mkdir(mode=0o700)
        (directory / segment.name).write_bytes(data)
        ended = time.time() - 86_400 + number
        os.utime(directory / segment.name, (ended, ended))
    return len(data)


def earlier_ledger(log_directory, bound):
    """Write the ledger like the former release: 28 bytes."""
    start = struct.pack("<8sqd", b"PPLEDG1\n", bound, time.time())
    fd = os.open(Path(log_directory) / LEDGER_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, start + zlib.crc32(start).to_bytes(4, "little"), 0)
    os.close(fd)


def test_the_reservation_of_a_killed_process_is_free_after_a_scan(log_directory):
    program = (
        "import os, sys, pprofplus\n"
        "pprofplus.start('job', directory=sys.argv[1], interval_s=3600)\n"
        "os._exit(0)\n"
    )
    for _ in range(5):
        subprocess.run([sys.executable, "-c", program, str(log_directory)], check=True)
    leaked = bound_of(log_directory) - truth(log_directory)
    assert leaked > 5 * 30_000
    whole_scan(log_directory)
    assert bound_of(log_directory) == truth(log_directory) > 0


@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize("few", [1000, 5])
def test_a_scan_in_slices_counts_all_bytes_exactly(log_directory, monkeypatch, few):
    monkeypatch.setattr(ledger_scan, "_FEW_RUNS", few)
    ended_runs(log_directory, 50)
    ended_runs(log_directory, 30, service="other", first=1000)
    living = writer_of(log_directory, 3000)
    fill(living, 400, random.Random(2))
    with ledger_of(log_directory) as ledger:
        ledger.bound_bytes = CAP * 3
    assert whole_scan(log_directory) > 5
    assert bound_of(log_directory) == truth(log_directory)
    living.close()
    assert bound_of(log_directory) == truth(log_directory)


SLICE = """
import os, sys
from pprofplus.log import inventory
from pprofplus.log import retention
from pprofplus.log import ledger_scan
from pprofplus.log.log_directory import open_log_directory
retention._SLICE_S = retention._NEAR_SLICE_S = 0.0
retention._SLICE_MIN_RUNS = 40
ledger_scan._FEW_RUNS = int(sys.argv[2])
if sys.argv[3] == "killed":
    visits = []
    visit = ledger_scan.visit
    def last(*words):
        visits.append(words)
        if len(visits) == 20:
            os.kill(os.getpid(), 9)
        return visit(*words)
    ledger_scan.visit = last
retention._maintain_once(open_log_directory(sys.argv[1]), 64 << 20)
os._exit(0)
"""


@pytest.mark.parametrize("few", [1000, 5])
def test_processes_that_live_for_one_slice_complete_a_scan_together(log_directory, few):
    """Every second process is killed during its slice, under the lock."""
    ended_runs(log_directory, 400)
    with ledger_of(log_directory) as ledger:
        ledger.bound_bytes = CAP * 3
    due(log_directory)
    ends = []
    for number in range(40):
        how = "killed" if number % 2 else "whole"
        command = [sys.executable, "-c", SLICE, str(log_directory), str(few), how]
        ends.append(subprocess.run(command, check=False).returncode)
        if progress_of(log_directory).finished_s:
            break
    assert set(ends) == {0, -9}
    assert 8 < len(ends) < 40
    assert bound_of(log_directory) == truth(log_directory)


class _Chaos:
    """Runs that begin, grow, end, are removed, and are killed, during a scan."""

    def __init__(self, log_directory, seed, *, kills):
        self.log_directory = log_directory
        self.source = random.Random(seed)
        self.kills = kills
        self.live = []
        self.number = 0

    def begin(self):
        self.number += 1
        start_ms = UNIX_MS + self.number * 10
        if self.source.random() < 0.3:  # its clock was behind, or it took its first sample early
            start_ms -= 500_000 + self.source.randrange(400_000)
        writer = writer_of(self.log_directory, self.number, start_ms=start_ms)
        fill(writer, 1, self.source)
        self.live.append([writer, 1])

    def grow(self):
        if self.live:
            entry = self.source.choice(self.live)
            fill(entry[0], 120, self.source, entry[1])
            entry[1] += 120

    def end(self):
        if self.live:
            self.live.pop(self.source.randrange(len(self.live)))[0].close()

    def kill(self):
        if self.live and self.kills:
            self.live.pop(self.source.randrange(len(self.live)))[0].abandon()

    def remove(self):
        log_directory_fd = open_log_directory(str(self.log_directory))
        ledger = Ledger.acquire(log_directory_fd)
        found = ledger_scan.Scan(log_directory_fd, ledger)
        try:
            if self.source.random() < 0.5:
                found.remove_oldest(30_000, 0.0, 1, certain_only=False)
            else:
                found.remove_one_of_many(30_000)
            found.end_slice(keep=True)
            ledger.save()
        finally:
            found.close()
            ledger.unlock()
            os.close(log_directory_fd)

    def step(self):
        actions = [self.begin, self.grow, self.grow, self.end, self.kill, self.remove]
        self.source.choice(actions)()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize("few", [1000, 3])
def test_a_scan_is_exact_while_runs_are_opened_closed_and_removed(
    log_directory, monkeypatch, seed, few
):
    monkeypatch.setattr(ledger_scan, "_FEW_RUNS", few)
    chaos = _Chaos(log_directory, seed, kills=False)
    for _ in range(30):
        chaos.begin()
        if chaos.source.random() < 0.7:
            chaos.end()
    scans = 0
    for _ in range(150):
        if progress_of(log_directory).phase == IDLE:
            due(log_directory)
        one_slice(log_directory)
        scans += progress_of(log_directory).phase == IDLE
        assert bound_of(log_directory) == truth(log_directory)
        chaos.step()
        assert bound_of(log_directory) == truth(log_directory)
    assert scans > 3


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.usefixtures("small_slices")
def test_the_ledger_is_never_below_the_actual_size_even_if_processes_are_killed(
    log_directory, seed
):
    chaos = _Chaos(log_directory, seed, kills=True)
    for _ in range(20):
        chaos.begin()
        chaos.step()
    for _ in range(200):
        if progress_of(log_directory).phase == IDLE:
            due(log_directory)
        one_slice(log_directory)
        chaos.step()
        assert bound_of(log_directory) >= truth(log_directory)
    whole_scan(log_directory)
    assert bound_of(log_directory) == truth(log_directory)


def test_a_ledger_of_an_earlier_release_is_read_and_corrected(log_directory):
    ended_runs(log_directory, 20)
    (log_directory / LEDGER_NAME).unlink()
    earlier_ledger(log_directory, 1 << 30)
    assert bound_of(log_directory) == 1 << 30
    whole_scan(log_directory, cap=1 << 30)
    assert bound_of(log_directory) == truth(log_directory)


@pytest.mark.usefixtures("small_slices")
def test_a_reservation_by_an_earlier_release_during_a_scan_is_counted(log_directory):
    ended_runs(log_directory, 40)
    due(log_directory)
    for _ in range(3):
        one_slice(log_directory)
    assert progress_of(log_directory).phase == VISITING
    earlier_ledger(log_directory, bound_of(log_directory) + (1 << 20))
    while progress_of(log_directory).phase != IDLE:
        one_slice(log_directory)
    assert bound_of(log_directory) >= truth(log_directory) + (1 << 20)


def test_an_earlier_release_reads_its_part_of_the_ledger_as_before(log_directory):
    ended_runs(log_directory, 3)
    whole_scan(log_directory)
    raw = (log_directory / LEDGER_NAME).read_bytes()[:28]
    magic, bound, _, crc = struct.unpack("<8sqdI", raw)
    assert (magic, bound) == (b"PPLEDG1\n", truth(log_directory))
    assert crc == zlib.crc32(raw[:-4])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.usefixtures("small_slices")
def test_a_damaged_ledger_or_list_is_never_trusted_and_the_next_scan_is_right(
    log_directory, monkeypatch, seed
):
    monkeypatch.setattr(ledger_scan, "_FEW_RUNS", 5)
    source = random.Random(seed)
    ended_runs(log_directory, 40)
    due(log_directory)
    for _ in range(4):
        one_slice(log_directory)
    assert progress_of(log_directory).phase == VISITING
    for _ in range(10):
        for name in (LEDGER_NAME, RUN_LIST_NAME):
            path = log_directory / name
            if not path.exists():
                continue
            data = bytearray(path.read_bytes())
            how = source.randrange(4)
            if how == 0:
                data[source.randrange(len(data))] ^= 1 << source.randrange(8)
            elif how == 1:
                del data[source.randrange(len(data)) :]
            elif how == 2:  # as after a power failure
                at = source.randrange(len(data))
                data[at:] = bytes(len(data) - at)
            path.write_bytes(bytes(data))
        one_slice(log_directory)
    monkeypatch.setattr(ledger_scan, "_FEW_RUNS", 1000)
    with ledger_of(log_directory) as ledger:
        ledger.scan.phase = IDLE
    whole_scan(log_directory)
    assert bound_of(log_directory) == truth(log_directory)
    assert len(reference.runs(log_directory)) == 41


@pytest.mark.usefixtures("small_slices")
def test_a_random_list_file_keeps_no_run_from_recording(log_directory, monkeypatch):
    monkeypatch.setattr(ledger_scan, "_FEW_RUNS", 20)
    size_bytes = ended_runs(log_directory, 60)
    cap = truth(log_directory) + size_bytes
    for visits in (0, 3, 200):
        due(log_directory)
        for _ in range(1 + visits):
            one_slice(log_directory)
        data = bytearray((log_directory / RUN_LIST_NAME).read_bytes())
        data[-60 * 26 :] = random.Random(visits).randbytes(60 * 26)
        (log_directory / RUN_LIST_NAME).write_bytes(bytes(data))
        with ledger_of(log_directory) as ledger:
            ledger.bound_bytes = cap
        writer = writer_of(log_directory, 70_000 + visits, max_total_bytes=cap)
        fill(writer, 3, random.Random(4))
        assert (writer.samples, writer.write_error) == (3, None)
        writer.close()
        assert truth(log_directory) <= cap


@pytest.mark.usefixtures("small_slices")
def test_among_many_pinned_runs_no_room_is_reported_only_when_it_is_certain(
    log_directory, monkeypatch
):
    monkeypatch.setattr(ledger_scan, "_FEW_RUNS", 5)
    ended_runs(log_directory, 60)
    for directory in reference.runs(log_directory):
        (directory / PIN_NAME).touch()
    cap = truth(log_directory)
    with ledger_of(log_directory) as ledger:
        ledger.bound_bytes = cap
    writer = writer_of(log_directory, 5000, max_total_bytes=cap)
    fill(writer, 1, random.Random(4))
    # not known yet: the next sample tries again
    assert (writer.samples, writer.write_error) == (0, None)
    whole_scan(log_directory, cap)
    fill(writer, 1, random.Random(4), 1)
    assert "live and pinned runs take all" in str(writer.write_error)
    assert len(reference.runs(log_directory)) == 61
    assert truth(log_directory) == cap


@pytest.mark.parametrize("what", ["pipe", "link", "directory"])
def test_a_foreign_file_instead_of_the_list_is_not_followed_and_stops_no_recording(
    log_directory, tmp_path, monkeypatch, what
):
    monkeypatch.setattr(ledger_scan, "_FEW_RUNS", 5)
    ended_runs(log_directory, 20)
    planted = log_directory / RUN_LIST_NAME
    if what == "pipe":
        os.mkfifo(planted)
    elif what == "link":
        (tmp_path / "target").write_bytes(b"precious")
        planted.symlink_to(tmp_path / "target")
    else:
        planted.mkdir()
    due(log_directory)
    for _ in range(5):
        with contextlib.suppress(OSError):
            one_slice(log_directory)
    writer = writer_of(log_directory, 50_000)
    fill(writer, 3, random.Random(3))
    assert (writer.samples, writer.write_error) == (3, None)
    writer.close()
    if what == "link":
        assert (tmp_path / "target").read_bytes() == b"precious"


def test_an_old_empty_run_directory_is_removed_but_not_a_new_one(log_directory):
    ended_runs(log_directory, 2)
    old, young = log_directory / "svc" / "7-1000", log_directory / "svc" / "8-2000"
    old.mkdir(mode=0o700)
    os.utime(old, (time.time() - 3600,) * 2)
    young.mkdir(mode=0o700)
    whole_scan(log_directory)
    assert not old.exists()
    assert young.exists()


def test_two_processes_do_not_list_many_runs_at_the_same_time(log_directory, monkeypatch):
    monkeypatch.setattr(ledger_scan, "_FEW_RUNS", 5)
    ended_runs(log_directory, 20)
    due(log_directory)
    log_directory_fd = open_log_directory(str(log_directory))
    ledger = Ledger.acquire(log_directory_fd)
    first = ledger_scan.Scan(log_directory_fd, ledger)
    assert not first.begin()
    number, fd = first.begin_long_list()
    ledger.save()
    first.close()
    ledger.unlock()
    # it is listing, and alive
    assert one_slice(log_directory) == retention._PAUSE_S
    assert progress_of(log_directory).number == number
    # it is killed: another process begins a new scan
    os.close(fd)
    one_slice(log_directory)
    assert progress_of(log_directory).number == number + 1
    os.close(log_directory_fd)


def test_a_list_that_is_finished_too_late_is_discarded(log_directory, monkeypatch):
    monkeypatch.setattr(ledger_scan, "_FEW_RUNS", 5)
    ended_runs(log_directory, 20)
    due(log_directory)
    with ledger_of(log_directory) as ledger:
        log_directory_fd = open_log_directory(str(log_directory))
        first = ledger_scan.Scan(log_directory_fd, ledger)
        assert not first.begin()
        number, fd = first.begin_long_list()
        first.close()
    with ledger_of(log_directory) as ledger:
        ledger.scan.number += 1
    with pytest.raises(LedgerBusyError):
        ledger_scan.make_long_list(log_directory_fd, number, fd)
    assert progress_of(log_directory).number == number + 1
    os.close(log_directory_fd)


@pytest.mark.usefixtures("small_slices")
def test_runs_that_ended_first_are_removed_first_even_if_others_started_earlier(log_directory):
    size_bytes = ended_runs(log_directory, 60)
    # the run that started first ended last
    last = log_directory / "svc" / f"100-{UNIX_MS}" / "000001.pplog"
    os.utime(last, (time.time() - 60,) * 2)
    cap = truth(log_directory) + size_bytes
    with ledger_of(log_directory) as ledger:
        ledger.bound_bytes = truth(log_directory)
    due(log_directory)
    whole_scan(log_directory, cap)
    while one_slice(log_directory, cap) == 0:
        pass
    assert last.exists()
    left = {int(path.name.split("-")[0]) - 100 for path in reference.runs(log_directory, "svc")}
    gone = set(range(60)) - left
    assert gone == set(range(1, 1 + len(gone)))
    assert 2 < len(gone) < 30
    assert bound_of(log_directory) == truth(log_directory) < cap - cap // 16


def test_the_progress_record_fits_into_one_block():
    """A kill leaves both records of the ledger or neither: it is one short write."""
    assert ledger_module._SCAN_AT + ledger_module._SCAN.size <= 512


def test_a_pinned_run_is_counted_but_not_a_candidate(log_directory):
    ended_runs(log_directory, 3)
    for directory in reference.runs(log_directory):
        (directory / PIN_NAME).touch()
    size_bytes = truth(log_directory)
    whole_scan(log_directory, cap=size_bytes)
    assert progress_of(log_directory).full
    for _ in range(10):
        one_slice(log_directory, cap=size_bytes)
    assert len(reference.runs(log_directory)) == 4
    assert bound_of(log_directory) == size_bytes


def test_without_a_ledger_a_start_removes_no_run_of_a_log_directory_below_its_cap(tmp_path, run):
    log_directory = tmp_path / "logs"
    linked_runs.fill(log_directory, 12_000)
    (log_directory / ".ledger").unlink()
    run(
        "import struct, time, pprofplus\n"
        f"c = pprofplus.start('late', directory={str(log_directory)!r}, interval_s=0.05)\n"
        "assert c.samples == 1\n"
        "def bound():\n"
        f"    raw = open({str(log_directory / '.ledger')!r}, 'rb').read()\n"
        "    return struct.unpack_from('<q', raw, 8)[0]\n"
        "until = time.monotonic() + 50\n"
        "while bound() < 0:\n"
        "    assert time.monotonic() < until\n"
        "    time.sleep(0.05)\n"
        "pprofplus.stop()\n"
    )
    assert len(list(log_directory.glob("ended/*"))) == 12_000
    assert len(list(log_directory.glob("late/*"))) == 1
    # the scan has counted them all
    assert read_bound(log_directory) == sum(
        each.stat().st_size for each in log_directory.glob("*/*/*.pplog")
    )
