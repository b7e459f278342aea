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


def record(home, number, samples, *, open_still=False, **options):
    """Write a run; return its writer, closed unless the run is to stay live."""
    header = RunHeader(service="svc", pid=100 + number, start_ms=UNIX_MS + number, metrics=METRICS)
    options = {"max_bytes": CAP, "max_total_bytes": CAP, **options}
    writer = Writer(str(home), header, **options)
    source = random.Random(number)  # noqa: S311 - not for secrets
    for i in range(samples):
        values = [source.randrange(1 << 40) for _ in METRICS]
        writer.add(1000 * i, UNIX_MS + 1000 * i, values)
    if not open_still:
        writer.close()
    return writer


def names(home):
    return {path.name.split("-")[0] for path in reference.runs(home)}


def aged(writer, days):
    """Make a run look as if it had ended at that time."""
    then = time.time() - days * DAY_S
    for path in reference.segments(writer.directory):
        os.utime(path, (then, then))


def tended(home, max_total_bytes=CAP):
    """Do all maintenance that is due for the log directory, in slices like a collector."""
    log_directory_fd = open_log_directory(str(home))
    try:
        while retention._maintain_once(log_directory_fd, max_total_bytes) <= retention._PAUSE_S:
            pass
    finally:
        os.close(log_directory_fd)


def swept(home, max_age_days=14.0, *, since_s=7200):
    """Request an expiry with that age of the last one; return the number of runs removed."""
    before = names(home)
    with ledger_of(home) as ledger:
        ledger.expiry_checked_s = time.time() - since_s
    request_expiry(str(home), max_age_days)
    tended(home)
    return len(before - names(home))


@pytest.fixture
def place(tmp_path):
    return tmp_path / "logs"


def test_many_ended_runs_keep_the_log_directory_within_its_cap_to_the_byte(place):
    for number in range(20):
        writer = record(place, number, 0, open_still=True)
        source = random.Random(number)  # noqa: S311 - not for secrets
        for i in range(300):
            values = [source.randrange(1 << 40) for _ in METRICS]
            writer.add(1000 * i, UNIX_MS + 1000 * i, values)
            assert reference.used_bytes(place) <= CAP
        writer.close()
    assert reference.used_bytes(place) > CAP // 2
    # the newest ones exist, the oldest do not
    assert "119" in names(place)
    assert "100" not in names(place)


def test_the_run_that_ended_first_is_removed_first_not_the_one_that_started_first(place):
    first = record(place, 1, 600)
    second = record(place, 2, 600)
    aged(first, 1)
    aged(second, 2)
    for number in range(3, 20):
        if {"101", "102"} - names(place):
            break
        record(place, number, 600)
    assert "101" in names(place)
    assert "102" not in names(place)


def test_a_live_run_is_never_removed(place):
    living = record(place, 1, 600, open_still=True)
    aged(living, 400)
    for number in range(2, 30):
        record(place, number, 600)
    assert len(names(place)) < 29
    assert len(reference.Run(living.directory).samples) == 600
    assert swept(place) >= 0
    assert len(reference.Run(living.directory).samples) == 600
    living.close()


def test_a_pinned_run_is_never_removed(place):
    pinned = record(place, 1, 600)
    (Path(pinned.directory) / PIN_NAME).touch()
    aged(pinned, 400)
    for number in range(2, 30):
        record(place, number, 600)
    assert swept(place) >= 0
    assert len(reference.Run(pinned.directory).samples) == 600


def test_a_log_directory_full_of_pinned_runs_accepts_no_more_and_says_so(place):
    number = 0
    while number < 50 and reference.used_bytes(place) + (256 << 10) < CAP:
        number += 1
        writer = record(place, number, 800)
        if Path(writer.directory).exists():
            (Path(writer.directory) / PIN_NAME).touch()
    for _ in range(10):
        number += 1
        record(place, number, 200)
    late = record(place, 99, 50, open_still=True, max_bytes=256 << 10)
    assert reference.used_bytes(place) <= CAP
    if late.write_error is not None:
        assert "max_total_bytes" in str(late.write_error)
    late.close()


