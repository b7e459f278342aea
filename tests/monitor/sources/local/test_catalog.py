"""The catalogue of runs and their states."""

import fcntl
import os
import time

import pytest

from kit.run_logs import open_catalog
from pprofplus.log import format as fmt
from pprofplus.log import log_directory
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.local_source import LocalSource
from pprofplus_tui.sources.local.sample_counts import counted


def now_ms():
    return time.time_ns() // 1_000_000


@pytest.fixture
def write_now(write_run):
    """Write a run with `count` samples up to now."""

    def make(count=3, ago_ms=0, **kwargs):
        start = now_ms() - ago_ms - count * 1000
        writer = write_run(**{"start_ms": start, **kwargs})
        for n in range(1, count + 1):
            writer.add(n * 1000, [n * 100, n, n])
        return writer

    return make


def state(root):
    return [info.state for info in open_catalog(root).runs]


def test_a_locked_run_with_recent_samples_is_live(write_now, tmp_path):
    writer = write_now()
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    assert state(tmp_path) == ["live"]


def test_reading_the_state_does_not_take_the_lock_from_the_writer(write_now, tmp_path):
    writer = write_now()
    assert state(tmp_path) == ["died"]
    fcntl.flock(writer.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert state(tmp_path) == ["live"]


def test_a_locked_run_without_recent_samples_is_stalled(write_now, tmp_path):
    writer = write_now(ago_ms=6000)
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    assert state(tmp_path) == ["stalled"]


def test_a_run_with_a_long_interval_is_not_stalled(write_now, tmp_path):
    writer = write_now(ago_ms=60_000, interval_ms=30_000)
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    assert state(tmp_path) == ["live"]


def test_a_run_whose_interval_was_just_increased_is_not_stalled(write_now, tmp_path):
    writer = write_now(ago_ms=20_000)
    writer.event(fmt.INTERVAL, 3000, value=60_000_000)
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    assert state(tmp_path) == ["live"]


def test_a_stall_is_measured_by_an_interval_that_was_just_decreased(write_now, tmp_path):
    writer = write_now(ago_ms=60_000, interval_ms=600_000)
    writer.event(fmt.INTERVAL, 3000 + 40_000, value=1_000_000)
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    assert state(tmp_path) == ["stalled"]


def test_the_interval_in_the_header_is_only_the_first_one(write_now, tmp_path):
    writer = write_now(count=60, ago_ms=60_000)
    writer.event(fmt.INTERVAL, 60_000, value=600_000_000)
    writer.interval_ms = 600_000
    writer.new_page()
    writer.add(61_000, [1, 1, 1])
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    assert state(tmp_path) == ["live"]
    assert open_catalog(tmp_path).runs[0].interval_ms == 600_000


def test_a_locked_run_with_a_pause_event_is_paused_for_any_duration(write_now, tmp_path):
    writer = write_now(ago_ms=3_600_000)
    writer.event(fmt.PAUSE, 3000)
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    assert state(tmp_path) == ["paused"]


def test_a_sample_in_progress_at_the_pause_does_not_end_the_pause(write_now, tmp_path):
    writer = write_now(ago_ms=60_000)
    writer.event(fmt.PAUSE, 3000)
    writer.add(3005, [1, 1, 1])
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    assert state(tmp_path) == ["paused"]


def test_marks_and_intervals_during_a_pause_do_not_end_it(write_now, tmp_path):
    writer = write_now(ago_ms=60_000)
    writer.event(fmt.PAUSE, 3000)
    for i in range(300):
        writer.event(fmt.MARK, 4000 + i, text="deploy")
    writer.event(fmt.INTERVAL, 5000, value=2_000_000)
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    assert state(tmp_path) == ["paused"]


def test_a_resumed_run_is_live_before_its_first_sample(write_now, tmp_path):
    writer = write_now(ago_ms=60_000)
    writer.event(fmt.PAUSE, 3000)
    writer.event(fmt.RESUME, 62_000)
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    assert state(tmp_path) == ["live"]


def test_a_resumed_run_without_samples_is_stalled(write_now, tmp_path):
    writer = write_now(ago_ms=60_000)
    writer.event(fmt.PAUSE, 3000)
    writer.event(fmt.RESUME, 20_000)
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    assert state(tmp_path) == ["stalled"]


def test_samples_after_a_pause_replace_a_missing_resume_event(write_now, tmp_path):
    writer = write_now(ago_ms=6000)
    writer.event(fmt.PAUSE, 3000)
    for second in range(5, 10):
        writer.add(second * 1000, [1, 1, 1])
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    assert state(tmp_path) == ["live"]


def test_a_paused_run_died_if_killed_and_exited_if_stopped(write_now, tmp_path):
    writer = write_now()
    writer.event(fmt.PAUSE, 3000)
    assert state(tmp_path) == ["died"]
    writer.event(fmt.STOP, 3500)
    assert state(tmp_path) == ["exited"]


def test_a_refresh_detects_a_pause_and_its_end(write_now, tmp_path):
    writer = write_now()
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    catalog = open_catalog(tmp_path)
    writer.event(fmt.PAUSE, 3000)
    assert catalog.refresh()
    assert [info.state for info in catalog.runs] == ["paused"]
    writer.event(fmt.RESUME, 3200)
    assert catalog.refresh()
    assert [info.state for info in catalog.runs] == ["live"]


@pytest.mark.parametrize("locked", [True, False], ids=["running", "ended"])
def test_a_refresh_detects_a_new_pin_and_a_removed_pin(write_now, tmp_path, locked):
    writer = write_now(ago_ms=200_000)
    if locked:
        fcntl.flock(writer.file, fcntl.LOCK_EX)
    old = time.time() - 1000
    os.utime(writer.segment_path(), (old, old))
    catalog = open_catalog(tmp_path)
    assert not catalog.runs[0].pinned
    (writer.path / "pinned").touch()
    assert catalog.refresh()
    assert catalog.runs[0].pinned
    (writer.path / "pinned").unlink()
    assert catalog.refresh()
    assert not catalog.runs[0].pinned


@pytest.mark.parametrize("thing", ["link", "directory"])
def test_any_file_that_pins_a_run_for_retention_is_shown_as_a_pin(write_now, tmp_path, thing):
    pin = write_now().path / "pinned"
    if thing == "link":
        pin.symlink_to("/etc/passwd")
    else:
        pin.mkdir()
    assert open_catalog(tmp_path).runs[0].pinned


def test_a_run_that_ends_with_a_stop_event_exited(write_now, tmp_path):
    writer = write_now()
    writer.event(fmt.STOP, 3000)
    assert state(tmp_path) == ["exited"]


def test_an_unlocked_run_without_a_stop_event_died(write_now, tmp_path):
    write_now()
    assert state(tmp_path) == ["died"]


def test_the_lock_on_a_newer_segment_counts(write_now, tmp_path):
    writer = write_now(slots_per_segment=2)
    catalog = open_catalog(tmp_path)
    assert [info.state for info in catalog.runs] == ["died"]
    writer.new_page()
    assert writer.segment == 2
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    assert catalog.refresh()
    assert [info.state for info in catalog.runs] == ["live"]
    # the new segment has no page yet, so the last values are in the previous segment
    assert catalog.runs[0].last["rss"] == 300


def test_a_refresh_detects_a_run_that_dies(write_now, tmp_path):
    writer = write_now()
    fcntl.flock(writer.file, fcntl.LOCK_EX)
    catalog = open_catalog(tmp_path)
    writer.close()
    assert catalog.refresh()
    assert [info.state for info in catalog.runs] == ["died"]


def test_a_run_has_its_extent_its_size_and_its_last_values(write_now, tmp_path):
    writer = write_now(count=5)
    info = open_catalog(tmp_path).runs[0]
    assert (info.service, info.pid, info.id) == ("api", 7, str(writer.path))
    assert info.begin_ms == writer.start_ms + 1000
    assert info.end_ms == writer.start_ms + 5000
    assert info.last == {"rss": 500, "cpu_user": 5, "threads": 5}
    assert info.size_bytes == writer.segment_path().stat().st_size
    assert info.interval_ms == 1000
    assert info.samples is None
    assert info.recent.hi.tolist() == [100, 200, 300, 400, 500]
    assert not info.pinned


def test_a_scan_counts_samples_and_damage_of_all_segments(write_now, tmp_path):
    writer = write_now(count=1, slots_per_segment=2)
    for n in range(2, 9):
        writer.new_page()
        writer.add(n * 1000, [n, n, n], write=False)
    writer.close_page()
    path = writer.segment_path(3)
    raw = bytearray(path.read_bytes())
    raw[fmt.PAGE_SIZE + 50] ^= 1
    path.write_bytes(raw)
    catalog = open_catalog(tmp_path)
    info = counted(catalog.runs[0])
    assert info.samples == 7
    assert info.damaged_pages == 1
    assert info.begin_ms == writer.start_ms + 1000


def test_rotation_moves_the_beginning_of_a_run(write_now, tmp_path):
    writer = write_now(count=1, slots_per_segment=2)
    for n in range(2, 5):
        writer.new_page()
        writer.add(n * 1000, [n, n, n])
    catalog = open_catalog(tmp_path)
    writer.segment_path(1).unlink()
    assert catalog.refresh()
    assert catalog.runs[0].begin_ms == writer.start_ms + 2000


def test_new_services_and_runs_appear_and_removed_ones_disappear(write_now, tmp_path):
    catalog = Catalog([str(tmp_path / "home")])
    assert not catalog.refresh()
    assert catalog.runs == ()
    assert catalog.problems == ()
    (tmp_path / "home").mkdir()
    catalog = open_catalog(tmp_path)
    write_now(service="api", pid=1)
    second = write_now(service="api2", pid=2)
    assert catalog.refresh()
    assert [(info.service, info.pid) for info in catalog.runs] == [("api", 1), ("api2", 2)]
    assert not catalog.refresh()
    second.segment_path().unlink()
    second.path.rmdir()
    second.path.parent.rmdir()
    assert catalog.refresh()
    assert [info.service for info in catalog.runs] == ["api"]


def test_runs_of_a_service_are_sorted_newest_first(write_run, tmp_path):
    for pid, start in ((5, 1000), (3, 3000), (4, 2000)):
        write_run(pid=pid, start_ms=start).add(0, [1, 1, 1])
    assert [info.pid for info in open_catalog(tmp_path).runs] == [3, 4, 5]


def test_a_refresh_without_new_data_is_not_a_change_and_keeps_the_values(write_now, tmp_path):
    write_now()
    catalog = open_catalog(tmp_path)
    runs = catalog.runs
    assert not catalog.refresh()
    assert catalog.runs[0] is runs[0]


def test_unknown_files_and_links_are_ignored(write_now, tmp_path):
    writer = write_now()
    (tmp_path / "not a service!").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "linked").symlink_to(tmp_path / "api")
    (tmp_path / "api" / "notes").mkdir()
    (tmp_path / "api" / "99-1000").symlink_to(writer.path)
    (tmp_path / "api" / log_directory.run_name(98, 1000)).mkdir()
    catalog = open_catalog(tmp_path)
    assert [info.pid for info in catalog.runs] == [7]
    assert catalog.problems == ()


