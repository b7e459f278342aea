"""Files that are damaged, foreign or planted: never an exception, a hang or a wrong value."""

import os
import random
import socket
import time
from pathlib import Path
from zlib import crc32

import pytest

from pprofplus.log import format as fmt
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.window_query import query

REQUESTS = [("rss", False), ("cpu_user", True), ("threads", False)]


def small_run(write_run, pages=3, samples=4):
    """Write whole pages, each in one version; returns the writer."""
    writer = write_run()
    for page in range(pages):
        if page:
            writer.new_page()
        for i in range(samples):
            n = page * samples + i
            writer.add(n * 1000, [n * n % 17, n * 5, n], write=False)
    writer.close_page()
    writer.close()
    return writer


def opened(writer):
    run = RunLog(str(writer.path))
    run.refresh()
    return run


def all_points(run):
    return query(run, run.begin_ms, run.end_ms + 1, 10_000, REQUESTS)


def threads_seen(run):
    """The third metric counts the samples, so it tells which were read."""
    return [int(n) for n in all_points(run)["threads", False].lo]


def used_ranges(raw):
    """Where the bytes are that mean something, page by page."""
    for at in range(0, len(raw), fmt.PAGE_SIZE):
        yield at, at + int.from_bytes(raw[at + 8 : at + 12], "little")


def resealed(page):
    """Give a page that was tampered with the CRCs that it needs to be believed."""
    page = bytearray(page)
    head = int.from_bytes(page[12:16], "little")
    length = int.from_bytes(page[8:12], "little")
    page[20:24] = crc32(page[head:length]).to_bytes(4, "little")
    page[24:28] = crc32(page[28:head], crc32(page[:24])).to_bytes(4, "little")
    return bytes(page)


def test_a_file_cut_anywhere_gives_the_pages_before_the_cut(write_run):
    writer = small_run(write_run)
    path = writer.segment_path()
    raw = path.read_bytes()
    ranges = list(used_ranges(raw))
    for begin, end in ranges:
        for cut in range(begin, end):
            path.write_bytes(raw[:cut])
            run = opened(writer)
            whole = max(0, sum(stop <= cut for _, stop in ranges) - 1)
            seen = threads_seen(run) if run.table.count else []
            assert seen == list(range(whole * 4))
            assert run.damaged_pages == (cut > begin)


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_costs_its_page_and_nothing_else(write_run, seed):
    writer = small_run(write_run)
    path = writer.segment_path()
    raw = path.read_bytes()
    ranges = list(used_ranges(raw))
    rng = random.Random(seed)  # noqa: S311 - the same bits each time
    for _ in range(60):
        which = rng.randrange(1, len(ranges))
        at = rng.randrange(*ranges[which])
        bad = bytearray(raw)
        bad[at] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        run = opened(writer)
        lost = range((which - 1) * 4, which * 4)
        assert threads_seen(run) == [n for n in range(12) if n not in lost]
        assert run.damaged_pages == 1


def test_a_torn_newest_version_falls_back_to_the_one_before(write_run):
    writer = write_run()
    for n in range(5):
        writer.add(n * 1000, [n, n, n])
    path = writer.segment_path()
    raw = bytearray(path.read_bytes())
    assert len(raw) > 2 * fmt.PAGE_SIZE  # header and both versions
    raw[fmt.PAGE_SIZE + 160] ^= 1  # the fifth write went to the first place
    path.write_bytes(raw)
    run = opened(writer)
    assert threads_seen(run) == [0, 1, 2, 3]
    assert run.damaged_pages == 1


def test_two_versions_of_a_page_are_one_page(write_run):
    writer = write_run()
    for n in range(6):
        writer.add(n * 1000, [n, n, n])
    run = opened(writer)
    assert run.table.count == 1
    assert run.samples == 6
    assert run.damaged_pages == 0


def test_a_page_that_claims_samples_it_has_not_is_counted_and_skipped(write_run):
    writer = small_run(write_run)
    path = writer.segment_path()
    raw = path.read_bytes()
    at = 2 * fmt.PAGE_SIZE
    page = bytearray(raw[at : at + fmt.PAGE_SIZE])
    page[32:36] = (4096).to_bytes(4, "little")
    path.write_bytes(raw[:at] + resealed(page) + raw[at + fmt.PAGE_SIZE :])
    run = opened(writer)
    assert threads_seen(run) == [*range(4), *range(8, 12)]
    assert run.damaged_pages == 1


