"""Damaged, foreign or malicious files: never an exception, a hang or a wrong value."""

import os
import random
import socket
import time
from pathlib import Path
from zlib import crc32

import pytest

from kit.run_logs import open_run
from pprofplus.log import format as fmt
from pprofplus_tui.sources.local.window_query import query

REQUESTS = [("rss", False), ("cpu_user", True), ("threads", False)]


def small_run(write_run, pages=3, samples=4):
    """Write complete pages, each in one version; return the writer."""
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


def all_points(run):
    return query(run, run.begin_ms, run.end_ms + 1, 10_000, REQUESTS)


def threads_seen(run):
    """The third metric counts the samples, so it shows which were read."""
    return [int(n) for n in all_points(run)["threads", False].lo]


def used_ranges(raw):
    """Return the ranges of the used bytes, page by page."""
    for at in range(0, len(raw), fmt.PAGE_SIZE):
        yield at, at + int.from_bytes(raw[at + 8 : at + 12], "little")


def resealed(page):
    """Return a modified page with correct CRCs."""
    page = bytearray(page)
    head = int.from_bytes(page[12:16], "little")
    length = int.from_bytes(page[8:12], "little")
    page[20:24] = crc32(page[head:length]).to_bytes(4, "little")
    page[24:28] = crc32(page[28:head], crc32(page[:24])).to_bytes(4, "little")
    return bytes(page)


def test_a_truncated_file_has_the_pages_before_the_cut(write_run):
    writer = small_run(write_run)
    path = writer.segment_path()
    raw = path.read_bytes()
    ranges = list(used_ranges(raw))
    for begin, end in ranges:
        for cut in range(begin, end):
            path.write_bytes(raw[:cut])
            run = open_run(writer)
            whole = max(0, sum(stop <= cut for _, stop in ranges) - 1)
            seen = threads_seen(run) if run.table.count else []
            assert seen == list(range(whole * 4))
            assert run.damaged_pages == (cut > begin)


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_loses_only_its_page(write_run, seed):
    writer = small_run(write_run)
    path = writer.segment_path()
    raw = path.read_bytes()
    ranges = list(used_ranges(raw))
    rng = random.Random(seed)
    for _ in range(60):
        which = rng.randrange(1, len(ranges))
        at = rng.randrange(*ranges[which])
        bad = bytearray(raw)
        bad[at] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        run = open_run(writer)
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
    raw[fmt.PAGE_SIZE + 160] ^= 1  # the fifth write went to the first slot
    path.write_bytes(raw)
    run = open_run(writer)
    assert threads_seen(run) == [0, 1, 2, 3]
    assert run.damaged_pages == 1


def test_two_versions_of_a_page_count_as_one_page(write_run):
    writer = write_run()
    for n in range(6):
        writer.add(n * 1000, [n, n, n])
    run = open_run(writer)
    assert run.table.count == 1
    assert run.samples == 6
    assert run.damaged_pages == 0


def test_a_page_with_fewer_samples_than_its_head_is_counted_and_skipped(write_run):
    writer = small_run(write_run)
    path = writer.segment_path()
    raw = path.read_bytes()
    at = 2 * fmt.PAGE_SIZE
    page = bytearray(raw[at : at + fmt.PAGE_SIZE])
    page[32:36] = (4096).to_bytes(4, "little")
    path.write_bytes(raw[:at] + resealed(page) + raw[at + fmt.PAGE_SIZE :])
    run = open_run(writer)
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
def test_a_wrong_value_in_a_head_loses_only_its_page(write_run, begin, end, value):
    writer = small_run(write_run)
    path = writer.segment_path()
    raw = path.read_bytes()
    at = 2 * fmt.PAGE_SIZE
    page = bytearray(raw[at : at + fmt.PAGE_SIZE])
    page[begin:end] = value.to_bytes(end - begin, "little")
    path.write_bytes(raw[:at] + resealed(page) + raw[at + fmt.PAGE_SIZE :])
    run = open_run(writer)
    assert threads_seen(run) == [*range(4), *range(8, 12)]
    assert run.damaged_pages == 1


@pytest.mark.parametrize(
    "text",
    [b"[" * 8000, b'{"metrics":' + b"[" * 7000, b"\xff", b"{}", b"7"],
    ids=["deep", "deep table", "no text", "no table", "no object"],
)
def test_a_malicious_header_is_ignored(write_run, text):
    writer = small_run(write_run)
    path = writer.segment_path()
    raw = path.read_bytes()
    page = fmt.pack_page(fmt.HEADER, 0, fmt.HEADER_HEAD.pack(0, 1, 0), text)
    path.write_bytes(page.ljust(fmt.PAGE_SIZE, b"\0") + raw[fmt.PAGE_SIZE :])
    run = open_run(writer)
    assert run.table.count == 0
    assert run.damaged_pages == 4
    assert run.refresh() is False


