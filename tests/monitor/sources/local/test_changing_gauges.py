"""Gauges whose names change: all are read, and a problem names those beyond the memory limit."""

import io
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from kit.page_writer import START_MS
from kit.processes import IMPORT_PATH
from kit.programs import COUNTING_SERVICE
from kit.reference import Timeline
from kit.run_logs import open_run
from pprofplus.log.format import RunHeader
from pprofplus.log.writer import Writer
from pprofplus_tui.commands.export import ExportRequest, export_runs
from pprofplus_tui.export import write_rows
from pprofplus_tui.model.options import Options
from pprofplus_tui.sources.local import page_table
from pprofplus_tui.sources.local.local_run import LocalRun
from pprofplus_tui.sources.local.run_log import RunLog, open_log
from pprofplus_tui.sources.local.window_query import query

BASE = (("n", "count", "gauge"), ("work", "us", "counter"))


def tables_of(count, each=2):
    """Return schemas, each with gauges that no other has."""
    for number in range(count):
        yield (*BASE, *((f"tenant{number}.{i}", "jobs", "gauge") for i in range(each)))


class Recorder:
    """The collector's writer; the value of each metric is the number of the sample."""

    def __init__(self, home, tables):
        self.taken = 0
        self._writer = None
        self._home = home
        for metrics in tables:
            self.begin(metrics)
            self.add(2)

    def begin(self, metrics):
        self._metrics = metrics
        if self._writer is None:
            header = RunHeader(service="api", pid=7, start_ms=START_MS, metrics=metrics)
            self._writer = Writer(str(self._home), header, max_bytes=1 << 30)
            self.path = self._writer.directory
        else:
            self._writer.change_metrics(metrics, [self.taken] * len(metrics))

    def add(self, count):
        for _ in range(count):
            at_ms = 1000 * self.taken
            self._writer.add(at_ms, START_MS + at_ms, [self.taken] * len(self._metrics))
            self.taken += 1

    def close(self):
        self._writer.close()


@pytest.fixture
def record(tmp_path):
    made = []

    def start(tables):
        made.append(Recorder(tmp_path, tables))
        return made[-1]

    yield start
    for recorder in made:
        recorder.close()


@pytest.fixture(scope="session")
def thousand_tables(tmp_path_factory):
    """A run that has ended, with 2,200 samples of 2,202 metrics in 1,100 schemas."""
    recorder = Recorder(tmp_path_factory.mktemp("logs"), tables_of(1100))
    recorder.close()
    return recorder


@pytest.mark.parametrize("in_blocks", [False, True])
def test_thousands_of_names_in_a_thousand_schemas_hide_no_sample(thousand_tables, in_blocks):
    run = open_run(thousand_tables, in_blocks=in_blocks)
    assert len(run.table.names) == 2202
    assert run.samples == thousand_tables.taken == 2200
    assert run.problems == ()
    assert run.damaged_pages == 0
    requests = [("n", False), ("tenant0.1", False), ("tenant1099.0", False)]
    found = query(run, 0, 1 << 50, 10_000, requests)
    assert found["n", False].lo.tolist() == list(range(2200))
    assert found["tenant0.1", False].lo.tolist() == [0, 1]
    assert found["tenant1099.0", False].lo.tolist() == [2198, 2199]


def test_an_export_has_every_sample_and_the_newest_names(thousand_tables):
    path = thousand_tables.path
    out, errors = io.BytesIO(), io.StringIO()
    options = Options(directories=(str(Path(path).parents[1]),), last_ms=5000)
    request = ExportRequest(form="jsonl", metrics=("n", "tenant1098.1"))
    assert export_runs(options, request, out, errors) == 0
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["n"] for row in rows] == list(range(2195, 2200))
    assert [row["tenant1098.1_jobs"] for row in rows] == [None, 2196, 2197, None, None]
    whole = io.BytesIO()
    count, skipped = write_rows([LocalRun(RunLog(path))], 0, 1 << 50, whole, metrics=["n"])
    assert (count, skipped) == (2200, 0)


def test_an_open_monitor_reads_names_that_change(record):
    recorder = record(tables_of(1))
    run = open_run(recorder, in_blocks=True)
    for number in range(1, 700):
        recorder.begin((*BASE, *((f"job{number}.{i}", "count", "gauge") for i in range(4))))
        recorder.add(1)
        run.refresh()
        assert run.samples == recorder.taken
        assert run.last()["n"] == recorder.taken - 1
    assert len(run.metrics) == len(BASE) + 2 + 4 * 699
    found = query(run, 0, 1 << 50, 10_000, [("job350.3", False)])["job350.3", False]
    assert found.lo.tolist() == [351]


def test_metrics_share_memory_unless_a_schema_has_both(record):
    run = open_run(record(tables_of(300)))
    assert run.table._values.shape[1] == 4