def test_a_log_directory_given_twice_is_read_once(write_now, tmp_path):
    write_now()
    catalog = Catalog([str(tmp_path), f"{tmp_path}/."])
    catalog.refresh()
    assert len(catalog.runs) == 1


@pytest.mark.parametrize("closed", ["closed", "closed/7-1000"])
def test_an_unreadable_directory_hides_no_other_runs(write_run, tmp_path, monkeypatch, closed):
    write_run(service="api").add(0, [1, 1, 1])
    write_run(service="closed", start_ms=1000).add(0, [1, 1, 1])
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith(closed):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refusing)
        catalog = open_catalog(tmp_path)
    assert [info.service for info in catalog.runs] == ["api"]
    assert catalog.problems == (f"{tmp_path}/{closed}: Permission denied",)
    assert catalog.refresh()
    assert [info.service for info in catalog.runs] == ["api", "closed"]
    assert catalog.problems == ()


def test_a_run_of_random_bytes_is_listed_with_its_damage(tmp_path):
    path = tmp_path / "api" / "5-1000"
    path.mkdir(parents=True)
    (path / "000001.pplog").write_bytes(b"garbage")
    (info,) = open_catalog(tmp_path).runs
    assert (info.state, info.damaged_pages, info.begin_ms, info.end_ms) == ("died", 1, 1000, 1000)
    assert info.last == {}
    assert len(info.recent) == 0


def test_a_log_is_opened_by_its_path(write_now, tmp_path):
    write_now(count=4)
    catalog = open_catalog(tmp_path)
    assert LocalSource([str(tmp_path)]).open(catalog.runs[0].id).sample_count == 4


def test_an_ended_run_is_not_opened_again(write_now, tmp_path, monkeypatch):
    writer = write_now()
    writer.close()
    long_ago = time.time() - 3600
    os.utime(writer.segment_path(), (long_ago, long_ago))
    os.utime(writer.path, (long_ago, long_ago))
    catalog = open_catalog(tmp_path)
    catalog.refresh()
    opened = []
    real_open = os.open
    monkeypatch.setattr(os, "open", lambda *args: opened.append(args) or real_open(*args))
    catalog.refresh()
    assert opened == []
