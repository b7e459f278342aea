"""The monitor reads the golden runs of each release like the reference decoder of then."""

import csv
import io
import json
import zipfile
from datetime import timezone
from pathlib import Path

import pytest

from kit.run_logs import open_catalog
from kit.scripts import GOLDEN
from pprofplus_tui.export import write_rows
from pprofplus_tui.sources.local.local_run import LocalRun
from pprofplus_tui.sources.local.run_log import open_log
from pprofplus_tui.sources.local.window_query import query

WANTED = json.loads((GOLDEN / "runs-1.0.json").read_text())


def resolved(run):
    """Return the pages of a run, each once in its fullest version, with their headers."""
    best = {}
    for path, file in WANTED.items():
        if path.startswith(run):
            for page in file["pages"]:
                known = best.get(page.get("number"))
                if "damaged" in page or (known and len(known[1]["mono_ms"]) > len(page["mono_ms"])):
                    continue
                best[page["number"]] = file["header"], page
    return [best[number] for number in sorted(best)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    home = tmp_path_factory.mktemp("golden")
    with zipfile.ZipFile(GOLDEN / "runs-1.0.zip") as archive:
        archive.extractall(home)
    catalog = open_catalog(home)
    assert catalog.problems == ()
    return {
        str(Path(info.id).relative_to(home)): open_log(info.id, in_blocks=True)
        for info in catalog.runs
    }


NAMES = sorted({str(Path(path).parent) for path in WANTED})


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_is_exported_with_its_time_and_values(runs, name):
    out = io.BytesIO()
    write_rows([LocalRun(runs[name])], 0, 1 << 53, out, zone=timezone.utc)
    rows = list(csv.DictReader(io.StringIO(out.getvalue().decode())))
    units = {"rss": "rss_bytes", "cpu_user": "cpu_user_us", "queue_depth": "queue_depth_jobs"}
    wanted = []
    for header, page in resolved(name):
        # a wall clock set forward leaves a gap: the times are as recorded
        for at, unix_ms in enumerate(page["unix_ms"]):
            row = {"unix_ms": str(unix_ms)}
            for (metric, _, _), column in zip(header["metrics"], page["columns"], strict=True):
                row[units.get(metric, metric)] = str(column[at])
            wanted.append(row)
    assert [
        {key: cell for key, cell in row.items() if cell and key not in {"time", "service", "pid"}}
        for row in rows
    ] == wanted


@pytest.mark.parametrize("name", NAMES)
def test_every_event_is_read(runs, name):
    wanted = [event for _, page in resolved(name) for event in page["events"]]
    found = [(event.kind, event.t_ms, event.value, event.text) for event in runs[name].events()]
    assert found == [(kind, unix, value, text) for kind, _, unix, value, text in wanted]


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_of_few_points_has_the_extremes_of_all_samples(runs, name):
    run = runs[name]
    for metric in ("rss", "extreme", "queue_depth", "wraps", "requests"):
        values = [
            value
            for header, page in resolved(name)
            for (own, _, _), column in zip(header["metrics"], page["columns"], strict=True)
            if own == metric
            for value in column
        ]
        points = query(run, run.begin_ms, run.end_ms + 1, 5, [(metric, False)])[metric, False]
        assert len(points) <= 5
        if values:
            assert (points.lo.min(), points.hi.max()) == (float(min(values)), float(max(values)))


def test_the_torn_page_is_counted_and_the_whole_header_is_kept(runs):
    run = runs[NAMES[0]]
    wanted = WANTED[f"{NAMES[0]}/000003.pplog"]["header"]
    assert run.damaged_pages == 1
    assert run.header.argv == tuple(wanted["argv"])
    assert [list(row) for row in run.header.metrics] == wanted["metrics"]
    assert (run.header.host, run.header.python) == (wanted["host"], wanted["python"])
    assert runs[NAMES[1]].damaged_pages == 0