@pytest.mark.parametrize(
    ("begin", "end", "value"),
    [
        (8, 12, 0xFFFFFFFF),  # length
        (12, 16, 0xFFFFFFFF),  # head length
        (28, 32, 1),  # schema
        (32, 36, 0xFFFFFFFF),  # samples
        (36, 38, 0xFFFF),  # columns
        (38, 40, 0xFFFF),  # bytes of events
        (40, 48, 1 << 63),  # first monotonic ms
        (48, 56, (1 << 63) - 1),  # unix ms
        (56, 64, 0),  # last monotonic ms
        (56, 64, (1 << 63) - 1),
    ],
)
def test_a_head_that_lies_costs_its_page(write_run, begin, end, value):
    writer = small_run(write_run)
    path = writer.segment_path()
    raw = path.read_bytes()
    at = 2 * fmt.PAGE_SIZE
    page = bytearray(raw[at : at + fmt.PAGE_SIZE])
    page[begin:end] = value.to_bytes(end - begin, "little")
    path.write_bytes(raw[:at] + resealed(page) + raw[at + fmt.PAGE_SIZE :])
    run = opened(writer)
    assert threads_seen(run) == [*range(4), *range(8, 12)]
    assert run.damaged_pages == 1


@pytest.mark.parametrize(
    "text",
    [b"[" * 8000, b'{"metrics":' + b"[" * 7000, b"\xff", b"{}", b"7"],
    ids=["deep", "deep table", "no text", "no table", "no object"],
)
def test_a_header_that_is_a_bomb_is_no_header(write_run, text):
    writer = small_run(write_run)
    path = writer.segment_path()
    raw = path.read_bytes()
    page = fmt.pack_page(fmt.HEADER, 0, fmt.HEADER_HEAD.pack(0, 1, 0), text)
    path.write_bytes(page.ljust(fmt.PAGE_SIZE, b"\0") + raw[fmt.PAGE_SIZE :])
    run = opened(writer)
    assert run.table.count == 0
    assert run.damaged_pages == 4
    assert run.refresh() is False


def test_a_damaged_header_is_replaced_by_that_of_a_sibling_with_the_same_table(write_run):
    writer = write_run(slots_per_segment=2)
    for n in range(6):
        writer.new_page()
        writer.add(n * 1000, [n, n, n], write=False)
    writer.close_page()
    first = writer.segment_path(2)
    raw = bytearray(first.read_bytes())
    raw[100] ^= 1
    first.write_bytes(raw)
    run = opened(writer)
    assert threads_seen(run) == list(range(6))
    assert run.damaged_pages == 1


def test_a_file_of_a_later_version_is_told_of_and_hides_nothing(write_run):
    writer = write_run(slots_per_segment=2)
    for n in range(3):
        writer.new_page()
        writer.add(n * 1000, [n, n, n], write=False)
    writer.close_page()
    path = writer.segment_path(2)
    raw = bytearray(path.read_bytes())
    for at in range(0, len(raw), fmt.PAGE_SIZE):
        raw[at + 4] = 2
        raw[at : at + fmt.PAGE_SIZE] = resealed(raw[at : at + fmt.PAGE_SIZE])
    path.write_bytes(raw)
    run = opened(writer)
    assert threads_seen(run) == [0, 2]
    assert run.damaged_pages == 0
    assert "upgrade" in run.problems[0]
    assert "\n" not in run.problems[0]


def test_an_unknown_page_type_is_skipped_and_not_counted(write_run):
    writer = small_run(write_run)
    path = writer.segment_path()
    raw = path.read_bytes()
    at = 2 * fmt.PAGE_SIZE
    page = bytearray(raw[at : at + fmt.PAGE_SIZE])
    page[5] = 77
    path.write_bytes(raw[:at] + resealed(page) + raw[at + fmt.PAGE_SIZE :])
    run = opened(writer)
    assert threads_seen(run) == [*range(4), *range(8, 12)]
    assert run.damaged_pages == 0


