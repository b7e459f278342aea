"""Windows of stored stacks: as the reference decoder sums them, of any file, in bounded memory."""

import os
import random
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import stack_reference, written_stacks
from kit.processes import IMPORT_PATH
from kit.written_stacks import BEGIN_MS, START_MS, encoded, frames, ticks
from pprofplus.log import stack_format as fmt
from pprofplus.log.log_directory import stack_file_name
from pprofplus.log.stack_format import STACK_STATES, pack_block
from pprofplus_tui.sources.local.stack_reader import StackReader

EVER = (0, 1 << 52)


@pytest.fixture
def run(tmp_path):
    """Return a function that writes the files of a run, and returns its path."""

    def write(*files, first=1):
        for part, data in enumerate(files, first):
            (tmp_path / stack_file_name(1, part)).write_bytes(data)
        return str(tmp_path)

    return write


def rows_of(window):
    """Return {(thread, frames, state): [biased ticks, other ticks]} and {thread: CPU ms}."""
    rows, cpu_ms = Counter(), Counter()
    for i, thread in enumerate(window.threads[j] for j in window.thread.tolist()):
        name = (thread.native_id, thread.name)
        stack = tuple(
            (frame.name, frame.file, frame.first_line, frame.line)
            for frame in window.frames_of(int(window.stack[i]))
        )
        key = name, stack, window.states[window.state[i]]
        if window.ticks[i] or window.biased_ticks[i]:
            rows[key, "biased"] += int(window.biased_ticks[i])
            rows[key, "other"] += int(window.ticks[i])
        cpu_ms[name] += float(window.cpu_ms[i])
    return +rows, {name: round(used_ms) for name, used_ms in cpu_ms.items() if used_ms}


def expected_rows(some_ticks):
    """Return the same from the ticks of the reference decoder."""
    rows, cpu_ms = stack_reference.summed(some_ticks)
    found = Counter()
    for (thread, stack, state), (biased, other) in rows.items():
        key = thread, stack, STACK_STATES[state]
        found[key, "biased"] += biased
        found[key, "other"] += other
    return +found, cpu_ms


def check(window, some_ticks):
    assert rows_of(window) == expected_rows(some_ticks)
    assert window.total_biased_ticks == sum(tick.biased for tick in some_ticks)
    assert window.total_ticks == sum(not tick.biased for tick in some_ticks)


# -- windows


@pytest.mark.parametrize("finish", [True, False])
def test_any_window_is_the_sum_of_its_ticks(run, finish):
    some = ticks(300, threads=5)
    data = encoded(some, finish=finish)
    reader = StackReader(run(data))
    known = stack_reference.read_file(data).ticks
    rng = random.Random(3)
    for _ in range(40):
        begin, end = sorted(START_MS + rng.randrange(-5000, 310_000) for _ in range(2))
        inside = [tick for tick in known if begin <= tick.unix_ms < end]
        window = reader.window(begin, end)
        check(window, inside)
        assert window.problems == ()


def test_a_window_covers_several_files_and_their_stacks_are_the_same(run):
    some = ticks(300)
    files = [encoded(some[at : at + 100]) for at in range(0, 300, 100)]
    window = StackReader(run(*files)).window(*EVER)
    check(window, [tick for data in files for tick in stack_reference.read_file(data).ticks])
    assert len(set(window.frames)) == len(window.frames)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1 << 32), st.integers(1, 60), st.integers(1, 4), st.data())
def test_the_reader_the_reference_and_the_writer_agree(seed, count, ticks_a_block, data):
    some = ticks(count, threads=3, seed=seed, change=0.5)
    content = encoded(some, ticks_a_block=ticks_a_block, finish=data.draw(st.booleans()))
    reader = StackReader("/nowhere")
    known = stack_reference.read_file(content).ticks
    assert len(known) == count
    with _directory(content) as path:
        reader = StackReader(path)
        begin = START_MS + data.draw(st.integers(-1000, 60_000))
        end = begin + data.draw(st.integers(0, 60_000))
        check(reader.window(begin, end), [t for t in known if begin <= t.unix_ms < end])


class _directory:  # noqa: N801 - a function in use
    """A run directory with one file; hypothesis runs one test many times."""

    def __init__(self, content):
        self._content = content

    def __enter__(self):
        import tempfile

        self._made = tempfile.TemporaryDirectory()
        (Path(self._made.name) / stack_file_name(1, 1)).write_bytes(self._content)
        return self._made.name

    def __exit__(self, *_):
        self._made.cleanup()


