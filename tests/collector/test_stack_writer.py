"""Stored stacks: what is counted is on disk, within the caps, and removed with the run."""

import errno
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import reference, stack_reference, written_stacks
from kit.ledger import ledger_of
from kit.processes import has_ended
from kit.waiting import wait_until
from kit.written_stacks import BEGIN_MS, START_MS, begin, decoded, end, expected, frames, ticks
from pprofplus.log import retention, stack_file
from pprofplus.log.log_directory import open_log_directory, parse_stack_file_name, stack_file_name
from pprofplus.log.retention import request_expiry
from pprofplus.log.stack_encoder import StackEncoder
from pprofplus.log.stack_format import STACK_HEADER_BYTES
from pprofplus.recording.inherited import close_strays

DAY_S = 86_400
EVER_S = 60


def write(log, stacks, some_ticks):
    for mono_ms, unix_ms, threads, biased in some_ticks:
        stacks.add(mono_ms, unix_ms, threads, biased=biased)
        stacks.write(log.segment_number)


def files_of(log):
    return stack_reference.stack_files(log.directory)


def sizes(directory, suffix):
    return sum(path.stat().st_size for path in Path(directory).rglob(f"*{suffix}"))


def bound_of(log_directory):
    with ledger_of(log_directory) as ledger:
        return ledger.bound_bytes


def maintained(log_directory, max_total_bytes=1 << 30):
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


def expired(log_directory):
    with ledger_of(log_directory) as ledger:
        ledger.expiry_checked_s = time.time() - 7200
    request_expiry(str(log_directory), 14.0)
    maintained(log_directory)


# -- content


def test_ticks_are_read_as_they_were_written(log_directory):
    log, stacks = begin(log_directory)
    some = ticks(700)
    write(log, stacks, some)
    assert (stacks.ticks, stacks.lost, stacks.write_error) == (700, 0, None)
    assert [decoded(tick) for tick in stack_reference.read_run(log.directory)] == [
        expected(tick) for tick in some
    ]
    end(log, stacks)


def test_a_period_block_is_the_sum_of_its_ticks(log_directory):
    log, stacks = begin(log_directory)
    write(log, stacks, ticks(900))
    end(log, stacks)
    for path in files_of(log):
        content = stack_reference.read_file(path.read_bytes())
        assert content.finished
        assert not content.damaged
        rows, cpu_ms = {}, {}
        for period in content.periods:
            for key, counts in period.rows.items():
                row = rows.setdefault(key, [0, 0])
                row[0] += counts[0]
                row[1] += counts[1]
            for thread, used_ms in period.cpu_ms.items():
                cpu_ms[thread] = cpu_ms.get(thread, 0) + used_ms
        assert (rows, cpu_ms) == stack_reference.summed(content.ticks)


thread_ticks = st.lists(
    st.tuples(
        st.integers(1, 6),
        st.lists(st.sampled_from("abcdé"), max_size=4).map(lambda names: frames(*names)),
        st.integers(0, 8),
        st.integers(0, 1 << 20),
    ),
    max_size=6,
    unique_by=lambda thread: thread[0],
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 400_000), st.booleans(), thread_ticks), min_size=1, max_size=30
    ),
    st.integers(1, 5),
)
def test_any_ticks_are_read_as_they_were_encoded(steps, ticks_a_block):
    some, now_ms = [], BEGIN_MS
    for step_ms, biased, threads in steps:
        now_ms += step_ms
        some.append((now_ms, START_MS + now_ms, threads, biased))
    data = written_stacks.encoded(some, ticks_a_block=ticks_a_block)
    content = stack_reference.read_file(data)
    assert [decoded(tick) for tick in content.ticks] == [expected(tick) for tick in some]
    assert content.finished


def test_the_numbers_of_slots_are_used_again(log_directory):
    log, stacks = begin(log_directory)
    some = [
        (BEGIN_MS + i, START_MS + i, [(i * 10 + n, frames("run"), 1, 0) for n in range(3)], False)
        for i in range(100)
    ]
    write(log, stacks, some)
    end(log, stacks)
    assert [decoded(tick) for tick in stack_reference.read_run(log.directory)] == [
        expected(tick) for tick in some
    ]


