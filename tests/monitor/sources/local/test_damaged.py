"""Damaged and malicious logs in all readers of the monitor, compared with the reference."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import damaged_corpus as corpus
from kit.processes import IMPORT_PATH
from kit.run_logs import open_run
from pprofplus.errors import LogFormatError
from pprofplus.log import format as fmt
from pprofplus_tui.commands.list import list_runs
from pprofplus_tui.export import FORMATS, write_rows
from pprofplus_tui.model.options import Options
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.local_run import LocalRun
from pprofplus_tui.sources.local.run_log import open_log
from pprofplus_tui.sources.local.sample_counts import counted
from pprofplus_tui.sources.local.sample_rows import page_blocks
from pprofplus_tui.sources.local.window_query import page_extremes, query

make = corpus.make

FIRST_MS = make.START_MS


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    directory = tmp_path_factory.mktemp("damaged")
    corpus.unpack(directory)
    return directory


def read_everything(home):
    """Read a log directory in all ways of the monitor; return the logs of its runs."""
    catalog = Catalog([str(home)])
    catalog.refresh()
    catalog.refresh()
    logs = []
    for info in catalog.runs:
        run = open_log(info.id, in_blocks=True)
        run.refresh()
        read_all(run)
        scanned = counted(info)
        assert scanned.begin_ms <= scanned.end_ms
        for form in FORMATS:
            with Path(os.devnull).open("wb") as out:
                write_rows([LocalRun(run)], 0, fmt.MAX_UNIX_MS, out, form=form)
        logs.append(run)
    if logs:
        options = Options((str(home),))
        list_runs(options, as_json=False, out=io.StringIO(), err=io.StringIO())
        list_runs(options, as_json=True, out=io.StringIO(), err=io.StringIO())
    return logs


def read_all(run):
    """Read from a run all that charts and lists show."""
    requests = [(name, rate) for name, _, _ in run.metrics for rate in (False, True)]
    requests.append(("no such metric", False))
    begin, end = run.begin_ms, run.end_ms + 1
    windows = [
        (begin, end),
        (0, fmt.MAX_UNIX_MS),
        (begin + (end - begin) // 3, end),
        (end, end + 9),
    ]
    for window in windows:
        for buckets in (1, 7, 1000):
            for points in query(run, *window, buckets, requests[:40]).values():
                assert (np.diff(points.t_ms) > 0).all()
                assert (points.hi >= points.lo).all()
                assert np.isfinite(points.lo).all()
                assert np.isfinite(points.hi).all()
    for name, _, _ in run.metrics[:40]:
        page_extremes(run, name)
    times = [event.t_ms for event in run.events()]
    assert times == sorted(times)
    assert all(0 <= t_ms < fmt.MAX_UNIX_MS for t_ms in times)
    assert 0 <= run.begin_ms <= run.end_ms < fmt.MAX_UNIX_MS
    run.last_events()
    run.last()


def samples_of(run):
    """Return {n: (unix ms, values)} of the samples of the corpus's run, by its metric `n`."""
    found = {}
    wanted = ("rss", "cpu_user", "a", "n")
    for row in range(run.table.count):
        (block,) = page_blocks(run, np.array([row]), wanted)
        order = sorted(
            range(len(block.metrics)),
            key=lambda at, block=block: wanted.index(block.metrics[at][0]),
        )
        if len(order) != 3:
            continue
        rows = zip(block.t_ms.tolist(), block.values[order].T.tolist(), strict=True)
        found.update({value[2]: (time, value) for time, value in rows})
    return found


@pytest.mark.parametrize("case", corpus.CASES)
def test_all_readers_return_the_undamaged_samples_of_a_damaged_log(unpacked, case):
    (run,) = read_everything(corpus.log_directory_of(unpacked, case))
    found = samples_of(run)
    for n in corpus.CASES[case]["must"]:
        assert found[n] == (FIRST_MS + 1000 * n, make.values(n))


# The values in these cases are wrong, but possible.
HARMLESS = {case for case in corpus.CASES if len(corpus.CASES[case]["must"]) == 24} | {
    *(case for case in corpus.CASES if case.startswith(("head/cell", "body/events"))),
    *(f"head/type {kind}" for kind in (0, 1, 3, 255)),
    "head/samples 0",
    "head/events bytes 0",
    "head/events bytes 1",
    "head/events bytes 26",
    "number/repeats",
    "schema/a run of no metrics",
    "body/column 65 bit number",
    "body/column largest steps",
    "body/column runs of nothing",
    "body/times runs of nothing",
}