def test_a_file_is_read_while_it_is_written(run, tmp_path):
    some = ticks(120)
    whole = encoded(some, finish=False, ticks_a_block=1)
    path = run(b"")
    reader = StackReader(path)
    target = tmp_path / stack_file_name(1, 1)
    for size in range(0, len(whole) + 1, 997):
        target.write_bytes(whole[:size])
        window = reader.window(*EVER)
        check(window, stack_reference.read_file(whole[:size]).ticks)
        assert window.problems == ()
    target.write_bytes(whole)
    check(reader.window(*EVER), stack_reference.read_file(whole).ticks)


def test_files_that_rotation_removed_are_left_out(run, tmp_path):
    some = ticks(100)
    path = run(encoded(some[:50]), encoded(some[50:]))
    reader = StackReader(path)
    assert reader.window(*EVER).total_ticks + reader.window(*EVER).total_biased_ticks == 100
    (tmp_path / stack_file_name(1, 1)).unlink()
    window = reader.window(*EVER)
    assert window.total_ticks + window.total_biased_ticks == 50


def test_a_run_without_stacks_has_an_empty_window(run):
    window = StackReader(run()).window(*EVER)
    assert not len(window.thread)
    assert (window.total_ticks, window.covered_ms, window.problems) == (0, 0, ())
    assert window.biased


def test_a_run_that_is_gone_raises_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        StackReader(str(tmp_path / "gone")).window(*EVER)


def test_after_the_clock_was_set_back_earlier_ticks_are_shifted_like_samples(run):
    some = ticks(20, step_ms=1000)
    back = [(mono, unix - 3_600_000, *rest) for mono, unix, *rest in some[10:]]
    path = run(encoded(some[:10]), encoded(back))
    # on the axis all 20 s are before the step's new time
    window = StackReader(path).window(START_MS - 3_600_000, START_MS - 3_600_000 + 20_000)
    assert window.total_ticks + window.total_biased_ticks == 20


# -- estimates


def constant(count, threads, *, biased=False, begin=0):
    return [
        (BEGIN_MS + 1000 * i, START_MS + 1000 * i, threads, biased)
        for i in range(begin, begin + count)
    ]


def test_wall_time_is_the_share_of_the_ticks_that_are_not_biased(run):
    a, b = frames("main", "a"), frames("main", "b")
    some = [
        (BEGIN_MS + 1000 * i, START_MS + 1000 * i, [(1, a if i % 4 else b, 1, 0)], i % 2 == 1)
        for i in range(101)
    ]
    window = StackReader(run(encoded(some, period_ms=1 << 40))).window(*EVER)
    assert window.covered_ms == 100_000
    wall = {
        window.frames_of(int(stack))[-1].name: wall_ms
        for stack, wall_ms in zip(window.stack, window.wall_ms, strict=True)
    }
    assert wall["app.a"] == pytest.approx(100_000 * 25 / 51)
    assert not window.biased


def test_a_window_with_biased_ticks_only_says_so(run):
    some = constant(10, [(1, frames("main"), 1, 0)], biased=True)
    window = StackReader(run(encoded(some))).window(*EVER)
    assert window.biased
    assert window.wall_ms.tolist() == [window.covered_ms]


def test_cpu_time_is_divided_among_the_rows_in_which_a_thread_could_run(run):
    busy, idle = frames("main", "busy"), frames("main", "idle")
    some = [
        (BEGIN_MS + i, START_MS + i, [(1, *((busy, 1) if i % 2 else (idle, 5)), 10)], False)
        for i in range(100)
    ]
    window = StackReader(run(encoded(some))).window(*EVER)
    cpu = {
        window.frames_of(int(s))[-1].name: c
        for s, c in zip(window.stack, window.cpu_ms, strict=True)
    }
    assert cpu == {"app.busy": 1000.0, "app.idle": 0.0}


def test_cpu_time_between_ticks_has_no_stack(run):
    some = constant(10, [(1, frames("main"), 5, 7)])
    window = StackReader(run(encoded(some))).window(*EVER)
    (row,) = (i for i, used in enumerate(window.cpu_ms.tolist()) if used)
    assert window.cpu_ms[row] == 70
    assert window.frames_of(int(window.stack[row])) == ()