def test_a_step_of_the_wall_clock_begins_a_period_with_both_clocks_right(log_directory):
    log, stacks = begin(log_directory)
    step_ms = -3_600_000
    some = ticks(10)
    some = [*some[:5], *((mono, unix + step_ms, *rest) for mono, unix, *rest in some[5:])]
    write(log, stacks, some)
    end(log, stacks)
    (path,) = files_of(log)
    content = stack_reference.read_file(path.read_bytes())
    assert [(tick.mono_ms, tick.unix_ms) for tick in content.ticks] == [each[:2] for each in some]
    assert len(content.periods) == 2


def test_a_gap_begins_a_period(log_directory):
    log, stacks = begin(log_directory)
    some = ticks(4)
    late = [(mono + 100_000, unix + 100_000, *rest) for mono, unix, *rest in some]
    write(log, stacks, some + late)
    end(log, stacks)
    (path,) = files_of(log)
    assert len(stack_reference.read_file(path.read_bytes()).periods) == 2


def test_a_quiet_service_takes_less_than_3_bytes_a_thread_and_second(log_directory):
    log, stacks = begin(log_directory)
    idle = frames(*(f"level{i}" for i in range(30)))
    some = []
    for i in range(3600):
        threads = [(n, idle, 5, 0) for n in range(9)]
        threads.append((9, idle, 1, 1 + i % 3))
        some.append((BEGIN_MS + 1000 * i, START_MS + 1000 * i, threads, True))
        if i % 5 == 0:
            some += [(some[-1][0] + 10 * n, some[-1][1] + 10 * n, threads, False) for n in range(5)]
    for mono_ms, unix_ms, threads, biased in some:
        stacks.add(mono_ms, unix_ms, threads, biased=biased)
        if biased:  # a burst is one write
            stacks.write(log.segment_number)
    end(log, stacks)
    assert stacks.lost == 0
    assert sizes(log.directory, ".ppstacks") <= 3 * 10 * 3600


def test_stacks_that_do_not_fit_into_the_dictionary_are_cut_to_their_outermost_frames():
    encoder = StackEncoder(written_stacks.Names(), STACK_HEADER_BYTES, 20_000)
    stacks = [
        frames("main", f"handler{i}", *(f"deep{i}.{n}" for n in range(50))) for i in range(99)
    ]
    out = b""
    for i, stack in enumerate(stacks):
        encoder.add(BEGIN_MS + i, START_MS + i, [(1, stack, 1, 0)], biased=False)
        out += encoder.take()
    encoder.finish()
    out += encoder.take()
    assert len(out) < 40_000
    assert encoder.cut > 50
    header = stack_file.pack_stack_header(1 << 20, 0, 0)
    content = stack_reference.read_file(header + out)
    for tick, stack in zip(content.ticks, stacks, strict=True):
        ((found, _, _),) = tick.threads.values()
        assert found == stack[: len(found)]
        assert found[0][0] == "app.main"


# -- caps and files


def test_stacks_and_segments_of_a_run_stay_below_max_bytes_to_the_byte(log_directory):
    cap = 256 << 10
    log, stacks = begin(log_directory, max_bytes=cap)
    for i, (mono_ms, unix_ms, threads, biased) in enumerate(ticks(9000, change=0.6)):
        log.add(mono_ms, unix_ms, [i * 7919])
        stacks.add(mono_ms, unix_ms, threads, biased=biased)
        stacks.write(log.segment_number)
        if i % 50 == 0:
            assert sizes(log.directory, ".pp*") <= cap
            assert sizes(log.directory, ".ppstacks") <= cap // 4
    assert stacks.lost == 0
    assert sizes(log.directory, ".ppstacks") > cap // 8
    end(log, stacks)


def test_a_run_without_stacks_has_all_of_max_bytes_for_its_log_and_gives_up_a_share_with_the_first(
    log_directory,
):
    cap = 256 << 10
    log, stacks = begin(log_directory, max_bytes=cap)
    for i in range(40_000):
        log.add(BEGIN_MS + 1000 * i, START_MS + 1000 * i, [i * i * 7919 % (1 << 60)])
    assert sizes(log.directory, ".pplog") > cap * 3 // 4
    write(
        log, stacks, [(each[0] + 40_000_000, each[1] + 40_000_000, *each[2:]) for each in ticks(5)]
    )
    assert sizes(log.directory, ".pplog") <= cap * 3 // 4
    assert stacks.ticks == 5
    end(log, stacks)
    assert bound_of(log_directory) == sizes(log_directory, ".pp*")