def test_damage_is_counted_or_a_problem(unpacked):
    silent = []
    for case in sorted(corpus.CASES.keys() - HARMLESS):
        run = open_run(corpus.log_directory_of(unpacked, case) / make.RUN)
        samples_of(run)
        read_all(run)
        if not run.damaged_pages and not run.problems:
            silent.append(case)
    assert silent == []


def one_page_run(directory, page, metrics=make.METRICS):
    path = Path(directory, make.RUN)
    path.mkdir(parents=True, exist_ok=True)
    heads = fmt.pack_header(make.header(metrics))
    (path / "000001.pplog").write_bytes(make.laid_out([*heads, page]))
    return open_run(path)


def by_reference(page, schema):
    """Return (times, columns, events) of the reference reader, None if it rejects the page."""
    try:
        found = fmt.read_data_page(page)
    except LogFormatError:
        return None
    says = found.head.samples or found.head.events_bytes
    if found.head.schema != schema or found.head.columns != 3 or not says:
        return None
    if found.head.prefix.page_size != fmt.PAGE_SIZE:
        return None  # the page size differs from the size of the file
    return found.mono_ms, found.columns, [(e.kind, e.value, e.text) for e in found.events]


def by_monitor(run):
    """Return the same of the monitor's reader."""
    if not run.table.count:
        return None
    (found,) = page_blocks(run, np.array([0]), None)
    t_ms, values = found.t_ms, found.values
    if run.table.rows["samples"][0] and not len(t_ms):
        return None
    events = [(kind_number(e.kind), e.value, e.text) for e in run.events()]
    mono = (t_ms - run.table.offset_ms[0]).tolist()
    return mono, values.tolist(), sorted(events)


def kind_number(kind):
    numbers = {name: number for number, name in fmt.EVENT_KINDS.items()}
    return numbers[kind] if kind in numbers else int(kind)


def agree(directory, page):
    wanted = by_reference(page, make.header().schema)
    found = by_monitor(one_page_run(directory, page))
    if wanted is not None:
        wanted = (*wanted[:2], sorted(wanted[2]))
    assert found == wanted


def forged_pages():
    return dict([*make.lying_heads(), *make.lying_bodies()])


@pytest.mark.parametrize("name", forged_pages())
def test_both_readers_give_the_same_result_for_a_forged_page(name, tmp_path):
    agree(tmp_path, forged_pages()[name])


CHANGES = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(make.pages()[:2]), CHANGES)
def test_both_readers_give_the_same_result_for_any_page_with_valid_crcs(
    tmp_path_factory, page, changes
):
    changed = bytearray(page)
    for at, value in changes:
        changed[at % len(changed)] = value
    agree(tmp_path_factory.getbasetemp() / "believed", make.sealed(changed))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), CHANGES), max_size=4), st.permutations(range(6)))
def test_all_readers_accept_any_pages_with_valid_crcs_in_any_order(
    tmp_path_factory, changes, order
):
    pages = [bytearray(page) for page in make.pages()]
    for which, some in changes:
        for at, value in some:
            pages[which][at % len(pages[which])] = value
    directory = tmp_path_factory.getbasetemp() / "any order" / make.RUN
    directory.mkdir(parents=True, exist_ok=True)
    for number, data in make.segments([make.sealed(pages[i]) for i in order]).items():
        (directory / f"{number:06d}.pplog").write_bytes(data)
    run = open_run(directory)
    read_all(run)


def test_a_page_out_of_order_is_counted_once_even_if_written_again(tmp_path):
    pages = make.pages()
    late = make.with_field(pages[0], 16, "I", 9)
    for count in range(1, 5):
        written = make.with_field(late, 64 + 4, "I", count)
        heads = fmt.pack_header(make.header())
        if count == 1:
            run = one_page_run(tmp_path, pages[1])
        Path(run.path, "000001.pplog").write_bytes(
            make.laid_out([*heads, pages[1], pages[2], written])
        )
        run.refresh()
        assert run.samples == 2 * make.SAMPLES
        assert run.damaged_pages == 1


def test_an_earlier_forged_page_is_dropped_when_undamaged_pages_follow(tmp_path):
    pages = make.pages()
    far = make.with_field(make.with_field(pages[1], 40, "q", 1 << 50), 56, "q", 1 << 50)
    far = make.with_field(make.with_body(far, [b"\xcf\x0f" * 3, b"", b"", b""]), 16, "I", 0)
    heads = fmt.pack_header(make.header())
    run = one_page_run(tmp_path, far)
    for count in range(3, 7):
        log = make.laid_out([*heads, far, *pages[2:count]])
        Path(run.path, "000001.pplog").write_bytes(log)
        run.refresh()
    assert sorted(samples_of(run)) == list(range(8, 24))
    assert run.damaged_pages == 1