@pytest.mark.parametrize("seed", range(4))
def test_names_that_come_and_go_keep_their_own_values(write_run, seed):
    rng = random.Random(seed)
    names = [(f"g{i}", "count", "counter" if i % 3 == 0 else "gauge") for i in range(12)]
    writer = write_run(metrics=[("rss", "B", "gauge"), *rng.sample(names, 3)])
    run = RunLog(str(writer.path))
    now_ms = 0
    for step in range(30):
        if step:
            writer.change_metrics([("rss", "B", "gauge"), *rng.sample(names, rng.randrange(6))])
        for _ in range(rng.randrange(1, 5)):
            writer.add(now_ms, [rng.randrange(1000) for _ in writer.header.metrics])
            now_ms += 1000
        if rng.random() < 0.5:
            run.refresh()
    writer.close_page()
    run.refresh()
    reference = Timeline(writer.path)
    fresh = open_run(writer.path, in_blocks=True)
    requests = [(name, False) for name, _, _ in [("rss", "", ""), *names]]
    for log in (run, fresh):
        for buckets in (1000, 20):
            found = query(log, 0, now_ms + START_MS, buckets, requests)
            for request in requests:
                series = [v for _, _, v in reference.series(request, 0, now_ms + START_MS)]
                assert (len(found[request]) > 0) == (len(series) > 0)
                if series:
                    assert found[request].lo.min() == min(series)
                    assert found[request].hi.max() == max(series)
                if buckets == 1000:
                    assert found[request].lo.tolist() == series


def test_the_newest_segment_defines_a_metric_even_if_its_schema_is_old(write_run):
    one, other = (("depth", "jobs", "gauge"),), (("depth", "us", "counter"),)
    writer = write_run(metrics=one)
    run = RunLog(str(writer.path))
    for step, metrics in enumerate((one, other, one)):
        if step:
            writer.change_metrics(metrics)
        writer.add(step * 1000, [step])
        run.refresh()
        assert run.metrics == metrics
    fresh = open_run(writer.path)
    assert fresh.metrics == one


@pytest.fixture
def little_memory(monkeypatch):
    """Memory for some 20 schemas."""
    monkeypatch.setattr(page_table, "_MAX_SCHEMAS_BYTES", 40_000)


@pytest.mark.usefixtures("little_memory")
def test_the_oldest_segments_beyond_the_memory_limit_are_a_problem(record):
    recorder = record(tables_of(60))
    run = open_run(recorder)
    found = query(run, 0, 1 << 50, 10_000, [("n", False)])["n", False].lo.tolist()
    assert found == list(range(int(found[0]), recorder.taken))
    assert 20 < len(found) < 100
    (line,) = run.problems
    left_out = (recorder.taken - len(found)) // 2
    assert line.startswith(f"{run.name}: {left_out} of 60 segments not read: ")
    assert "more metrics than fit into memory" in line
    assert run.damaged_pages == 0


@pytest.mark.usefixtures("little_memory")
def test_an_open_log_drops_the_oldest_segments_for_the_newest(record):
    recorder = record(tables_of(1))
    run = open_run(recorder, in_blocks=True)
    for number in range(1, 100):
        recorder.begin((*BASE, *((f"job{number}.{i}", "count", "gauge") for i in range(4))))
        recorder.add(3)
        run.refresh()
        found = query(run, 0, 1 << 50, 10_000, [("n", False), (f"job{number}.3", False)])
        newest = [recorder.taken - 3 + i for i in range(3)]
        assert found["n", False].lo.tolist()[-3:] == newest
        assert found[f"job{number}.3", False].lo.tolist() == newest
    assert "not read" in run.problems[0]
    assert len(run.table.names) < 100


@pytest.mark.usefixtures("little_memory")
def test_an_export_without_old_segments_reports_it_once_and_exits_with_1(record):
    recorder = record(tables_of(60))
    out, errors = io.BytesIO(), io.StringIO()
    options = Options(directories=(str(Path(recorder.path).parents[1]),))
    assert export_runs(options, ExportRequest(metrics=("n",)), out, errors) == 1
    assert out.getvalue().splitlines()[-1].endswith(b",119")
    (line,) = errors.getvalue().splitlines()
    assert "of 60 segments not read: the run has more metrics than fit into memory" in line


PROGRAM = """
probe_set._MIN_SCHEMA_AGE_NS = 0  # the default is a minute: a thousand schemas take a day
collector = pprofplus.start("api", interval_s=0.002)
for number in range(45):
    for i in range(60):
        pprofplus.gauge(f"queue{number}.{i}", lambda: 1)
    samples(3)
    for i in range(60):
        pprofplus.gauge(f"queue{number}.{i}", None)
samples(20)
report(directory=collector.directory)
"""


@pytest.mark.slow
def test_a_service_with_changing_gauges_is_read_to_its_last_sample(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", COUNTING_SERVICE + PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={"PPROFPLUS_DIR": str(tmp_path), "PYTHONPATH": IMPORT_PATH},
        timeout=100,
    )
    result = json.loads(ended.stdout)
    run = open_log(result["directory"], in_blocks=True)
    assert len({name for name, _, _ in run.metrics if name.startswith("queue")}) == 2700
    out = io.BytesIO()
    readers = [LocalRun(RunLog(result["directory"]))]
    write_rows(readers, 0, 1 << 50, out, form="jsonl", metrics=["rss"])
    rows = [json.loads(line)["rss_bytes"] for line in out.getvalue().splitlines()]
    assert rows == list(range(result["taken"]))
    assert run.samples == result["taken"]
    assert run.problems == ()