def test_the_newest_stacks_are_kept(log_directory):
    log, stacks = begin(log_directory, max_bytes=256 << 10)
    some = ticks(6000, change=0.6)
    write(log, stacks, some)
    end(log, stacks)
    found = [decoded(tick) for tick in stack_reference.read_run(log.directory)]
    assert 100 < len(found) < 6000
    assert found == [expected(tick) for tick in some[-len(found) :]]


def test_stacks_are_numbered_like_their_segment_and_dropped_with_it(log_directory):
    log, stacks = begin(log_directory, max_bytes=256 << 10)
    some = ticks(40_000, threads=1, change=0.01)
    for i, (mono_ms, unix_ms, threads, biased) in enumerate(some):
        log.add(mono_ms, unix_ms, [i * i * 7919 % (1 << 50)])
        stacks.add(mono_ms, unix_ms, threads, biased=biased)
        stacks.write(log.segment_number)
    segments = {int(path.stem) for path in reference.segments(log.directory)}
    found = {parse_stack_file_name(path.name)[0] for path in files_of(log)}
    assert min(segments) > 1
    assert found <= segments
    assert max(found) == max(segments)
    end(log, stacks)


def test_the_ledger_counts_stacks_to_the_byte(log_directory):
    log, stacks = begin(log_directory)
    some = ticks(900, change=0.9)
    write(log, stacks, some[:400])
    before = bound_of(log_directory)
    assert scanned(log_directory) == before > sizes(log_directory, ".pp*")
    write(log, stacks, some[400:])
    assert scanned(log_directory) == bound_of(log_directory)
    end(log, stacks)
    assert bound_of(log_directory) == sizes(log_directory, ".pp*")
    assert scanned(log_directory) == sizes(log_directory, ".pp*")


def test_the_cap_of_the_log_directory_holds_to_the_byte_with_stacks(log_directory):
    cap = 512 << 10
    for number in range(1, 30):
        log, stacks = begin(log_directory, number=number, max_total_bytes=cap)
        write(log, stacks, ticks(300, change=0.9, seed=number))
        assert sizes(log_directory, ".pp*") <= bound_of(log_directory) <= cap
        end(log, stacks)
        assert stacks.lost == 0
    assert len(reference.runs(log_directory)) < 29


def test_an_operator_may_remove_the_stacks_of_a_live_run(log_directory):
    log, stacks = begin(log_directory)
    some = ticks(60)
    write(log, stacks, some[:30])
    for path in files_of(log):
        path.unlink()
    write(log, stacks, some[30:])
    end(log, stacks)
    assert [decoded(tick) for tick in stack_reference.read_run(log.directory)] == [
        expected(tick) for tick in some[30:]
    ]
    assert scanned(log_directory) == sizes(log_directory, ".pp*")


def test_a_foreign_file_with_such_a_name_is_neither_followed_nor_replaced(log_directory, tmp_path):
    log, stacks = begin(log_directory)
    target = tmp_path / "precious"
    target.write_bytes(b"x" * 1000)
    Path(log.directory, stack_file_name(1, 1)).symlink_to(target)
    some = ticks(5)
    write(log, stacks, some)
    end(log, stacks)
    assert target.read_bytes() == b"x" * 1000
    data = Path(log.directory, stack_file_name(1, 2)).read_bytes()
    assert len(stack_reference.read_file(data).ticks) == 5


def test_stacks_are_removed_with_their_run_and_nothing_remains(log_directory):
    log, stacks = begin(log_directory)
    write(log, stacks, ticks(50))
    end(log, stacks)
    then = time.time() - 15 * DAY_S
    for path in reference.segments(log.directory):
        os.utime(path, (then, then))
    expired(log_directory)
    assert not Path(log.directory).exists()
    assert bound_of(log_directory) == 0


def test_stacks_that_an_earlier_release_left_are_removed(log_directory):
    """It removes segments and its other files: a directory without a segment remains."""
    log, stacks = begin(log_directory)
    write(log, stacks, ticks(50))
    end(log, stacks)
    for segment in reference.segments(log.directory):
        segment.unlink()
    then = time.time() - 15 * DAY_S
    os.utime(log.directory, (then, then))
    expired(log_directory)
    assert not Path(log.directory).exists()


