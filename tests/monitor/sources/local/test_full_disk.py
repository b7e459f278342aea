"""Pages whose newest version is truncated by a full disk: the previous version is used."""

import json
import subprocess
import sys
import time

import pytest

from kit.processes import IMPORT_PATH
from kit.programs import FULL_DISK
from kit.reference import Timeline
from kit.run_logs import open_run
from pprofplus.log import format as fmt
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.ended_run import read_ended_run
from pprofplus_tui.sources.local.window_query import page_extremes, query

FIRST, LAST, STEP = 62, 122, 2
FIGURES = [(f"m{i}", False) for i in range(8)]

# as before 1.2, and on a file system that never overwrites a block
WITHOUT_BLANKS = "Segment._blank = lambda self, slot: None\n"

OUTGROWN = """
for pid in range({first}, {last}, {step}):
    service = Service(pid)
    service.add(pid)
    fill()
    service.add(600)
    free()
    service.add(300)
    {end}
    keep(service, {copy!r})
    print(service.writer.samples)
"""

WATCHED = """
import json
from pprofplus_tui.sources.local.run_log import RunLog
from kit import reference
found = []
for pid in range({first}, {last}, {step}):
    service = Service(pid)
    service.add(1)
    watched = [RunLog(service.writer.directory, in_blocks=blocks) for blocks in (False, True)]
    def check():
        for log in watched:
            log.refresh()
        found.append([*(log.samples for log in watched), service.writer.samples])
    service.add(pid)
    fill()
    for _ in range(80):
        service.add(7)
        check()
    free()
    for _ in range(20):
        service.add(11)
        check()
    service.writer.close()
    check()
    keep(service, {copy!r})
print(json.dumps(found))
"""


@pytest.fixture
def outgrow(private_mounts, tmp_path):
    """Let pages outgrow their disk blocks on a full disk, in many runs; return the output."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def run(program, **given):
        text = program.format(
            **{"first": FIRST, "last": LAST, "step": STEP, "copy": str(tmp_path), **given}
        )
        command = [
            *private_mounts,
            sys.executable,
            "-c",
            FULL_DISK + WITHOUT_BLANKS + text,
            str(disk),
        ]
        environment = {"PYTHONPATH": IMPORT_PATH}
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, timeout=100
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    return run


@pytest.fixture(params=["service.writer.close()", "service.writer.abandon()"], ids=["ended", "cut"])
def runs(outgrow, tmp_path, request):
    """Pairs of the monitor's log and the reference, of runs with a regular end or not."""
    written = list(map(int, outgrow(OUTGROWN, end=request.param).split()))
    found = []
    for pid, count in zip(range(FIRST, LAST, STEP), written, strict=True):
        (directory,) = (tmp_path / "api").glob(f"{pid}-*")
        reference = Timeline(directory)
        assert len(reference.samples) == count
        found.append((directory, reference))
    return found


@pytest.mark.parametrize("in_blocks", [False, True])
def test_heads_count_only_the_samples_of_an_undamaged_version(runs, in_blocks):
    damaged = 0
    for directory, reference in runs:
        run = open_run(directory, in_blocks=in_blocks)
        assert run.samples == len(reference.samples)
        damaged += run.damaged_pages
    assert damaged > len(runs) // 4  # else nothing was cut short


@pytest.mark.parametrize("in_blocks", [False, True])
def test_every_sample_of_an_older_undamaged_version_is_read(runs, in_blocks):
    for directory, reference in runs:
        run = open_run(directory, in_blocks=in_blocks)
        found = query(run, 0, 1 << 50, 10_000, FIGURES)
        for request in FIGURES:
            series = reference.series(request, 0, 1 << 50)
            assert found[request].t_ms.tolist() == [t_ms for t_ms, _, _ in series]
            assert found[request].lo.tolist() == [value for *_, value in series]


def test_a_chart_from_heads_has_no_extreme_of_a_damaged_version(runs):
    for directory, reference in runs:
        run = open_run(directory)
        points = page_extremes(run, "m1")
        values = [values["m1"] for _, _, values, _ in reference.samples]
        assert points.lo.min() == min(values)
        assert points.hi.max() == max(values)
        assert len(points) == len(reference.pages)


def test_a_monitor_shows_only_written_samples_while_a_disk_fills(outgrow):
    for heads, blocks, written in json.loads(outgrow(WATCHED, step=6)):
        assert heads == blocks == written


def torn(path, slot):
    """Damage the body of the page in that slot of a segment."""
    raw = bytearray(path.read_bytes())
    at = slot * fmt.PAGE_SIZE
    raw[at + int.from_bytes(raw[at + 8 : at + 12], "little") - 1] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("in_blocks", [False, True])
def test_a_version_in_the_previous_segment_replaces_a_damaged_newer_one(write_run, in_blocks):
    writer = write_run()
    for n in range(5):
        if n == 2:
            writer.new_page()
        writer.add(n * 1000, [n * n, n, n])
    writer._open()  # as a writer after a disk failure: it continues with the same page
    for n in range(5, 9):
        writer.add(n * 1000, [n * n, n, n])
    for n in range(9, 15):
        writer.new_page()
        writer.add(n * 1000, [n * n, n, n])
    writer.close_page()
    torn(writer.segment_path(2), 1)
    reference = Timeline(writer.path)
    threads = [values["threads"] for _, _, values, _ in reference.samples]
    assert threads == [*range(5), *range(9, 15)]
    run = open_run(writer.path, in_blocks=in_blocks)
    assert run.samples == len(threads)
    assert run.damaged_pages == 1
    assert (
        query(run, 0, 1 << 50, 100, [("threads", False)])["threads", False].lo.tolist() == threads
    )


def test_a_list_uses_the_last_undamaged_version(write_run):
    writer = write_run()
    for n in range(6):
        writer.add(n * 1000, [n * n, n, n])
    writer.close()
    torn(writer.segment_path(), 2)  # the version with the sixth sample
    # the record of a run is None for a torn page: only the whole log is used
    assert read_ended_run(str(writer.path), "threads", time.time_ns() + 10**9) is None
    catalog = Catalog([str(writer.path.parent.parent)])
    catalog.refresh(())
    (info,) = catalog.runs
    assert info.last["threads"] == 4
    assert info.end_ms == writer.start_ms + 4000
