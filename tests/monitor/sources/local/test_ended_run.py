"""The record of an ended run equals what the whole log gives, or is None."""

import fcntl
import os
import time
import zipfile
from collections import defaultdict
from pathlib import Path
from random import Random

import pytest

from kit import damaged_corpus as corpus
from pprofplus.log import format as fmt
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.sample_counts import counted

COLLECTOR = Path(__file__).parents[3] / "collector"

AGO_S = 3600


def age(root):
    """Make all files below `root` as old as an hour after the end of the run."""
    then = time.time() - AGO_S
    for path in Path(root).rglob("*.pplog"):
        os.utime(path, (then, then))


def values_of(info):
    return (
        *(info.id, info.service, info.pid, info.state, info.begin_ms, info.end_ms),
        *(info.interval_ms, info.size_bytes, info.rss_bytes, info.pinned, info.metrics, info.host),
    )


def both(root):
    """Return (infos from records, infos from whole logs) of the runs below `root`."""
    records, whole_infos = Catalog([str(root)]), Catalog([str(root)])
    records.refresh(())
    whole_infos.refresh()
    return records.runs, whole_infos.runs


@pytest.fixture
def ended(home):
    home.run("api", 1, count=900)
    home.run("api", 2, count=500, state="exited")
    home.run("batch", 3, count=1)
    home.run("batch", 4, count=9, own=(("depth", "jobs", "gauge", lambda i: i),))
    age(home.path)
    return home


def test_a_record_equals_the_info_from_the_whole_log(ended):
    records, whole_infos = both(ended.path)
    assert [values_of(info) for info in records] == [values_of(info) for info in whole_infos]
    assert [info.whole for info in records] == [False] * 4
    assert [info.whole for info in whole_infos] == [True] * 4


def test_records_of_golden_runs_equal_the_infos_from_whole_logs(tmp_path):
    with zipfile.ZipFile(COLLECTOR / "golden" / "runs-1.0.zip") as archive:
        archive.extractall(tmp_path)
    age(tmp_path)
    records, whole_infos = both(tmp_path)
    assert [values_of(info) for info in records] == [values_of(info) for info in whole_infos]


def test_records_of_damaged_runs_equal_the_infos_from_whole_logs(tmp_path):
    corpus.unpack(tmp_path)
    age(tmp_path)
    for case in corpus.CASES:
        records, whole_infos = both(corpus.log_directory_of(tmp_path, case))
        assert [values_of(info) for info in records] == [values_of(info) for info in whole_infos], (
            case
        )


def test_a_run_in_progress_is_read_whole(home):
    path = Path(home.run("api", 1, count=20))
    age(home.path)
    with max(path.glob("*.pplog")).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert both(home.path)[0][0].whole


def test_a_run_with_only_a_record_is_read_whole_on_request(ended):
    catalog = Catalog([str(ended.path)])
    catalog.refresh(())
    first, *others = [info.id for info in catalog.runs]
    catalog.changes()
    assert catalog.incomplete([first, "/gone"]) == [first]
    assert catalog.complete([first], time.monotonic() + 60)
    assert [info.whole for info in catalog.runs] == [True, False, False, False]
    changes = catalog.changes()
    assert list(changes) == [first]
    assert len(changes[first].recent)
    assert not catalog.complete([first], time.monotonic() + 60)
    assert catalog.complete(others, time.monotonic())  # one per call if the time is over
    assert sum(info.whole for info in catalog.runs) == 2
    catalog.refresh(())
    assert sum(info.whole for info in catalog.runs) == 2


def test_a_pin_is_detected_after_the_record_was_read(ended):
    catalog = Catalog([str(ended.path)])
    catalog.refresh(())
    time.sleep(0.2)  # longer than the resolution of file times
    Path(catalog.runs[0].id, "pinned").touch()
    assert catalog.refresh({catalog.runs[0].id})
    assert [info.pinned for info in catalog.runs] == [True, False, False, False]


# -- counted: the values in a list