def test_lost_and_missed_ticks_are_counted(run):
    encoder = written_stacks.StackEncoder(written_stacks.Names(), fmt.STACK_HEADER_BYTES, 1 << 20)
    data = fmt.pack_stack_header(1 << 20, 0, 0)
    encoder.add(BEGIN_MS, START_MS, [(1, frames("main"), 1, 0)], biased=False, lost=12, missed=3)
    encoder.finish()
    window = StackReader(run(data + encoder.take())).window(*EVER)
    assert (window.lost_ticks, window.missed_ticks) == (12, 3)


# -- damage


def changed(data, at, value=None):
    made = bytearray(data)
    made[at] = made[at] ^ 0x55 if value is None else value
    return bytes(made)


@pytest.mark.parametrize("finish", [True, False])
def test_a_changed_byte_loses_only_its_block_and_the_rest_of_a_period(run, finish):
    some = ticks(120, threads=3)
    data = encoded(some, finish=finish)
    blocks = list(stack_reference.blocks_of(data))
    path = run(data)
    whole = StackReader(path).window(*EVER)
    rng = random.Random(5)
    for _ in range(60):
        at = rng.randrange(len(data))
        Path(path, stack_file_name(1, 1)).write_bytes(changed(data, at))
        window = StackReader(path).window(*EVER)
        kind = next(kind for begin, kind, body in blocks if begin <= at < begin + 8 + len(body))
        total = window.total_ticks + window.total_biased_ticks
        if kind in {fmt.TICKS_BLOCK, fmt.PERIOD_BLOCK}:
            assert total >= 120 - 21
        elif kind != fmt.DICTIONARY_BLOCK:
            assert rows_of(window) == rows_of(whole)
        else:
            assert total == 120
        is_last = at >= blocks[-1][0]  # then it may be a write that is not complete
        if total < 120 and not is_last:
            assert len(window.problems) == 1


def test_a_file_cut_at_any_byte_has_the_ticks_before_the_cut(run):
    data = encoded(ticks(30, threads=2), ticks_a_block=1)
    path = run(data)
    for size in range(0, len(data), 7):
        Path(path, stack_file_name(1, 1)).write_bytes(data[:size])
        check(StackReader(path).window(*EVER), stack_reference.read_file(data[:size]).ticks)


def test_a_file_of_a_later_version_is_a_problem_and_hides_no_other_file(run):
    some = ticks(40)
    header = fmt.STACK_HEADER.pack(b"PPST", 2, 0, 0, 1 << 20, 0, 0)
    later = pack_block(fmt.HEADER_BLOCK, header) + encoded(some[20:])[fmt.STACK_HEADER_BYTES :]
    window = StackReader(run(encoded(some[:20]), later)).window(*EVER)
    assert window.total_ticks + window.total_biased_ticks == 20
    (line,) = window.problems
    assert "newer" in line


def test_an_unknown_block_type_is_skipped(run):
    data = encoded(ticks(30))
    blocks = list(stack_reference.blocks_of(data))
    at = blocks[4][0]
    unknown = pack_block(9, b"later")
    # without an index, because its offsets are those of the file without the block
    made = data[:at] + unknown + data[at : blocks[-1][0]]
    window = StackReader(run(made)).window(*EVER)
    assert window.total_ticks + window.total_biased_ticks > 20


def test_links_and_other_files_are_not_read(run, tmp_path):
    target = tmp_path / "elsewhere"
    target.write_bytes(encoded(ticks(10)))
    path = run()
    (tmp_path / stack_file_name(1, 1)).symlink_to(target)
    os.mkfifo(tmp_path / stack_file_name(1, 2))
    (tmp_path / stack_file_name(1, 3)).mkdir()
    assert StackReader(path).window(*EVER).total_ticks == 0


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.binary(max_size=80)), max_size=12),
    st.booleans(),
    st.integers(0, 1 << 30),
)
def test_any_blocks_with_valid_crcs_are_read_or_are_a_problem(blocks, packed, seed):
    data = bytearray(encoded(ticks(12, threads=2, seed=seed), finish=False))
    for kind, body in blocks:
        if packed and kind == fmt.DICTIONARY_BLOCK:
            body = fmt.pack_data(body)  # noqa: PLW2901
        data += pack_block(kind, body)
    with _directory(bytes(data)) as path:
        window = StackReader(path).window(*EVER)
        assert window.total_ticks + window.total_biased_ticks >= 12


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_body_changed_at_any_byte_and_resealed_is_read_or_is_a_problem(data):
    content = encoded(ticks(25, threads=3), finish=data.draw(st.booleans()))
    blocks = list(stack_reference.blocks_of(content))
    victim = data.draw(st.integers(1, len(blocks) - 1))
    made = bytearray()
    for i, (_, kind, body) in enumerate(blocks):
        if i == victim and body:
            at = data.draw(st.integers(0, len(body) - 1))
            body = changed(body, at, data.draw(st.integers(0, 255)))  # noqa: PLW2901
        made += pack_block(kind, body)
    with _directory(bytes(made)) as path:
        for window in (EVER, (START_MS + 3000, START_MS + 9000)):
            found = StackReader(path).window(*window)
            assert (found.parent_of < range(len(found.parent_of))).all()
            assert len(found.thread) == len(found.cpu_ms) == len(found.wall_ms)


