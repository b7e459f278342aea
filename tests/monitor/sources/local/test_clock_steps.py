"""A wall clock set during a run: every sample is read, in order, on one time axis."""

import csv
import io
import json
import subprocess
import sys
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest

from kit.processes import IMPORT_PATH
from kit.programs import COUNTING_SERVICE, SHIFTED_CLOCK
from kit.run_logs import open_run
from kit.units import HOUR_MS
from pprofplus_tui.backend.session import Session
from pprofplus_tui.model.events import CLOCK as CLOCK_STEP
from pprofplus_tui.model.messages import ChartRequest, Shape
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.event_search import search_events
from pprofplus_tui.sources.open import open_source

EACH = 11  # samples between two steps, at least

STEPPING = """
pprofplus.start("api", interval_s=0.05)
for hours in {hours}:
    samples({each})
    shift_ns[0] = hours * 3_600 * 10**9
samples({each})
report()
"""

STEPS = {
    "back": [-1],
    "forward": [1],
    "back and forward": [-1, 0],
    "forward and back": [1, 0],
    "back twice": [-1, -2],
}


@pytest.fixture(scope="module", params=STEPS.values(), ids=STEPS)
def stepped(request, tmp_path_factory):
    """A real run whose clock is set; its log directory, run directory, samples, and clock steps."""
    home = tmp_path_factory.mktemp("logs")
    program = STEPPING.format(hours=request.param, each=EACH)
    ended = subprocess.run(
        [sys.executable, "-c", SHIFTED_CLOCK + COUNTING_SERVICE + program],
        capture_output=True,
        text=True,
        check=True,
        env={"PPROFPLUS_DIR": str(home), "PYTHONPATH": IMPORT_PATH},
        timeout=60,
    )
    result = json.loads(ended.stdout)
    assert result["warnings"] == []
    (directory,) = home.glob("api/*")
    now_ms = time.time_ns() // 1_000_000 + request.param[-1] * HOUR_MS
    return SimpleNamespace(
        home=home, directory=directory, taken=result["taken"], hours=request.param, now_ms=now_ms
    )


@pytest.fixture
def command(stepped):
    """Run the command on it; return its standard output."""

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "pprofplus_tui", *map(str, words), "--dir", stepped.home],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


@pytest.fixture
def exported(command):
    """Export samples; return (unix ms, number) of each."""

    def run(*words):
        text = command("export", "--metrics", "rss", *words)
        rows = csv.DictReader(io.StringIO(text))
        return [(int(row["unix_ms"]), int(row["rss_bytes"])) for row in rows]

    return run


def gaps(times):
    """The hours between samples that lie about an hour apart."""
    steps = [later - earlier for earlier, later in pairwise(times)]
    return [round(step / HOUR_MS) for step in steps if step > HOUR_MS // 2]


def test_every_sample_is_exported_in_the_order_of_the_monotonic_clock(stepped, exported):
    rows = exported()
    assert [number for _, number in rows] == list(range(stepped.taken))
    times = [t_ms for t_ms, _ in rows]
    assert times == sorted(times)


def test_the_axis_ends_with_the_last_clock_and_has_a_gap_only_at_a_step_forward(stepped, exported):
    times = [t_ms for t_ms, _ in exported()]
    assert 0 <= stepped.now_ms - times[-1] < 60_000
    ahead = sum(max(later - earlier, 0) for earlier, later in pairwise([0, *stepped.hours]))
    # a step forward that is set back again is not on the axis
    expected = 0 if stepped.hours == [1, 0] else ahead
    assert sum(gaps(times)) == expected
    assert times[-1] - times[0] - expected * HOUR_MS < 60_000


def test_list_shows_the_same_beginning_and_end_as_the_export(stepped, command, exported):
    (listed,) = json.loads(command("list", "--json"))
    times = [t_ms for t_ms, _ in exported()]
    assert listed["samples"] == stepped.taken
    # the start event comes before the first sample, and the stop event after the last
    assert 0 <= times[0] - listed["begin_ms"] < 10_000
    assert 0 <= listed["end_ms"] - times[-1] < 10_000


def test_a_window_has_the_samples_with_times_in_it(exported):
    rows = exported()
    for first, last in ((3, 15), (EACH - 2, EACH + 4), (0, len(rows) - 1)):
        begin_ms, end_ms = rows[first][0], rows[last][0]
        asked = "--begin", f"@{begin_ms / 1000:.3f}", "--end", f"@{end_ms / 1000:.3f}"
        assert exported(*asked) == [row for row in rows if begin_ms <= row[0] < end_ms]


def test_the_last_second_is_the_one_before_the_end(exported):
    rows = exported()
    last = exported("--last", "1s")
    assert 0 < len(last) < len(rows)
    assert last == rows[-len(last) :]
    assert last[-1][0] - last[0][0] <= 1000


def test_steps_of_time_have_every_sample(stepped, command):
    rows = csv.DictReader(io.StringIO(command("export", "--metrics", "rss", "--every", "1s")))
    assert sum(int(row["samples"]) for row in rows) == stepped.taken


def test_a_plot_shows_the_length_of_the_axis(command, exported):
    times = [t_ms for t_ms, _ in exported()]
    heading = command("plot", "--metric", "rss", "--width", "60", "--height", "8").splitlines()[0]
    hours = (times[-1] - times[0]) // HOUR_MS
    assert ("1h" in heading.split()) == (hours == 1)


def test_a_catalogue_knows_the_beginning_after_one_step_from_the_ends_alone(stepped):
    if stepped.hours == [-1, 0]:
        pytest.skip("what happened between the ends is not seen from there")
    run = open_run(stepped.directory)
    catalog = Catalog([str(stepped.home)])
    for in_view in ((), None):  # from the record, and from the whole log
        catalog.refresh(in_view)
        (info,) = catalog.runs
        assert (info.begin_ms, info.end_ms) == (run.begin_ms, run.end_ms)


def test_the_monitor_knows_the_beginning_of_an_open_run(stepped):
    run = open_run(stepped.directory)
    session = Session(Options(), open_source([str(stepped.home)]), lambda _: None)
    try:
        session.refresh()
        window = Window.fit(run.begin_ms, run.end_ms)
        request = ChartRequest(str(stepped.directory), window, (Shape("memory", 80, 20),))
        frame = session.answer(request, fresh=True, before=None)
    finally:
        session.close()
    assert [(run.begin_ms, run.end_ms) for run in frame.runs] == [(run.begin_ms, run.end_ms)]


def test_each_clock_step_is_an_event(stepped):
    run = open_run(stepped.directory)
    found = [one for one in search_events(run, most=1000) if one.kind == CLOCK_STEP]
    steps = [later - earlier for earlier, later in pairwise([0, *stepped.hours])]
    assert [round(one.value / HOUR_MS) for one in found] == steps
