"""Sampling in one process: the grid, start and stop, and errors that do not reach the host."""

import gc
import os
import sys
import threading
import time
import tracemalloc

import pytest

import pprofplus
from kit import reference
from kit.waiting import wait_until
from pprofplus import warn
from pprofplus.log.identity import cut_argv
from pprofplus.probes.probe_set import ProbeSet
from pprofplus.recording.schedule import next_due_ns


@pytest.fixture
def start(log_directory, monkeypatch):
    """Start recording, and stop at the end."""
    monkeypatch.setattr(warn, "_warned", set())
    monkeypatch.setattr(warn, "_warned_ns", {})
    yield pprofplus.start
    pprofplus.stop()


def test_the_grid_does_not_drift_and_skips_points_missed_in_a_stall():
    assert next_due_ns(1000, 100, 1003) == 1100
    assert next_due_ns(1000, 100, 1099) == 1100
    assert next_due_ns(1000, 100, 1100) == 1200
    assert next_due_ns(1000, 100, 5_432) == 5500
    assert next_due_ns(1000, 100, 990) == 1100  # woken early: that point is done


def test_start_takes_a_sample_immediately_and_continues_recording(start, log_directory):
    collector = start("api", interval_s=0.05)
    assert collector.samples == 1
    assert collector.running
    assert (collector.service, collector.pid, collector.interval_s) == ("api", os.getpid(), 0.05)
    assert collector.directory.startswith(f"{log_directory}/api/{os.getpid()}-")
    wait_until(lambda: collector.samples >= 5)
    run = reference.Run(collector.directory)
    assert run.kinds == ["start"]
    assert len(run.samples) >= 5
    assert reference.is_live(collector.directory)