def test_a_run_drops_its_oldest_segments_before_it_loses_new_samples(place):
    """One live run alone is larger than the cap of the log directory."""
    writer = record(place, 1, 6000, open_still=True, max_bytes=64 << 20)
    assert reference.used_bytes(place) <= CAP
    assert writer.write_error is None
    assert writer.samples == 6000
    writer.close()
    samples = reference.Run(writer.directory).samples
    assert samples[-1][0] == 5999 * 1000
    assert len(samples) > 500


def test_the_reservation_of_a_live_run_is_counted(place):
    writers = [
        record(place, n, 5, open_still=True, max_total_bytes=2 << 20, max_bytes=256 << 10)
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


def test_runs_older_than_the_maximum_age_are_removed(place):
    old, young = record(place, 1, 10), record(place, 2, 10)
    aged(old, 15)
    aged(young, 13)
    assert swept(place) == 1
    assert names(place) == {"102"}


def test_expired_runs_are_removed_once_an_hour(place):
    old = record(place, 1, 10)
    aged(old, 15)
    assert swept(place, since_s=60) == 0
    assert names(place) == {"101"}


def test_after_a_step_of_the_clock_the_first_check_removes_no_run_for_its_age(place):
    old = record(place, 1, 10)
    aged(old, 15)
    assert swept(place, since_s=30 * DAY_S) == 0
    assert names(place) == {"101"}
    assert swept(place, since_s=3700) == 1


def test_foreign_files_and_their_directory_stay(place):
    old = record(place, 1, 10)
    (Path(old.directory) / "notes.txt").write_text("mine")
    (place / "svc" / "keep.me").touch()
    (place / "README").touch()
    aged(old, 15)
    swept(place)
    assert [path.name for path in Path(old.directory).iterdir()] == ["notes.txt"]
    assert (place / "svc" / "keep.me").exists()
    assert (place / "README").exists()


def test_links_and_foreign_entries_among_the_runs_are_not_followed(place, tmp_path):
    target = record(tmp_path / "other", 1, 10)
    aged(target, 400)
    record(place, 2, 10)
    (place / "svc" / "4-400").symlink_to(target.directory)
    (place / "evil").symlink_to(Path(target.directory).parent)
    (place / "svc" / "5-500").mkfifo() if hasattr(Path, "mkfifo") else os.mkfifo(
        place / "svc" / "5-500"
    )
    inner = place / "svc" / "6-600"
    inner.mkdir(mode=0o700)
    (inner / "000001.pplog").symlink_to(next(iter(reference.segments(target.directory))))
    os.mkfifo(inner / "000002.pplog")
    swept(place, 0.01)
    assert len(reference.Run(target.directory).samples) == 10


def test_a_damaged_or_missing_ledger_is_rebuilt_from_the_directories(place):
    for number in range(8):
        record(place, number, 600)
    for text in (b"", b"\xff" * 64, b"short"):
        (place / LEDGER_NAME).write_bytes(text)
        number += 1
        record(place, number, 600)
        assert reference.used_bytes(place) <= CAP
    (place / LEDGER_NAME).unlink()
    record(place, 50, 600)
    assert reference.used_bytes(place) <= CAP


def test_a_fifo_or_a_link_instead_of_the_ledger_is_refused_with_one_line(place, tmp_path):
    place.mkdir(mode=0o700)
    os.mkfifo(place / LEDGER_NAME)
    writer = record(place, 1, 3)
    assert "remove it" in str(writer.write_error)
    (place / LEDGER_NAME).unlink()
    (tmp_path / "target").write_bytes(b"precious")
    (place / LEDGER_NAME).symlink_to(tmp_path / "target")
    writer = record(place, 2, 3)
    assert "remove it" in str(writer.write_error)
    assert (tmp_path / "target").read_bytes() == b"precious"


def test_a_busy_ledger_is_waited_for_without_a_warning_and_nothing_is_lost(place):
    record(place, 1, 3)
    log_directory_fd = open_log_directory(str(place))
    ledger = Ledger.acquire(log_directory_fd)
    with pytest.raises(LedgerBusyError):
        Ledger.acquire(log_directory_fd, timeout_s=0.002)
    writer = record(place, 2, 3, open_still=True)
    assert (writer.samples, writer.write_error) == (0, None)
    ledger.unlock()
    os.close(log_directory_fd)
    writer.add(99_000, UNIX_MS + 99_000, [0] * 33)
    assert (writer.samples, writer.lost) == (4, 0)
    writer.close()


def test_a_ledger_whose_holder_hangs_does_not_stop_recording(place, monkeypatch):
    monkeypatch.setattr("pprofplus.log.run_directory._BUSY_TIMEOUT_S", 0.0)
    record(place, 1, 3)
    log_directory_fd = open_log_directory(str(place))
    ledger = Ledger.acquire(log_directory_fd)
    writer = record(place, 2, 3)
    assert writer.samples == 3
    ledger.unlock()
    os.close(log_directory_fd)


def test_a_new_process_does_not_read_the_existing_runs(place, monkeypatch):
    for number in range(3):
        record(place, number, 3)
    looks = []
    list_runs = ledger_scan.list_runs
    monkeypatch.setattr(
        ledger_scan, "list_runs", lambda *words: looks.append(1) or list_runs(*words)
    )
    for number in range(3, 6):
        record(place, number, 3, max_bytes=256 << 10)
    assert looks == []


_ENFORCER = """
import os, random, sys
sys.path.insert(0, {collector!r})
from pprofplus.log.format import RunHeader
from pprofplus.log.log_directory import LEDGER_NAME, PIN_NAME, open_log_directory
from pprofplus.log.ledger import LedgerBusyError
from pprofplus.log.retention import _maintain_once
from pprofplus.log.writer import Writer
home, number = sys.argv[1], int(sys.argv[2])
metrics = tuple((f"m{{i}}", "B", "gauge") for i in range(33))
source = random.Random(number)
lost = 0
for round in range(30):
    header = RunHeader(service="svc", pid=number * 1000 + round, start_ms={unix}, metrics=metrics)
    writer = Writer(home, header, max_bytes=256 << 10, max_total_bytes=1 << 20)
    for i in range(60):
        writer.add(1000 * i, {unix} + 1000 * i, [source.randrange(1 << 40) for _ in metrics])
        assert writer.write_error is None or "max_total" in str(writer.write_error)
    writer.add(10**6, {unix} + 10**6, [0] * 33)
    assert os.path.isdir(writer.directory) or not writer.samples
    writer.close()
    log_directory_fd = open_log_directory(home)
    try:
        _maintain_once(log_directory_fd, 1 << 20)
    except LedgerBusyError:
        pass
    os.close(log_directory_fd)
print("done")
"""


def test_processes_that_enforce_the_cap_at_once_never_fail_and_never_remove_a_live_or_pinned_run(
    place,
):
    living = record(place, 1, 100, open_still=True, max_bytes=256 << 10)
    pinned = record(place, 2, 100, max_bytes=256 << 10)
    (Path(pinned.directory) / PIN_NAME).touch()
    aged(pinned, 300)
    collector = str(Path(retention.__file__).parents[2])
    program = _ENFORCER.format(collector=collector, unix=UNIX_MS)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(place), str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(1, 5)
    ]
    most = 0
    while any(process.poll() is None for process in processes):
        most = max(most, _sizes_while_they_change(place))
        time.sleep(0.01)
    told = [process.communicate() for process in processes]
    assert told == [("done\n", "")] * 4
    assert most <= CAP
    assert len(reference.Run(living.directory).samples) == 100
    assert len(reference.Run(pinned.directory).samples) == 100
    living.close()


def _sizes_while_they_change(home):
    try:
        return reference.used_bytes(home)
    except FileNotFoundError:
        return 0
