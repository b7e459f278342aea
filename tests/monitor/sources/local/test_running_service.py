"""The calls of a real service to its collector, as the monitor shows them."""

import csv
import io
import subprocess
import sys

import pytest

from kit.run_logs import open_run
from kit.waiting import wait_until
from pprofplus_tui.export import write_rows
from pprofplus_tui.model.charts import charts_for
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.local_run import LocalRun
from pprofplus_tui.sources.local.window_query import query

SERVICE = """
import sys, pprofplus
figures = {"queue": 3, "load": 0.125}
pprofplus.gauge("queue", lambda: figures["queue"], unit="jobs")
pprofplus.gauge("load", lambda: figures["load"])
pprofplus.gauge("sent", lambda: 4096, unit="B", kind="counter")
collector = pprofplus.start("svc", interval_s=0.05, directory=sys.argv[1])
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Service:
    """A process that records itself and runs the lines of Python that a test sends."""

    def __init__(self, home):
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVICE, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.catalog = Catalog([str(home)])

    def do(self, line):
        """Run a line of Python in the process, and wait until it is done."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def until(self, fact):
        """Refresh until `fact(run)` is true; return the catalogue's entry of the run."""

        def found():
            self.catalog.refresh()
            return next((info for info in self.catalog.runs if fact(info)), None)

        def seen():
            return [(info.state, info.last) for info in self.catalog.runs]

        return wait_until(found, describe=seen)

    def log(self):
        self.catalog.refresh()
        return open_run(self.catalog.runs[0].id)


@pytest.fixture
def service(tmp_path):
    directory = tmp_path / "home"
    directory.mkdir(mode=0o700)
    made = Service(directory)
    yield made
    made.process.kill()
    made.process.communicate()


def test_pause_and_resume_change_the_state_of_the_run(service):
    service.until(lambda info: info.state == "live" and "queue" in info.last)
    service.do("pprofplus.pause()")
    service.until(lambda info: info.state == "paused")
    service.do("pprofplus.mark('while paused')")
    service.until(lambda info: info.state == "paused")
    service.do("pprofplus.resume()")
    service.until(lambda info: info.state == "live")
    service.do("pprofplus.pause()")
    service.until(lambda info: info.state == "paused")
    service.process.kill()
    service.until(lambda info: info.state == "died")


def test_a_pause_of_any_length_is_a_gap(service):
    service.until(lambda info: info.state == "live")
    service.do("collector.interval_s = 30")
    service.do("pprofplus.pause(); pprofplus.resume()")

    def is_gap(_):
        run = service.log()
        resumed_ms = [event.t_ms for event in run.events() if event.kind == "resume"]
        if not resumed_ms or run.last_sample_ms < resumed_ms[0]:
            return False
        points = query(run, run.begin_ms, run.end_ms + 1, 1000, [("rss", False)])["rss", False]
        return bool(points.breaks[points.t_ms >= resumed_ms[0]][0])

    service.until(is_gap)


def test_a_gauge_has_a_chart_and_a_column_in_its_unit(service):
    service.until(lambda info: info.last.get("load") == 125)
    service.do("figures['load'] = 2.5")
    service.until(lambda info: info.last.get("load") == 2500)
    run = service.log()
    own = {chart.title: chart for chart in charts_for(run.metrics).own}
    assert {title: chart.unit for title, chart in own.items()} == {
        "queue": "jobs",
        "load": "count",
        "sent": "B/s",
    }
    out = io.BytesIO()
    write_rows([LocalRun(run)], run.begin_ms, run.end_ms + 1, out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue().decode())))
    last = rows[-1]
    assert (last["queue_jobs"], last["load"], last["sent_bytes"]) == ("3", "2.5", "4096")


def test_a_removed_gauge_keeps_the_chart_of_its_earlier_values(service):
    service.until(lambda info: "queue" in info.last)
    service.do("pprofplus.gauge('queue', None)")
    service.until(lambda info: info.last and "queue" not in info.last)
    assert "queue" in {chart.title for chart in charts_for(service.log().metrics).own}