def bombs():
    """Yield files that are made to exhaust memory or time."""
    size = fmt.MAX_STACK_FILE_BYTES
    header = fmt.pack_stack_header(size, 0, 0)
    zeros = zlib.compress(bytes(fmt.MAX_UNPACKED_BYTES), 9)
    packed = fmt.PACKED_HEAD.pack(fmt.ZLIB, fmt.MAX_UNPACKED_BYTES) + zeros
    dictionary = pack_block(fmt.DICTIONARY_BLOCK, packed)
    yield header + dictionary * ((size - 100) // len(dictionary))
    # tables with as many entries as fit
    count = 300_000
    for table in range(4):
        numbers = bytearray()
        for other in range(4):
            numbers += (
                bytes((1, 0))
                if other != table
                else b"\x01\xe0\xa7\x12" + bytes((1, 0, 0)[: (1, 3, 3, 2)[table]]) * count
            )
        raw = struct.pack("<I", len(numbers)) + numbers
        raw = raw[: fmt.MAX_UNPACKED_BYTES]
        block = pack_block(
            fmt.DICTIONARY_BLOCK,
            fmt.PACKED_HEAD.pack(fmt.ZLIB, len(raw)) + zlib.compress(bytes(raw), 9),
        )
        yield header + block * ((size - 100) // len(block))
    rows = fmt.MAX_UNPACKED_BYTES // 13
    period = pack_block(
        fmt.PERIOD_BLOCK,
        fmt.PERIOD_HEAD.pack(36, 0, START_MS, 1000, 1, 1, 0, 0, rows, 0)
        + fmt.PACKED_HEAD.pack(fmt.ZLIB, 13 * rows)
        + zlib.compress(bytes(13 * rows), 9),
    )
    yield header + period * ((size - 100) // len(period))
    yield header + pack_block(9, b"") * ((size - 100) // 8)
    # a block in every second place
    yield header + (pack_block(9, b"") + b"\xff") * ((size - 100) // 9)
    # many places where a long block may begin
    yield header + (b"\0\0\x03\x03" * (size // 4))[: size - 100]
    yield header + (b"\x03" * size)[: size - 100]
    yield header + random.Random(1).randbytes(size - 100)
    change = bytes((0, 1))
    tick = bytes((0, 0x80 | 0x40, 0x20)) + change * 4160
    body = bytes((1,)) + fmt.PERIOD_BEGIN.pack(0, START_MS, 0)
    body += bytes((0, 100)) + b"".join(bytes((0, 3, 1, 1)) for _ in range(100))
    body += bytes((2, 0)) * 100_000
    yield header + pack_block(fmt.TICKS_BLOCK, body) * 4
    yield header + pack_block(fmt.TICKS_BLOCK, body[:21] + tick)


LIMITED = """
import importlib.util, resource, sys, time
spec = importlib.util.spec_from_file_location("test_stack_reader", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
from pathlib import Path
from pprofplus_tui.sources.local.stack_reader import StackReader
files = list(tests.bombs())
limit = int(sys.argv[3]) << 20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for number, data in enumerate(files):
    path = Path(sys.argv[2], str(number))
    path.mkdir()
    assert len(data) <= 1 << 20
    (path / "000001-01.ppstacks").write_bytes(data)
    began = time.process_time()
    window = StackReader(str(path)).window(0, 1 << 52)
    print(number, round(time.process_time() - began, 2), len(window.thread), window.problems)
"""


@pytest.mark.slow
def test_files_made_to_exhaust_memory_or_time_are_read_within_1_gib(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, __file__, str(tmp_path), "1024"],
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
        env={**os.environ, "PYTHONPATH": IMPORT_PATH, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(list(bombs()))