def test_a_damaged_header_is_replaced_by_that_of_a_segment_with_the_same_schema(write_run):
    writer = write_run(slots_per_segment=2)
    for n in range(6):
        writer.new_page()
        writer.add(n * 1000, [n, n, n], write=False)
    writer.close_page()
    first = writer.segment_path(2)
    raw = bytearray(first.read_bytes())
    raw[100] ^= 1
    first.write_bytes(raw)
    run = open_run(writer)
    assert threads_seen(run) == list(range(6))
    assert run.damaged_pages == 1


def test_a_file_of_a_later_version_is_a_problem_and_hides_no_other_segment(write_run):
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
    run = open_run(writer)
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
    run = open_run(writer)
    assert threads_seen(run) == [*range(4), *range(8, 12)]
    assert run.damaged_pages == 0


def test_anything_but_regular_files_is_ignored(write_run):
    writer = small_run(write_run)
    here = os.open(".", os.O_RDONLY)
    os.mkfifo(writer.path / "000002.pplog")
    (writer.path / "000003.pplog").mkdir()
    (writer.path / "000004.pplog").symlink_to("/dev/zero")
    (writer.path / "000005.pplog").symlink_to(writer.segment_path(1))
    try:
        os.chdir(writer.path)  # the path of a socket must be short
        with socket.socket(socket.AF_UNIX) as endpoint:
            endpoint.bind("000006.pplog")
    finally:
        os.fchdir(here)
        os.close(here)
    run = open_run(writer)
    assert threads_seen(run) == list(range(12))
    assert run.damaged_pages == 0


def test_a_huge_sparse_file_is_read_fast(write_run):
    writer = small_run(write_run)
    with (writer.path / "000002.pplog").open("wb") as sparse:
        sparse.truncate(1 << 40)
    begin = time.perf_counter()
    run = open_run(writer)
    run.refresh()
    assert time.perf_counter() - begin < 5
    assert threads_seen(run) == list(range(12))


@pytest.mark.parametrize("size", [1, 27, 28, 8191, 8192, 100_000])
def test_random_bytes_are_counted_and_hide_no_other_segment(write_run, size):
    writer = small_run(write_run)
    garbage = random.Random(size).randbytes(size)
    (writer.path / "000002.pplog").write_bytes(garbage)
    run = open_run(writer)
    assert threads_seen(run) == list(range(12))
    assert run.damaged_pages == -(-size // fmt.PAGE_SIZE)


def test_an_empty_file_is_not_damage(write_run):
    writer = small_run(write_run)
    (writer.path / "000002.pplog").touch()
    run = open_run(writer)
    assert threads_seen(run) == list(range(12))
    assert run.damaged_pages == 0


def test_a_forged_page_number_out_of_order_loses_only_that_page(write_run):
    writer = small_run(write_run)
    path = writer.segment_path()
    raw = path.read_bytes()
    page = bytearray(raw[fmt.PAGE_SIZE : 2 * fmt.PAGE_SIZE])
    page[16:20] = (900).to_bytes(4, "little")
    path.write_bytes(raw[: fmt.PAGE_SIZE] + resealed(page) + raw[2 * fmt.PAGE_SIZE :])
    run = open_run(writer)
    assert threads_seen(run) == list(range(4, 12))
    assert run.damaged_pages == 1


def test_a_log_that_shrinks_while_open_is_read_again(write_run):
    writer = small_run(write_run)
    run = open_run(writer)
    os.truncate(writer.segment_path(), 2 * fmt.PAGE_SIZE)
    assert run.refresh()
    assert threads_seen(run) == list(range(4))


def test_a_log_that_is_replaced_while_open_is_read_again(write_run):
    writer = small_run(write_run)
    run = open_run(writer)
    path = writer.segment_path()
    raw = path.read_bytes()
    other = Path(f"{path}.new")
    other.write_bytes(raw[: 3 * fmt.PAGE_SIZE])
    other.rename(path)
    assert run.refresh()
    assert threads_seen(run) == list(range(8))


def test_pages_removed_between_index_and_decode_are_left_out(write_run):
    writer = write_run(slots_per_segment=2)
    for n in range(4):
        writer.new_page()
        writer.add(n * 1000, [n, n, n], write=False)
        writer.add(n * 1000 + 500, [n, n, n], write=False)
    writer.close_page()
    run = open_run(writer)
    writer.segment_path(2).unlink()
    assert threads_seen(run) == [0, 0, 2, 2, 3, 3]
    assert run.damaged_pages == 0


def test_a_run_whose_directory_is_removed_becomes_empty(write_run):
    writer = small_run(write_run)
    run = open_run(writer)
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
    run = open_run(writer)
    all_points(run)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