def test_a_forked_child_closes_the_stacks_of_its_parent(log_directory):
    log, stacks = begin(log_directory)
    write(log, stacks, ticks(5))
    assert close_strays(str(log_directory)) >= 2
    assert stacks._file._descriptor.stat() is None
    write(log, stacks, ticks(5))
    stacks.abandon()


def test_the_names_of_the_files_are_exact():
    assert parse_stack_file_name("000001-01.ppstacks") == (1, 1)
    assert parse_stack_file_name("1000000-100.ppstacks") == (1_000_000, 100)
    for name in ("000001.ppstacks", "0000001-01.ppstacks", "000001-001.ppstacks", "000000-01.x"):
        assert parse_stack_file_name(name) is None


# -- failures


class Failing:
    """Replaces os.pwrite: fails for files of stacks while `error` is set."""

    def __init__(self, monkeypatch):
        self.error, self.short = None, 0
        true_pwrite = os.pwrite

        def pwrite(number, data, at):
            path = os.readlink(f"/proc/self/fd/{number}")
            if self.error is not None and path.endswith(".ppstacks"):
                if self.short and len(data) > self.short:
                    true_pwrite(number, data[: self.short], at)
                raise self.error
            return true_pwrite(number, data, at)

        monkeypatch.setattr(os, "pwrite", pwrite)


@pytest.mark.parametrize("short", [0, 5])
def test_ticks_that_cannot_be_written_are_written_later(log_directory, monkeypatch, short):
    log, stacks = begin(log_directory)
    some = ticks(60)
    write(log, stacks, some[:20])
    failing = Failing(monkeypatch)
    failing.error, failing.short = OSError(errno.ENOSPC, "full"), short
    write(log, stacks, some[20:40])
    assert stacks.write_error is failing.error
    assert stacks.ticks == 20
    failing.error = None
    write(log, stacks, some[40:])
    assert (stacks.ticks, stacks.lost, stacks.write_error) == (60, 0, None)
    end(log, stacks)
    assert [decoded(tick) for tick in stack_reference.read_run(log.directory)] == [
        expected(tick) for tick in some
    ]


def test_ticks_that_could_not_be_kept_are_counted(log_directory, monkeypatch):
    log, stacks = begin(log_directory)
    some = ticks(6000, change=0.9)
    write(log, stacks, some[:20])
    failing = Failing(monkeypatch)
    failing.error = OSError(errno.ENOSPC, "full")
    write(log, stacks, some[20:5000])
    assert stacks.lost > 100
    failing.error = None
    write(log, stacks, some[5000:])
    end(log, stacks)
    contents = [stack_reference.read_file(path.read_bytes()) for path in files_of(log)]
    written = sum(len(content.ticks) for content in contents)
    assert written == stacks.ticks
    assert stacks.lost == 0
    assert written + sum(content.lost for content in contents) == 6000


KILLED = """
import os, sys
sys.path[:0] = {path!r}
from kit import written_stacks
log, stacks = written_stacks.begin(os.environ["PPROFPLUS_DIR"], max_bytes=256 << 10)
print(log.directory, flush=True)
number = 0
while True:
    for mono_ms, unix_ms, threads, biased in written_stacks.ticks(500, seed=7, change=0.6):
        now = mono_ms + 500_000 * number
        stacks.add(now, unix_ms + 500_000 * number, threads, biased=biased)
        stacks.write(log.segment_number)
        os.write(1, b"%d\\n" % now)
    number += 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.05, 0.1, 0.2, 0.4, 0.8, 1.6])
def test_a_kill_loses_no_tick_that_was_counted(log_directory, spawn, delay_s):
    process = spawn(KILLED.format(path=sys.path))
    directory = process.stdout.readline().strip()
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    counted = [int(line) for line in process.stdout.read().split("\n")[:-1] if line]
    process.wait(EVER_S)
    wait_until(lambda: has_ended(process.pid))
    found = [tick.mono_ms for tick in stack_reference.read_run(directory)]
    begin_at = counted.index(found[0])
    assert found[: len(counted) - begin_at] == counted[begin_at:]
    assert len(found) - (len(counted) - begin_at) <= 1