def test_samples_lie_on_a_fixed_grid(start):
    collector = start("api", interval_s=0.05)
    wait_until(lambda: collector.samples >= 41)
    times = [mono for mono, _, _ in reference.Run(collector.directory).samples]
    late = sorted((time - times[0]) % 50 for time in times)
    # a busy machine wakes us late sometimes, but not permanently
    assert late[len(late) // 2] <= 10
    assert times == sorted(times)


def test_a_punctual_sample_takes_no_byte_for_its_time(start):
    collector = start("api", interval_s=0.05)
    wait_until(lambda: collector.samples >= 41)
    (page, *_) = reference.Run(collector.directory).pages
    assert page.head.lengths[0] < 2.5 * page.head.samples


def test_stop_takes_a_last_sample_and_writes_an_event(start):
    collector = start("api", interval_s=3600)
    pprofplus.stop()
    assert not collector.running
    assert collector.samples == 2
    run = reference.Run(collector.directory)
    assert (run.kinds, len(run.samples)) == (["start", "stop"], 2)
    assert not reference.is_live(collector.directory)
    collector.stop()
    pprofplus.stop()
    assert len(reference.Run(collector.directory).samples) == 2


def test_start_returns_the_running_collector(start, log_directory):
    first = start("api", interval_s=0.05)
    assert start("api", interval_s=0.05) is first
    assert start("other", interval_s=5, directory=log_directory / "other") is first
    assert first.interval_s == 0.05
    assert len(reference.runs(log_directory)) == 1


def test_starting_after_a_stop_begins_another_run(start, log_directory):
    first = start("api")
    first.stop()
    second = start("api")
    assert second is not first
    assert second.running
    assert len(reference.runs(log_directory)) == 2


def test_many_threads_that_start_at_the_same_time_get_one_collector(start, log_directory):
    begin = threading.Barrier(16)
    found = []

    def work():
        begin.wait()
        found.append(start("api", interval_s=0.05))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    assert len(reference.runs(log_directory)) == 1


def test_starting_and_stopping_from_many_threads_leaves_complete_runs(start, log_directory):
    def work():
        for _ in range(5):
            start("api", interval_s=0.05)
            pprofplus.stop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pprofplus.stop()
    for directory in reference.runs(log_directory):
        run = reference.Run(directory)
        assert run.kinds == ["start", "stop"]
        assert not reference.is_live(directory)


def test_stop_leaves_no_thread_and_no_descriptor(start):
    start("api")
    pprofplus.stop()
    callbacks = len(gc.callbacks)
    descriptors = len(os.listdir("/dev/fd"))
    threads = threading.active_count()
    for _ in range(20):
        start("api", interval_s=0.05)
        pprofplus.stop()
    assert len(gc.callbacks) == callbacks
    assert len(os.listdir("/dev/fd")) == descriptors
    assert threading.active_count() == threads


def test_the_header_identifies_the_process(start):
    collector = start("api", interval_s=0.25)
    header = reference.Run(collector.directory).header
    assert (header.service, header.pid) == ("api", os.getpid())
    assert collector.directory.endswith(f"/{header.pid}-{header.start_ms}")
    assert abs(header.start_ms - time.time() * 1000) < 60_000
    assert header.host == os.uname().nodename
    assert header.argv == cut_argv(sys.orig_argv)
    assert header.python.split()[1] == ".".join(map(str, sys.version_info[:3]))
    assert header.collector == pprofplus.__version__
    assert header.interval_ms == 250
    assert len(header.metrics) >= 25


def test_a_long_command_line_is_truncated_to_four_kibibytes():
    assert cut_argv(["python", "app.py"]) == ("python", "app.py")
    cut = cut_argv(["x" * 3000, "é" * 3000, "z"])
    assert cut[0] == "x" * 3000
    assert sum(len(word.encode()) for word in cut) <= 4100
    assert len(cut) == 2
    assert cut_argv(["bad\udcff"]) == ("bad\ufffd",)


def test_disabled_by_the_environment_nothing_is_recorded(start, log_directory, monkeypatch):
    monkeypatch.setenv("PPROFPLUS_DISABLED", "1")
    collector = start("api")
    assert not collector.running
    assert (collector.samples, collector.directory) == (0, None)
    collector.stop()
    assert not log_directory.exists()


def test_an_unsafe_log_directory_is_logged_once_and_the_host_continues(
    start, log_directory, caplog
):
    log_directory.mkdir()
    log_directory.chmod(0o777)
    collector = start("api", interval_s=0.05)
    threading.Event().wait(0.2)
    assert collector.running
    assert collector.samples == 0
    assert [record.name for record in caplog.records] == ["pprofplus"]
    assert "chmod go-w" in caplog.text
    log_directory.chmod(0o700)
    wait_until(lambda: collector.samples >= 3)
    assert len(caplog.records) == 1


def test_no_error_at_start_reaches_the_host(start, monkeypatch, caplog):
    monkeypatch.setattr(ProbeSet, "rebuild_schema", _stumble)
    collector = start("api")
    assert not collector.running
    assert "internal error of pprofplus" in caplog.text
    pprofplus.stop()


def test_no_error_while_sampling_reaches_the_host(start, monkeypatch, caplog):
    collector = start("api", interval_s=0.05)
    with monkeypatch.context() as patch:
        patch.setattr(ProbeSet, "read", _stumble)
        wait_until(lambda: "internal error" in caplog.text)
    before = collector.samples
    wait_until(lambda: collector.samples > before)
    assert len(caplog.records) == 1


def _stumble(*_):
    raise ZeroDivisionError


def test_tracing_that_starts_later_gets_its_columns_in_a_new_segment(start):
    collector = start("api", interval_s=0.05)
    wait_until(lambda: collector.samples >= 3)
    tracemalloc.start()
    try:
        wait_until(lambda: len(reference.segments(collector.directory)) == 2)
        before = collector.samples
        wait_until(lambda: collector.samples > before)
    finally:
        tracemalloc.stop()
    run = reference.Run(collector.directory)
    assert "traced" not in run.samples[0][2]
    assert max(row.get("traced", 0) for _, _, row in run.samples) > 0
    assert len(run.samples) >= before


def test_a_slow_probe_at_the_end_does_not_delay_the_stop_for_long(start, monkeypatch):
    collector = start("api", interval_s=0.05)
    held, let_go = threading.Event(), threading.Event()
    read = ProbeSet.read

    def hang(self, now_ns):
        held.set()
        let_go.wait(30)
        return read(self, now_ns)

    monkeypatch.setattr(ProbeSet, "read", hang)
    assert held.wait(30)
    began = time.monotonic()
    collector.finish(0.05)
    assert time.monotonic() - began < 5
    assert reference.Run(collector.directory).kinds == ["start", "stop"]
    let_go.set()
    collector._thread.join(30)
    assert reference.Run(collector.directory).kinds == ["start", "stop"]


def test_a_probe_that_stops_the_collector_ends_it_normally(start, monkeypatch):
    collector = start("api", interval_s=0.05)
    read = ProbeSet.read

    def stop_and_read(self, now_ns):
        collector.stop()
        return read(self, now_ns)

    monkeypatch.setattr(ProbeSet, "read", stop_and_read)
    collector._thread.join(30)
    assert reference.Run(collector.directory).kinds == ["start", "stop"]


def test_the_collectors_properties_show_its_state(start):
    collector = start("api")
    assert repr(collector) == f"<pprofplus.Collector api {os.getpid()} running>"
    collector.stop()
    assert repr(collector) == f"<pprofplus.Collector api {os.getpid()} stopped>"