def test_things_that_are_no_files_are_passed_over(write_run):
    writer = small_run(write_run)
    here = os.open(".", os.O_RDONLY)
    os.mkfifo(writer.path / "000002.pplog")
    (writer.path / "000003.pplog").mkdir()
    (writer.path / "000004.pplog").symlink_to("/dev/zero")
    (writer.path / "000005.pplog").symlink_to(writer.segment_path(1))
    try:
        os.chdir(writer.path)  # a socket's path has to be short
        with socket.socket(socket.AF_UNIX) as planted:
            planted.bind("000006.pplog")
    finally:
        os.fchdir(here)
        os.close(here)
    run = opened(writer)
    assert threads_seen(run) == list(range(12))
    assert run.damaged_pages == 0


def test_a_huge_sparse_file_costs_no_time(write_run):
    writer = small_run(write_run)
    with (writer.path / "000002.pplog").open("wb") as sparse:
        sparse.truncate(1 << 40)
    begin = time.perf_counter()
    run = opened(writer)
    run.refresh()
    assert time.perf_counter() - begin < 5
    assert threads_seen(run) == list(range(12))


@pytest.mark.parametrize("size", [1, 27, 28, 8191, 8192, 100_000])
def test_garbage_is_counted_and_hides_nothing(write_run, size):
    writer = small_run(write_run)
    garbage = random.Random(size).randbytes(size)  # noqa: S311 - the same each time
    (writer.path / "000002.pplog").write_bytes(garbage)
    run = opened(writer)
    assert threads_seen(run) == list(range(12))
    assert run.damaged_pages == -(-size // fmt.PAGE_SIZE)


def test_an_empty_file_is_no_damage(write_run):
    writer = small_run(write_run)
    (writer.path / "000002.pplog").touch()
    run = opened(writer)
    assert threads_seen(run) == list(range(12))
    assert run.damaged_pages == 0


def test_a_forged_page_number_out_of_order_costs_that_page_only(write_run):
    writer = small_run(write_run)
    path = writer.segment_path()
    raw = path.read_bytes()
    page = bytearray(raw[fmt.PAGE_SIZE : 2 * fmt.PAGE_SIZE])
    page[16:20] = (900).to_bytes(4, "little")
    path.write_bytes(raw[: fmt.PAGE_SIZE] + resealed(page) + raw[2 * fmt.PAGE_SIZE :])
    run = opened(writer)
    assert threads_seen(run) == list(range(4, 12))
    assert run.damaged_pages == 1


def test_a_log_that_shrinks_while_open_is_read_anew(write_run):
    writer = small_run(write_run)
    run = opened(writer)
    os.truncate(writer.segment_path(), 2 * fmt.PAGE_SIZE)
    assert run.refresh()
    assert threads_seen(run) == list(range(4))


def test_a_log_that_is_replaced_while_open_is_read_anew(write_run):
    writer = small_run(write_run)
    run = opened(writer)
    path = writer.segment_path()
    raw = path.read_bytes()
    other = Path(f"{path}.new")
    other.write_bytes(raw[: 3 * fmt.PAGE_SIZE])
    other.rename(path)
    assert run.refresh()
    assert threads_seen(run) == list(range(8))


def test_pages_that_vanish_between_index_and_decode_are_left_out(write_run):
    writer = write_run(slots_per_segment=2)
    for n in range(4):
        writer.new_page()
        writer.add(n * 1000, [n, n, n], write=False)
        writer.add(n * 1000 + 500, [n, n, n], write=False)
    writer.close_page()
    run = opened(writer)
    writer.segment_path(2).unlink()
    assert threads_seen(run) == [0, 0, 2, 2, 3, 3]
    assert run.damaged_pages == 0


def test_a_run_whose_directory_vanishes_becomes_empty(write_run):
    writer = small_run(write_run)
    run = opened(writer)
    writer.segment_path().unlink()
    writer.path.rmdir()
    assert run.refresh()
    assert run.samples == 0
    assert all(len(points) == 0 for points in all_points(run).values())
    assert run.events() == ()
    assert run.last() == {}
    assert not run.refresh()


def test_no_file_stays_open(write_run):
    writer = write_run(slots_per_segment=2)
    for n in range(40):
        writer.new_page()
        writer.add(n * 1000, [n, n, n], write=False)
    writer.close_page()
    before = len(list(Path("/proc/self/fd").iterdir()))
    run = opened(writer)
    all_points(run)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
