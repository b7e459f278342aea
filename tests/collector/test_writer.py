"""The writer: within its cap to the byte, complete at any moment, tolerant of disk errors."""

import errno
import os
import random
import resource
import signal
import stat
from pathlib import Path

import pytest

from kit import reference
from pprofplus.log.format import MARK, PAGE_SIZE, START, STOP, Event, RunHeader, segment_capacity
from pprofplus.log.log_directory import make_run
from pprofplus.log.run_directory import MIN_MAX_BYTES
from pprofplus.log.writer import Writer

METRICS = tuple((f"m{i}", "B", "counter" if i % 3 == 0 else "gauge") for i in range(33))
UNIX_MS = 1_795_000_000_000


class Recorder:
    """A writer, and the samples that it was given."""

    def __init__(self, log_directory, metrics=METRICS, **options):
        header = RunHeader(
            service="svc", pid=4711, start_ms=UNIX_MS, metrics=metrics, interval_ms=1000
        )
        self.writer = Writer(str(log_directory), header, **options)
        self.samples_taken = []
        self.random = random.Random(5)
        self.values = [1 << 28] * len(metrics)
        self.mono_ms = 1000
        self.offset_ms = UNIX_MS

    def sample(self, count=1, changing=1.0):
        for _ in range(count):
            self.mono_ms += 1000
            self.values = [
                value + self.random.randrange(1 << 18) if self.random.random() < changing else value
                for value in self.values
            ]
            self.samples_taken.append((self.mono_ms, self.mono_ms + self.offset_ms, self.values))
            self.writer.add(self.mono_ms, self.mono_ms + self.offset_ms, list(self.values))

    def read(self):
        return reference.Run(self.writer.directory)

    def rows(self):
        return [(mono, unix, list(row.values())) for mono, unix, row in self.read().samples]


@pytest.fixture
def recorder(tmp_path):
    made = Recorder(tmp_path / "logs")
    yield made
    made.writer.close()