def figures(info):
    return (
        *(info.id, info.state, info.begin_ms, info.end_ms, info.samples, info.damaged_pages),
        *(info.rss_bytes, info.first_rss_bytes, info.peak_bytes, info.growth_bytes),
        *(info.size_bytes, info.host, info.pinned, info.metrics),
    )


def both_counted(root):
    """Return (values of records, values of scans) of the runs below `root`.

    The second has None in place of runs whose samples the record does not count.
    """
    counting, looking = Catalog([str(root)], counting=True), Catalog([str(root)])
    counting.refresh(())
    looking.refresh()
    listed = {info.id: info for info in counting.runs}
    scanned = [counted(info) for info in looking.runs]
    assert [info.id for info in counting.runs] == [info.id for info in scanned]
    of_records = [listed[info.id] for info in scanned]
    return (
        [figures(info) for info in of_records if info.samples is not None],
        [
            figures(scan)
            for scan, info in zip(scanned, of_records, strict=True)
            if info.samples is not None
        ],
    )


@pytest.mark.parametrize("ago", ["long ago", "just now"])
def test_a_counted_record_has_the_values_of_a_scan(home, ago):
    home.run("api", 1, count=900)
    home.run("api", 2, count=500, state="exited")
    home.run("batch", 3, count=1)
    home.run("batch", 4, count=9, own=(("depth", "jobs", "gauge", lambda i: i),))
    home.run("batch", 5, count=9000)
    if ago == "long ago":
        age(home.path)
    records, scans = both_counted(home.path)
    assert len(records) == 5
    assert records == scans
    rss = records[1][6:10]
    assert rss[0] - rss[1] == rss[3] == 499 * 65_536
    assert rss[2] == rss[0]


def test_a_counted_record_has_the_peak_in_the_middle_of_a_run(home):
    def sample(i):
        return defaultdict(int, rss=900 if i == 300 else 5)

    home.run("api", 1, count=700, sample=sample)
    age(home.path)
    (record,), _ = both_counted(home.path)
    assert record[6:10] == (5, 5, 900, 0)


def test_counted_records_of_golden_and_damaged_runs_have_the_values_of_a_scan(tmp_path):
    with zipfile.ZipFile(COLLECTOR / "golden" / "runs-1.0.zip") as archive:
        archive.extractall(tmp_path / "golden")
    corpus.unpack(tmp_path / "damaged")
    age(tmp_path)
    counted = 0
    homes = [corpus.log_directory_of(tmp_path / "damaged", case) for case in corpus.CASES]
    for place in (tmp_path / "golden", *homes):
        records, scans = both_counted(place)
        assert records == scans, place
        counted += len(records)
    assert counted > 1


@pytest.mark.parametrize("seed", range(40))
def test_the_record_of_any_log_equals_the_info_from_the_whole_log(write_run, tmp_path, seed):
    """Runs with pauses, clock steps, marks, stops, several pages and segments, flipped bytes."""
    random = Random(seed)
    writer = write_run(slots_per_segment=random.choice([4, 128]), summarised=random.random() < 0.5)
    mono_ms = 0
    for i in range(random.choice([1, 2, 3, 40, 400])):
        mono_ms += random.choice([1000, 1000, 1001, 1000, 60_000])
        writer.add(mono_ms, [random.randrange(1 << random.choice([8, 30, 62])), i, 3])
        if random.random() < 0.05:
            writer.event(fmt.MARK, mono_ms, text="deploy")
        if random.random() < 0.05:
            writer.new_page()
        if random.random() < 0.01:
            writer.start_ms += random.choice([-3_600_000, 3_600_000])
    if random.random() < 0.3:
        writer.event(fmt.STOP, mono_ms)
    writer.close()
    if random.random() < 0.4:
        path = random.choice(sorted(writer.path.iterdir()))
        raw = bytearray(path.read_bytes())
        raw[random.randrange(len(raw))] ^= 1 << random.randrange(8)
        path.write_bytes(raw[: random.choice([len(raw), random.randrange(len(raw) + 1)])])
    age(tmp_path)
    records, whole_infos = both(tmp_path)
    assert [values_of(info) for info in records] == [values_of(info) for info in whole_infos]
    records, scans = both_counted(tmp_path)
    assert records == scans
