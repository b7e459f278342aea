"""A log directory with many runs: within its cap to the byte; live and pinned runs are kept."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit import reference
from kit.ledger import ledger_of
from pprofplus.log import ledger_scan, retention
from pprofplus.log.format import RunHeader, segment_capacity
from pprofplus.log.ledger import Ledger, LedgerBusyError
from pprofplus.log.log_directory import LEDGER_NAME, PIN_NAME, open_log_directory
from pprofplus.log.retention import request_expiry
from pprofplus.log.writer import Writer

METRICS = tuple((f"m{i}", "B", "gauge") for i in range(33))
UNIX_MS = 1_795_000_000_000
CAP = 1 << 20
DAY_S = 86_400


def record(log_directory, number, samples, *, open_still=False, **options):
    """Write a run; return its writer, closed unless the run is to stay live."""
    header = RunHeader(service="svc", pid=100 + number, start_ms=UNIX_MS + number, metrics=METRICS)
    options = {"max_bytes": CAP, "max_total_bytes": CAP, **options}
    writer = Writer(str(log_directory), header, **options)
    source = random.Random(number)
    for i in range(samples):
        values = [source.randrange(1 << 40) for _ in METRICS]
        writer.add(1000 * i, UNIX_MS + 1000 * i, values)
    if not open_still:
        writer.close()
    return writer


def names(log_directory):
    return {path.name.split("-")[0] for path in reference.runs(log_directory)}


def aged(writer, days):
    """Make a run look as if it had ended at that time."""
    then = time.time() - days * DAY_S
    for path in reference.segments(writer.directory):
        os.utime(path, (then, then))


def tended(log_directory, max_total_bytes=CAP):
    """Do all maintenance that is due for the log directory, in slices like a collector."""
    log_directory_fd = open_log_directory(str(log_directory))
    try:
        while retention._maintain_once(log_directory_fd, max_total_bytes) <= retention._PAUSE_S:
            pass
    finally:
        os.close(log_directory_fd)


def swept(log_directory, max_age_days=14.0, *, since_s=7200):
    """Request an expiry with that age of the last one; return the number of runs removed."""
    before = names(log_directory)
    with ledger_of(log_directory) as ledger:
        ledger.expiry_checked_s = time.time() - since_s
    request_expiry(str(log_directory), max_age_days)
    tended(log_directory)
    return len(before - names(log_directory))


def test_many_ended_runs_keep_the_log_directory_within_its_cap_to_the_byte(log_directory):
    for number in range(20):
        writer = record(log_directory, number, 0, open_still=True)
        source = random.Random(number)
        for i in range(300):
            values = [source.randrange(1 << 40) for _ in METRICS]
            writer.add(1000 * i, UNIX_MS + 1000 * i, values)
            assert reference.used_bytes(log_directory) <= CAP
        writer.close()
    assert reference.used_bytes(log_directory) > CAP // 2
    # the newest ones exist, the oldest do not
    assert "119" in names(log_directory)
    assert "100" not in names(log_directory)


def test_the_run_that_ended_first_is_removed_first_not_the_one_that_started_first(log_directory):
    first = record(log_directory, 1, 600)
    second = record(log_directory, 2, 600)
    aged(first, 1)
    aged(second, 2)
    for number in range(3, 20):
        if {"101", "102"} - names(log_directory):
            break
        record(log_directory, number, 600)
    assert "101" in names(log_directory)
    assert "102" not in names(log_directory)


def test_a_live_run_is_never_removed(log_directory):
    living = record(log_directory, 1, 600, open_still=True)
    aged(living, 400)
    for number in range(2, 30):
        record(log_directory, number, 600)
    assert len(names(log_directory)) < 29
    assert len(reference.Run(living.directory).samples) == 600
    assert swept(log_directory) >= 0
    assert len(reference.Run(living.directory).samples) == 600
    living.close()


def test_a_pinned_run_is_never_removed(log_directory):
    pinned = record(log_directory, 1, 600)
    (Path(pinned.directory) / PIN_NAME).touch()
    aged(pinned, 400)
    for number in range(2, 30):
        record(log_directory, number, 600)
    assert swept(log_directory) >= 0
    assert len(reference.Run(pinned.directory).samples) == 600


def test_a_log_directory_full_of_pinned_runs_accepts_no_more_and_warns(log_directory):
    number = 0
    while number < 50 and reference.used_bytes(log_directory) + (256 << 10) < CAP:
        number += 1
        writer = record(log_directory, number, 800)
        if Path(writer.directory).exists():
            (Path(writer.directory) / PIN_NAME).touch()
    for _ in range(10):
        number += 1
        record(log_directory, number, 200)
    late = record(log_directory, 99, 50, open_still=True, max_bytes=256 << 10)
    assert reference.used_bytes(log_directory) <= CAP
    if late.write_error is not None:
        assert "max_total_bytes" in str(late.write_error)
    late.close()


def test_a_run_drops_its_oldest_segments_before_it_loses_new_samples(log_directory):
    """One live run alone is larger than the cap of the log directory."""
    writer = record(log_directory, 1, 6000, open_still=True, max_bytes=64 << 20)
    assert reference.used_bytes(log_directory) <= CAP
    assert writer.write_error is None
    assert writer.samples == 6000
    writer.close()
    samples = reference.Run(writer.directory).samples
    assert samples[-1][0] == 5999 * 1000
    assert len(samples) > 500


def test_the_reservation_of_a_live_run_is_counted(log_directory):
    writers = [
        record(log_directory, n, 5, open_still=True, max_total_bytes=2 << 20, max_bytes=256 << 10)
        for n in range(40)
    ]
    capacity = 0
    for writer in writers:
        if writer.samples:
            (segment,) = reference.segments(writer.directory)
            capacity += segment_capacity(segment.read_bytes()[:64])
    assert 0 < capacity <= 2 << 20
    assert any(writer.samples == 0 for writer in writers)  # there was not enough room for all
    for writer in writers:
        writer.close()


def test_runs_older_than_the_maximum_age_are_removed(log_directory):
    old, young = record(log_directory, 1, 10), record(log_directory, 2, 10)
    aged(old, 15)
    aged(young, 13)
    assert swept(log_directory) == 1
    assert names(log_directory) == {"102"}


def test_expired_runs_are_removed_once_an_hour(log_directory):
    old = record(log_directory, 1, 10)
    aged(old, 15)
    assert swept(log_directory, since_s=60) == 0
    assert names(log_directory) == {"101"}


def test_after_a_step_of_the_clock_the_first_check_removes_no_run_for_its_age(log_directory):
    old = record(log_directory, 1, 10)
    aged(old, 15)
    assert swept(log_directory, since_s=30 * DAY_S) == 0
    assert names(log_directory) == {"101"}
    assert swept(log_directory, since_s=3700) == 1


def test_foreign_files_and_their_directory_stay(log_directory):
    old = record(log_directory, 1, 10)
    (Path(old.directory) / "notes.txt").write_text("mine")
    (log_directory / "svc" / "keep.me").touch()
    (log_directory / "README").touch()
    aged(old, 15)
    swept(log_directory)
    assert [path.name for path in Path(old.directory).iterdir()] == ["notes.txt"]
    assert (log_directory / "svc" / "keep.me").exists()
    assert (log_directory / "README").exists()


def test_links_and_foreign_entries_among_the_runs_are_not_followed(log_directory, tmp_path):
    target = record(tmp_path / "other", 1, 10)
    aged(target, 400)
    record(log_directory, 2, 10)
    (log_directory / "svc" / "4-400").symlink_to(target.directory)
    (log_directory / "evil").symlink_to(Path(target.directory).parent)
    (log_directory / "svc" / "5-500").mkfifo() if hasattr(Path, "mkfifo") else os.mkfifo(
        log_directory / "svc" / "5-500"
    )
    inner = log_directory / "svc" / "6-600"
    inner.mkdir(mode=0o700)
    (inner / "000001.pplog").symlink_to(next(iter(reference.segments(target.directory))))
    os.mkfifo(inner / "000002.pplog")
    swept(log_directory, 0.01)
    assert len(reference.Run(target.directory).samples) == 10


def test_a_damaged_or_missing_ledger_is_rebuilt_from_the_directories(log_directory):
    for number in range(8):
        record(log_directory, number, 600)
    for text in (b"", b"\xff" * 64, b"short"):
        (log_directory / LEDGER_NAME).write_bytes(text)
        number += 1
        record(log_directory, number, 600)
        assert reference.used_bytes(log_directory) <= CAP
    (log_directory / LEDGER_NAME).unlink()
    record(log_directory, 50, 600)
    assert reference.used_bytes(log_directory) <= CAP


def test_a_fifo_or_a_link_instead_of_the_ledger_is_refused_with_one_line(log_directory, tmp_path):
    log_directory.mkdir(mode=0o700)
    os.mkfifo(log_directory / LEDGER_NAME)
    writer = record(log_directory, 1, 3)
    assert "remove it" in str(writer.write_error)
    (log_directory / LEDGER_NAME).unlink()
    (tmp_path / "target").write_bytes(b"precious")
    (log_directory / LEDGER_NAME).symlink_to(tmp_path / "target")
    writer = record(log_directory, 2, 3)
    assert "remove it" in str(writer.write_error)
    assert (tmp_path / "target").read_bytes() == b"precious"


def test_a_busy_ledger_is_waited_for_without_a_warning_and_nothing_is_lost(log_directory):
    record(log_directory, 1, 3)
    log_directory_fd = open_log_directory(str(log_directory))
    ledger = Ledger.acquire(log_directory_fd)
    with pytest.raises(LedgerBusyError):
        Ledger.acquire(log_directory_fd, timeout_s=0.002)
    writer = record(log_directory, 2, 3, open_still=True)
    assert (writer.samples, writer.write_error) == (0, None)
    ledger.unlock()
    os.close(log_directory_fd)
    writer.add(99_000, UNIX_MS + 99_000, [0] * 33)
    assert (writer.samples, writer.lost) == (4, 0)
    writer.close()


def test_a_ledger_whose_holder_hangs_does_not_stop_recording(log_directory, monkeypatch):
    monkeypatch.setattr("pprofplus.log.run_directory._BUSY_TIMEOUT_S", 0.0)
    record(log_directory, 1, 3)
    log_directory_fd = open_log_directory(str(log_directory))
    ledger = Ledger.acquire(log_directory_fd)
    writer = record(log_directory, 2, 3)
    assert writer.samples == 3
    ledger.unlock()
    os.close(log_directory_fd)


def test_a_new_process_does_not_read_the_existing_runs(log_directory, monkeypatch):
    for number in range(3):
        record(log_directory, number, 3)
    looks = []
    list_runs = ledger_scan.list_runs
    monkeypatch.setattr(
        ledger_scan, "list_runs", lambda *words: looks.append(1) or list_runs(*words)
    )
    for number in range(3, 6):
        record(log_directory, number, 3, max_bytes=256 << 10)
    assert looks == []


_ENFORCER = """
import os, random, sys
sys.path.insert(0, {collector!r})
from pprofplus.log.format import RunHeader
from pprofplus.log.log_directory import LEDGER_NAME, PIN_NAME, open_log_directory
from pprofplus.log.ledger import LedgerBusyError
from pprofplus.log.retention import _maintain_once
from pprofplus.log.writer import Writer
log_directory, number = sys.argv[1], int(sys.argv[2])
metrics = tuple((f"m{{i}}", "B", "gauge") for i in range(33))
source = random.Random(number)
lost = 0
for round in range(30):
    header = RunHeader(service="svc", pid=number * 1000 + round, start_ms={unix}, metrics=metrics)
    writer = Writer(log_directory, header, max_bytes=256 << 10, max_total_bytes=1 << 20)
    for i in range(60):
        writer.add(1000 * i, {unix} + 1000 * i, [source.randrange(1 << 40) for _ in metrics])
        assert writer.write_error is None or "max_total" in str(writer.write_error)
    writer.add(10**6, {unix} + 10**6, [0] * 33)
    assert os.path.isdir(writer.directory) or not writer.samples
    writer.close()
    log_directory_fd = open_log_directory(log_directory)
    try:
        _maintain_once(log_directory_fd, 1 << 20)
    except LedgerBusyError:
        pass
    os.close(log_directory_fd)
print("done")
"""


def test_processes_that_enforce_the_cap_concurrently_remove_no_live_or_pinned_run(
    log_directory,
):
    living = record(log_directory, 1, 100, open_still=True, max_bytes=256 << 10)
    pinned = record(log_directory, 2, 100, max_bytes=256 << 10)
    (Path(pinned.directory) / PIN_NAME).touch()
    aged(pinned, 300)
    collector = str(Path(retention.__file__).parents[2])
    program = _ENFORCER.format(collector=collector, unix=UNIX_MS)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(log_directory), str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(1, 5)
    ]
    most = 0
    while any(process.poll() is None for process in processes):
        most = max(most, _sizes_while_they_change(log_directory))
        time.sleep(0.01)
    outputs = [process.communicate() for process in processes]
    assert outputs == [("done\n", "")] * 4
    assert most <= CAP
    assert len(reference.Run(living.directory).samples) == 100
    assert len(reference.Run(pinned.directory).samples) == 100
    living.close()


def _sizes_while_they_change(log_directory):
    try:
        return reference.used_bytes(log_directory)
    except FileNotFoundError:
        return 0