def test_a_damaged_page_is_replaced_by_a_later_copy(tmp_path):
    pages = make.pages()
    run = one_page_run(tmp_path, pages[0])
    heads = fmt.pack_header(make.header())
    damaged = pages[1][:-1] + bytes([pages[1][-1] ^ 1])
    for copies in ([], [pages[1]]):
        log = make.laid_out([*heads, pages[0], damaged, *pages[2:5], *copies])
        Path(run.path, "000001.pplog").write_bytes(log)
        run.refresh()
    assert sorted(samples_of(run)) == list(range(20))


def forged_to(page, crc):
    """Return `page` with four more bytes in its head that give the head this CRC."""
    head_length = int.from_bytes(page[12:16], "little")
    longer = bytearray(page[:head_length]) + bytes(4) + page[head_length:]
    longer[8:12] = (len(longer)).to_bytes(4, "little")
    longer[12:16] = (head_length + 4).to_bytes(4, "little")
    longer = bytearray(make.sealed(longer))

    def sum_with(patch):
        longer[head_length : head_length + 4] = patch.to_bytes(4, "little")
        return int.from_bytes(make.sealed(longer)[24:28], "little")

    # a CRC is linear in the bits: solve for the bits that produce the difference
    base = sum_with(0)
    rows = [(sum_with(1 << bit) ^ base, 1 << bit) for bit in range(32)]
    want, patch = crc ^ base, 0
    for bit in reversed(range(32)):
        pivot = next((row for row in rows if row[0] >> bit & 1), None)
        if pivot is None:
            continue
        rows = [(a ^ pivot[0], b ^ pivot[1]) if a >> bit & 1 else (a, b) for a, b in rows]
        if want >> bit & 1:
            want, patch = want ^ pivot[0], patch ^ pivot[1]
    assert sum_with(patch) == crc
    return make.sealed(longer)


@pytest.mark.parametrize(
    "name",
    ["head/columns 2", "head/times' length 65535", "head/samples 3", "body/a bomb of 4096 samples"],
)
def test_a_page_that_replaced_one_with_the_same_crc_is_not_read(tmp_path, name):
    pages = make.pages()
    path = one_page_run(tmp_path, pages[1]).path
    heads = fmt.pack_header(make.header())
    Path(path, "000002.pplog").write_bytes(make.laid_out([*heads, *pages[2:]]))
    run = open_run(path)
    assert run.table.count == 5
    forged = forged_to(
        forged_pages()[name.partition("/")[2]], int.from_bytes(pages[1][24:28], "little")
    )
    Path(path, "000001.pplog").write_bytes(make.laid_out([*heads, forged]))
    page_blocks(run, np.array([0, 1]), None)
    points = query(run, run.begin_ms, run.end_ms + 1, 1000, [("n", False)])["n", False]
    assert points.lo.tolist() == list(range(8, 24))