@pytest.fixture
def small_files():
    """Make every write beyond a size fail like on a full disk; the fixture sets that size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(
        resource.RLIMIT_FSIZE, (before[0] if size is None else size, before[1])
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def test_a_run_of_many_segments_keeps_its_newest_samples_under_its_cap_to_the_byte(tmp_path):
    recorder = Recorder(tmp_path / "logs", max_bytes=MIN_MAX_BYTES)
    most = 0
    for _ in range(6000):
        recorder.sample()
        used = sum(path.stat().st_size for path in Path(recorder.writer.directory).iterdir())
        most = max(most, used)
        assert used <= MIN_MAX_BYTES
    recorder.writer.close()
    assert most > MIN_MAX_BYTES // 2
    kept = recorder.rows()
    assert kept == recorder.samples_taken[-len(kept) :]
    assert len(kept) > 1000
    assert recorder.writer.samples == 6000
    assert recorder.read().bad == 0


def test_segments_count_up_and_grow_with_the_run_from_64_kib_to_one_mebibyte(recorder):
    recorder.sample(14_000)
    segments = reference.segments(recorder.writer.directory)
    names = [path.name for path in segments]
    assert names == [f"{i + 1:06d}.pplog" for i in range(len(names))]
    capacities = [segment_capacity(path.read_bytes()[:64]) >> 10 for path in segments]
    assert capacities == [64, 64, 128, 256, 512, 1024, 1024][: len(capacities)]
    assert len(capacities) >= 6
    for path, capacity in list(zip(segments, capacities, strict=True))[:-1]:
        assert (capacity << 10) - 2 * PAGE_SIZE < path.stat().st_size <= capacity << 10


def test_a_copy_at_any_moment_has_every_counted_sample(recorder):
    for _ in range(300):
        recorder.sample()
        run = recorder.read()
        assert run.bad == 0
        assert len(run.samples) == recorder.writer.samples == len(recorder.samples_taken)
    assert recorder.rows() == recorder.samples_taken


def test_a_write_torn_at_any_byte_costs_at_most_the_newest_sample(recorder):
    tears = random.Random(9)
    for _ in range(150):
        recorder.sample()
        path = reference.segments(recorder.writer.directory)[-1]
        before = path.read_bytes()
        recorder.sample()
        after = path.read_bytes()
        differ = [i for i in range(len(after)) if before[i : i + 1] != after[i : i + 1]]
        # the kernel writes from the front: a kill leaves the first part new, the rest old
        cut = tears.randrange(differ[0], differ[-1] + 1)
        torn = after[:cut] + before[cut:]
        _, pages, _ = reference.read_segment(torn)
        best = {}
        for page in pages:
            number = page.head.prefix.number
            best[number] = max(best.get(number, 0), page.head.samples)
        assert sum(best.values()) >= len(recorder.samples_taken) - 1


@pytest.mark.parametrize("spoiled", [0, 1])
def test_either_version_of_the_live_page_may_be_damaged(recorder, spoiled):
    recorder.sample(101)
    path = reference.segments(recorder.writer.directory)[-1]
    data = bytearray(path.read_bytes())
    base = len(data) // PAGE_SIZE - 1 + spoiled - (len(data) % PAGE_SIZE == 0)
    at = base * PAGE_SIZE
    data[at : at + 64] = b"\xff" * 64
    _, pages, bad = reference.read_segment(bytes(data))
    assert bad == 1
    best = {}
    for page in pages:
        number = page.head.prefix.number
        best[number] = max(best.get(number, 0), page.head.samples)
    assert sum(best.values()) >= 100


def test_an_ended_segment_has_each_page_once_and_nothing_after_the_last(recorder):
    recorder.writer.add_event(Event(START, 1000, UNIX_MS))
    recorder.sample(350)
    recorder.writer.add_event(Event(STOP, recorder.mono_ms, UNIX_MS + recorder.mono_ms))
    recorder.writer.close()
    (path,) = reference.segments(recorder.writer.directory)
    _, pages, bad = reference.read_segment(path.read_bytes())
    assert bad == 0
    assert [page.head.prefix.number for page in pages] == list(range(len(pages)))
    last = pages[-1].head.prefix
    assert path.stat().st_size == len(pages) * PAGE_SIZE + last.length
    assert recorder.read().kinds == ["start", "stop"]


def test_a_clock_step_and_an_interval_change_begin_a_page(recorder):
    recorder.sample(10)
    recorder.offset_ms -= 3_600_000
    recorder.sample(10)
    recorder.offset_ms += 900  # slewing does not begin a page
    recorder.sample(10)
    recorder.writer.set_interval(5000)
    recorder.sample(10)
    heads = [page.head for page in recorder.read().pages]
    assert [(head.samples, head.interval_ms) for head in heads] == [
        (10, 1000),
        (20, 1000),
        (10, 5000),
    ]
    monotonic = [mono for mono, _, _ in recorder.read().samples]
    assert monotonic == [sample[0] for sample in recorder.samples_taken]
    assert recorder.read().header.interval_ms == 1000


def test_a_decreasing_monotonic_time_is_clamped(recorder):
    recorder.sample(2)
    recorder.writer.add(5, 5 + recorder.offset_ms, list(recorder.values))
    times = [mono for mono, _, _ in recorder.read().samples]
    assert times == [*(sample[0] for sample in recorder.samples_taken), recorder.mono_ms]


def test_another_schema_begins_a_segment_and_counters_keep_their_rate(recorder):
    recorder.sample(5)
    metrics = (*METRICS[:3], ("traced", "B", "gauge"), ("new", "count", "counter"))
    values = [*recorder.values[:3], 77, 1000]
    values[0] += 500
    recorder.writer.change_metrics(metrics, values)
    recorder.writer.add(recorder.mono_ms + 1000, UNIX_MS + recorder.mono_ms + 1000, values)
    run = recorder.read()
    assert [len(header.metrics) for header in run.headers] == [33, 5]
    assert run.samples[-1][2] == {
        "m0": values[0],
        "m1": values[1],
        "m2": values[2],
        "traced": 77,
        "new": 1000,
    }
    assert run.pages[-1].head.hi[0] == 500_000
    assert run.pages[-1].head.hi[4] == 0


def test_a_live_segment_is_locked_and_a_closed_one_is_not(recorder):
    recorder.sample()
    assert reference.is_live(recorder.writer.directory)
    recorder.writer.close()
    assert not reference.is_live(recorder.writer.directory)


def test_the_newest_segment_is_locked_and_has_its_header_across_every_rotation(tmp_path):
    recorder = Recorder(tmp_path / "logs", max_bytes=MIN_MAX_BYTES)
    seen = set()
    for _ in range(200):
        recorder.sample(10)
        paths = reference.segments(recorder.writer.directory)
        seen.add(paths[-1].name)
        assert [reference.is_locked(path) for path in paths] == [False] * (len(paths) - 1) + [True]
        assert reference.read_segment(paths[-1].read_bytes())[0] is not None
    recorder.writer.close()
    assert len(seen) > 4


def test_directories_are_private_under_any_umask(tmp_path):
    before = os.umask(0)
    try:
        recorder = Recorder(tmp_path / "logs")
        recorder.sample()
    finally:
        os.umask(before)
    run_directory = Path(recorder.writer.directory)
    for directory in (run_directory, run_directory.parent, run_directory.parent.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(reference.segments(run_directory)[0].stat().st_mode) == 0o600
    recorder.writer.close()


def test_group_readable_lets_the_group_read(tmp_path):
    recorder = Recorder(tmp_path / "logs", group_readable=True)
    recorder.sample()
    run_directory = Path(recorder.writer.directory)
    for directory in (run_directory, run_directory.parent, run_directory.parent.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o750
    assert stat.S_IMODE(reference.segments(run_directory)[0].stat().st_mode) == 0o640
    recorder.writer.close()


def test_a_run_whose_directory_exists_gets_the_next_millisecond(tmp_path):
    log_directory = tmp_path / "logs"
    assert make_run(str(log_directory), "svc", 4711, UNIX_MS) == UNIX_MS
    recorder = Recorder(log_directory)
    recorder.sample()
    assert recorder.writer.directory.endswith(f"/svc/4711-{UNIX_MS + 1}")
    assert recorder.read().header.start_ms == UNIX_MS + 1
    recorder.writer.close()


def test_a_full_disk_costs_no_sample_that_fits_in_the_page(recorder, small_files):
    recorder.sample(20)
    small_files(PAGE_SIZE + 100)
    recorder.sample(10)
    assert recorder.writer.write_error.errno == errno.EFBIG
    assert recorder.writer.samples == 20
    small_files(None)
    recorder.sample(1)
    assert recorder.writer.write_error is None
    assert recorder.writer.samples == 31
    assert recorder.rows() == recorder.samples_taken
    assert recorder.read().kinds == []


def test_samples_lost_on_a_full_disk_are_counted_in_the_log(recorder, small_files):
    recorder.sample(400)
    small_files(100)
    recorder.sample(1000)
    assert recorder.writer.lost > 0
    small_files(None)
    recorder.sample(5)
    run = recorder.read()
    (event,) = run.events
    assert (run.kinds, event.text) == (["lost"], "EFBIG")
    assert len(run.samples) + event.value == len(recorder.samples_taken) == 1405
    assert recorder.writer.samples == len(run.samples)
    assert recorder.writer.lost == 0
    kept = {mono for mono, _, _ in run.samples}
    assert [row for row in recorder.samples_taken if row[0] in kept] == recorder.rows()


def test_recording_begins_when_an_error_from_the_start_ends(tmp_path):
    blocked = tmp_path / "logs"
    blocked.write_text("in the way")
    recorder = Recorder(blocked)
    recorder.sample(5)
    assert "link or not a directory" in str(recorder.writer.write_error)
    blocked.unlink()
    recorder.sample(1)
    assert recorder.rows() == recorder.samples_taken
    recorder.writer.close()


@pytest.mark.parametrize("how", ["removed", "directory removed", "truncated"])
def test_a_removed_segment_is_replaced(recorder, how):
    recorder.sample(300)
    directory = Path(recorder.writer.directory)
    (path,) = reference.segments(directory)
    if how == "truncated":
        os.truncate(path, 100)
    else:
        path.unlink()
        if how == "directory removed":
            directory.rmdir()
    recorder.sample(3)
    assert recorder.writer.write_error is None
    kept = recorder.rows()
    assert kept == recorder.samples_taken[-len(kept) :]
    assert len(kept) >= 3
    assert reference.is_live(directory)


def test_a_descriptor_that_the_host_closed_is_neither_written_to_nor_closed(recorder, tmp_path):
    recorder.sample(500)
    number = recorder.writer._segment._descriptor.number
    os.close(number)
    precious = os.open(tmp_path / "database", os.O_RDWR | os.O_CREAT, 0o600)
    if precious != number:
        os.dup2(precious, number)
    os.write(precious, b"precious")
    recorder.sample(500)
    recorder.writer.close()
    assert os.pread(precious, 100, 0) == b"precious"
    os.close(precious)
    if precious != number:
        os.close(number)
    assert recorder.rows() == recorder.samples_taken


def test_the_remains_of_a_failed_segment_are_replaced(recorder):
    run_directory = Path(recorder.writer.directory)
    run_directory.mkdir(parents=True, mode=0o700)
    for directory in (run_directory, run_directory.parent, run_directory.parent.parent):
        directory.chmod(0o700)
    recorder.writer._files._created = True
    (run_directory / ".000001.pplog.new").write_text("leftover")
    recorder.sample(1)
    assert [path.name for path in run_directory.iterdir()] == ["000001.pplog"]


def test_foreign_files_in_the_directory_are_left_unchanged(tmp_path):
    recorder = Recorder(tmp_path / "logs", max_bytes=MIN_MAX_BYTES)
    recorder.sample()
    notes = Path(recorder.writer.directory) / "notes.txt"
    notes.write_text("x" * MIN_MAX_BYTES)
    recorder.sample(4000)
    recorder.writer.close()
    assert notes.stat().st_size == MIN_MAX_BYTES
    assert recorder.writer.write_error is None


def test_a_sample_without_enough_memory_is_counted_as_lost(recorder, monkeypatch):
    recorder.sample(10)
    with monkeypatch.context() as patch:
        patch.setattr(type(recorder.writer._page), "_extend", _no_memory)
        recorder.sample(1)
    recorder.samples_taken.pop()
    recorder.sample(10)
    run = recorder.read()
    assert recorder.rows() == recorder.samples_taken
    assert [
        (kind, event.value, event.text) for kind, event in zip(run.kinds, run.events, strict=True)
    ] == [("lost", 1, "MemoryError")]


def _no_memory(*_):
    raise MemoryError


def test_events_are_on_disk_immediately_and_fill_pages_like_samples(recorder):
    for i in range(100):
        recorder.writer.add_event(Event(MARK, i, UNIX_MS + i, i, "x" * 500))
        assert [event.value for event in recorder.read().events] == list(range(i + 1))
