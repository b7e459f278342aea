"""A reader polls at full speed while another process writes and rotates at full speed."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from kit.page_writer import START_MS
from kit.processes import IMPORT_PATH
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.window_query import query

STEP_MS = 10
# Sample n is a function of n, so a wrong value can be detected from its time.
WRITER = """
import sys, time
from kit.page_writer import PageWriter
writer = PageWriter(sys.argv[1], interval_ms=10, slots_per_segment=6)
until = time.monotonic() + float(sys.argv[2])
n = 0
while time.monotonic() < until:
    n += 1
    rss = n * 7919 % 1000 if n % 900 < 450 else 5
    writer.add(n * 10, [rss, n * 3, n])
    if n % 700 == 0:
        writer.new_page()
    if n % 50 == 0:
        time.sleep(0.001)
    if writer.segment > 4:
        writer.segment_path(writer.segment - 4).unlink(missing_ok=True)
print(n, flush=True)
"""
REQUESTS = [("rss", False), ("cpu_user", False), ("cpu_user", True), ("threads", False)]


def rss_of(n):
    return np.where(n % 900 < 450, n * 7919 % 1000, 5)


def check_samples(run, start_ms):
    end = run.end_ms + 1
    found = query(run, end - 300 * STEP_MS, end, 400, REQUESTS)
    n = (found["rss", False].t_ms - start_ms) // STEP_MS
    assert (np.diff(n) == 1).all()
    assert (found["rss", False].lo == rss_of(n)).all()
    assert (found["cpu_user", False].lo == n * 3).all()
    assert (found["threads", False].lo == n).all()
    rate = found["cpu_user", True]
    assert (rate.lo == 300).all()


def check_buckets(run, start_ms):
    begin, end = run.begin_ms, run.end_ms + 1
    found = query(run, begin, end, 25, REQUESTS)
    threads, rss = found["threads", False], found["rss", False]
    if end - begin <= 25 * STEP_MS:
        return
    width = -(-(end - begin) // 25)
    edges = (begin - start_ms + width * np.arange(len(threads) + 1) + STEP_MS - 1) // STEP_MS
    last = (end - 1 - start_ms) // STEP_MS
    assert (threads.lo == edges[:-1]).all()
    assert (threads.hi == np.minimum(edges[1:] - 1, last)).all()
    for i in range(len(rss)):
        values = rss_of(np.arange(int(threads.lo[i]), int(threads.hi[i]) + 1))
        assert (rss.lo[i], rss.hi[i]) == (values.min(), values.max())


def soak(tmp_path, seconds):
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(seconds)]
    catalog = Catalog([str(tmp_path)])
    polls = 0
    environment = {**os.environ, "PYTHONPATH": IMPORT_PATH}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            while not catalog.runs and process.poll() is None:
                time.sleep(0.01)
                catalog.refresh()
            run = RunLog(catalog.runs[0].id)
            while process.poll() is None:
                run.refresh()
                if run.table.count:
                    check_samples(run, START_MS)
                    check_buckets(run, START_MS)
                    last = run.last()
                    assert not last or last["cpu_user"] == last["threads"] * 3
                assert run.problems == ()
                if polls % 10 == 0:
                    catalog.refresh()
                    assert catalog.problems == ()
                polls += 1
        finally:
            process.kill()
        written = int(process.stdout.read())
    run.refresh()
    assert run.last()["threads"] == written
    check_samples(run, START_MS)
    check_buckets(run, START_MS)
    assert run.damaged_pages == 0
    assert run.samples == (run.end_ms - run.begin_ms) // STEP_MS + 1
    assert polls > 20


def test_a_reader_that_polls_a_rotating_log_never_sees_a_wrong_value(tmp_path):
    soak(tmp_path, 3)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_reader_that_polls_for_long_never_sees_a_wrong_value(tmp_path):
    soak(tmp_path, 60)