def test_a_device_with_the_name_of_a_segment_is_ignored(tmp_path):
    run = one_page_run(tmp_path, make.pages()[0])
    device = Path(run.path, "000002.pplog")
    try:
        os.mknod(device, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero never ends
    except PermissionError:
        pytest.skip("only root makes devices")
    read_everything(tmp_path)
    run.refresh()
    assert run.samples == make.SAMPLES


@pytest.mark.parametrize(
    "name", ["9999999999-999999999999999", "0-0", "0000000007-000000000000001"]
)
def test_a_run_whose_name_has_huge_numbers_is_listed(tmp_path, name):
    one_page_run(tmp_path, make.pages()[0])
    Path(tmp_path, make.RUN).rename(tmp_path / "api" / name)
    (tmp_path / "api" / name / "000002.pplog").touch()
    empty = tmp_path / "api" / f"1{name[1:]}"
    empty.mkdir()
    (empty / "000001.pplog").touch()
    runs = read_everything(tmp_path)
    assert sorted(run.samples for run in runs) == [0, make.SAMPLES]


def test_a_file_name_with_another_number_format_is_not_a_segment(tmp_path):
    run = one_page_run(tmp_path, make.pages()[0])
    raw = Path(run.path, "000001.pplog").read_bytes()
    Path(run.path, "0000002.pplog").write_bytes(raw)
    Path(run.path, "000000.pplog").write_bytes(raw)
    run.refresh()
    assert run.samples == make.SAMPLES
    assert run.problems == ()


# Files that take little disk space, and gigabytes of memory in a careless reader.


def write_sparse(path, size, log2, pieces):
    """Write a file of `size` bytes; `pieces` are (slot, bytes)."""
    with path.open("wb") as file:
        file.truncate(size)
        for slot, data in pieces:
            file.seek(slot << log2)
            file.write(data)


def wide(log2, body_bytes, head_bytes=0):
    """Return the head, with a valid CRC, of a data page whose body is all zeros."""
    page = bytearray(make.pages()[0])
    head = bytearray(page[: int.from_bytes(page[12:16], "little")])
    head[32:36] = (0).to_bytes(4, "little")
    head += bytes(max(0, head_bytes - len(head)))
    head[6] = log2
    head[8:12] = (len(head) + body_bytes).to_bytes(4, "little")
    head[12:16] = len(head).to_bytes(4, "little")
    head[38:40] = (0xFFFF if body_bytes >= 0xFFFF else 0).to_bytes(2, "little")
    head[144:152] = bytes(8)
    sealed = make.sealed(bytes(head) + bytes(body_bytes))
    return sealed[: len(head)]


def plant_bombs(home):
    """Write runs that exhaust the memory of a careless reader; their names describe them."""
    heads = fmt.pack_header(make.header())

    def run(pid):
        path = Path(home, "bomb", f"{pid}-{make.START_MS}")
        path.mkdir(parents=True)
        return path

    write_sparse(run(1) / "000001.pplog", 1 << 40, 13, [(0, heads[0])])
    table = tuple((f"g{i}", "", "gauge") for i in range(256))
    page = fmt.pack_header(make.header(table))
    write_sparse(run(2) / "000001.pplog", 1 << 40, 13, list(enumerate(page)))
    large = [make.resized(page, 20) for page in heads]
    huge_head = wide(20, 0, head_bytes=(1 << 20) - 200)
    long_head = wide(20, 0, head_bytes=1 << 16)
    events = wide(20, (1 << 20) - 200)
    for pid, piece, count in ((3, huge_head, 60), (4, long_head, 600), (5, events, 600)):
        pieces = [(0, large[0]), *((slot, piece) for slot in range(1, count))]
        write_sparse(run(pid) / "000001.pplog", 601 << 20, 20, pieces)
    part = bytearray(
        fmt.pack_page(fmt.HEADER, 0, fmt.HEADER_HEAD.pack(0, 512, 0), bytes((1 << 20) - 36))
    )
    parts = []
    for i in range(512):
        part[6] = 20
        part[28:36] = fmt.HEADER_HEAD.pack(i, 512, 0)
        parts.append((i, make.sealed(part)[:36]))
    write_sparse(run(6) / "000001.pplog", 513 << 20, 20, parts)
    many = run(7)
    for number in range(1, 400):
        table = tuple((f"g{number}_{i}", "", "gauge") for i in range(250))
        page = fmt.pack_header(make.header(table))
        (many / f"{number:06d}.pplog").write_bytes(make.laid_out(page))
    # pages of 4096 samples of 256 counters: a megabyte of values in 6 KiB
    full = run(8)
    table = tuple((f"g{i}", "", "counter") for i in range(256))
    header = make.header(table)
    builder = fmt.pack_header(header)
    for number in range(40):
        head = fmt.DATA_HEAD.pack(
            header.schema,
            4096,
            256,
            0,
            number * 5_000_000,
            make.START_MS + number * 5_000_000,
            number * 5_000_000 + 4_095_000,
            1000,
            0,
        )
        cells = bytes(24 * 256 + 2 * 257)
        builder.append(fmt.pack_page(fmt.DATA, number, head + cells, b""))
    (full / "000001.pplog").write_bytes(make.laid_out(builder))


LIMITED = """
import importlib.util, resource, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("test_damaged", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
tests.make.archive  # all is loaded
limit = int(sys.argv[3]) << 20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for home in sorted(Path(sys.argv[2]).iterdir()):
    tests.read_everything(home)
print("read")
"""


def read_within(directory, mib):
    command = [sys.executable, "-c", LIMITED, __file__, str(directory), str(mib)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": IMPORT_PATH}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=110, env=environment
    )


@pytest.mark.slow
def test_the_whole_corpus_is_read_within_768_mib(unpacked):
    done = read_within(unpacked, 768)
    assert (done.stdout, done.stderr) == ("read\n", "")


@pytest.mark.slow
def test_logs_made_to_exhaust_memory_are_read_within_768_mib(tmp_path):
    plant_bombs(tmp_path / "home")
    used = sum(path.stat().st_blocks * 512 for path in tmp_path.rglob("*.pplog"))
    assert used < 256 << 20
    done = read_within(tmp_path, 768)
    assert (done.stdout, done.stderr) == ("read\n", "")
