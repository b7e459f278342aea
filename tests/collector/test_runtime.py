"""The calls of a program during recording, and their effect in the log."""

import logging
import os
import signal
import sys
import threading
import time
from decimal import Decimal

import pytest

import pprofplus
from kit import reference
from kit.waiting import wait_until
from pprofplus.lifecycle import _process
from pprofplus.probes.gauge_registry import MAX_GAUGES, REGISTRY
from pprofplus.recording.run_recorder import _MARK_BURST

EVER_S = 30


@pytest.fixture
def start(log_directory):
    yield pprofplus.start
    pprofplus.stop()
    for gauge in REGISTRY.all():
        pprofplus.gauge(gauge.name, None)


def texts(collector, kind):
    run = reference.Run(collector.directory)
    return [event.text for event, name in zip(run.events, run.kinds, strict=True) if name == kind]


def figures(collector, name):
    return [row[name] for _, _, row in reference.Run(collector.directory).samples if name in row]


# -- marks


def test_a_mark_is_on_disk_when_the_call_returns(start):
    collector = start("api", interval_s=3600)
    pprofplus.mark("deploy 1.4.2")
    pprofplus.mark("Grüße 🎉")
    assert texts(collector, "mark") == ["deploy 1.4.2", "Grüße 🎉"]


def test_a_mark_survives_a_kill_after_it(spawn, log_directory):
    process = spawn(
        "import os, signal, pprofplus\n"
        "pprofplus.start('api', interval_s=60)\n"
        "pprofplus.mark('the last word')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert process.wait(EVER_S) == -signal.SIGKILL
    (directory,) = reference.runs(log_directory)
    run = reference.Run(directory)
    assert [event.text for event in run.events] == ["", "the last word"]


def test_a_mark_has_the_time_of_its_call(start):
    collector = start("api", interval_s=3600)
    before = time.time_ns() // 1_000_000
    pprofplus.mark("now")
    after = time.time_ns() // 1_000_000
    event = reference.Run(collector.directory).events[-1]
    assert before <= event.unix_ms <= after


def test_control_characters_in_a_mark_are_kept(start):
    collector = start("api", interval_s=3600)
    pprofplus.mark("\x1b[2J[bold]\n\x00")
    assert texts(collector, "mark") == ["\x1b[2J[bold]\n\x00"]


def test_a_mark_that_is_not_text_is_converted_to_text(start):
    collector = start("api", interval_s=3600)
    pprofplus.mark(1.5)
    pprofplus.mark(None)
    pprofplus.mark("lone \ud800 surrogate")
    assert texts(collector, "mark") == ["1.5", "None", "lone ? surrogate"]


def test_an_object_whose_str_raises_does_not_raise_in_mark(start, caplog):
    class Nasty:
        def __str__(self):
            raise RuntimeError("no text")

    start("api", interval_s=3600)
    with caplog.at_level(logging.WARNING, "pprofplus"):
        pprofplus.mark(Nasty())


def test_a_flood_of_marks_is_throttled_and_counted(start):
    collector = start("api", interval_s=0.05)
    for i in range(1000):
        pprofplus.mark(f"mark {i}")
    wait_until(lambda: "left out" in (texts(collector, "mark") or [""])[-1])
    found = texts(collector, "mark")
    marks = [text for text in found if text.startswith("mark ")]
    left_out = sum(int(text.split()[0]) for text in found if "left out" in text)
    assert _MARK_BURST <= len(marks) < 200
    assert len(marks) + left_out == 1000


def test_marks_from_many_threads_are_all_written(start):
    collector = start("api", interval_s=0.05)
    threads = [
        threading.Thread(target=lambda n=n: [pprofplus.mark(f"{n}-{i}") for i in range(10)])
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(texts(collector, "mark")) == 80)
    assert sorted(texts(collector, "mark")) == sorted(
        f"{n}-{i}" for n in range(8) for i in range(10)
    )
    assert reference.Run(collector.directory).bad == 0


def test_a_signal_handler_may_mark_during_a_mark(run, log_directory):
    run(
        "import os, signal, pprofplus\n"
        "signal.signal(signal.SIGALRM, lambda *_: pprofplus.mark('handler'))\n"
        "collector = pprofplus.start('api', interval_s=0.05)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)\n"
        "for i in range(3000):\n"
        "    pprofplus.mark('main')\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
    )
    (directory,) = reference.runs(log_directory)
    found = reference.Run(directory)
    assert found.bad == 0
    assert found.kinds[-1] == "stop"


def test_a_mark_before_the_start_is_logged_once_and_harmless(run):
    assert run(
        "import logging, pprofplus\n"
        "lines = []\n"
        "logging.getLogger('pprofplus').warning = lambda *words: lines.append(words[-1])\n"
        "pprofplus.mark('x'); pprofplus.mark('y'); pprofplus.pause(); pprofplus.resume()\n"
        "print(len(lines), 'start() has not been called' in lines[0])\n"
    ) == ["3", "True"]


def test_with_recording_disabled_nothing_is_logged_and_nothing_happens(
    run, log_directory, monkeypatch
):
    monkeypatch.setenv("PPROFPLUS_DISABLED", "1")
    run(
        "import pprofplus\n"
        "collector = pprofplus.start('api')\n"
        "pprofplus.mark('x'); pprofplus.pause(); pprofplus.resume()\n"
        "pprofplus.gauge('g', lambda: 1)\n"
        "collector.mark('y'); collector.pause(); collector.interval_s = 5\n"
        "assert collector.interval_s == 5\n"
    )
    assert not log_directory.exists()


def test_a_mark_after_the_stop_has_no_effect(start):
    collector = start("api", interval_s=3600)
    pprofplus.stop()
    pprofplus.mark("late")
    assert texts(collector, "mark") == []


# -- pause, resume, interval


def test_a_paused_collector_takes_no_samples_until_it_is_resumed(start):
    collector = start("api", interval_s=0.05)
    wait_until(lambda: collector.samples > 2)
    pprofplus.pause()
    assert collector.paused
    time.sleep(0.06)  # a sample that was being taken may finish
    samples = collector.samples
    time.sleep(0.5)
    assert collector.samples == samples
    assert "paused" in repr(collector)
    pprofplus.resume()
    wait_until(lambda: collector.samples > samples + 2)
    assert not collector.paused
    assert reference.Run(collector.directory).kinds == ["start", "pause", "resume"]


def test_resuming_takes_a_sample_immediately(start):
    collector = start("api", interval_s=3600)
    pprofplus.pause()
    pprofplus.resume()
    wait_until(lambda: collector.samples == 2)


def test_a_second_pause_has_no_effect(start):
    collector = start("api", interval_s=3600)
    for _ in range(2):
        pprofplus.pause()
    for _ in range(2):
        pprofplus.resume()
    assert reference.Run(collector.directory).kinds == ["start", "pause", "resume"]


def test_a_paused_collector_stops_normally(start):
    collector = start("api", interval_s=3600)
    pprofplus.pause()
    pprofplus.stop()
    run = reference.Run(collector.directory)
    assert (run.kinds, len(run.samples)) == (["start", "pause", "stop"], 1)


def test_a_forked_child_of_a_paused_process_is_paused(run, log_directory):
    run(
        "import os, time, pprofplus\n"
        "pprofplus.start('api', interval_s=0.05)\n"
        "pprofplus.pause()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    time.sleep(0.8)\n"
        "    assert pprofplus.start('api').paused\n"
        "    os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
    )
    child = reference.Run(reference.runs(log_directory)[-1])
    assert child.kinds == ["start", "fork", "pause"]
    assert len(child.samples) == 1


def test_the_interval_may_change_at_any_time(start):
    collector = start("api", interval_s=3600)
    collector.interval_s = 0.05
    assert collector.interval_s == 0.05
    wait_until(lambda: collector.samples >= 5)
    collector.interval_s = 3600
    time.sleep(0.1)
    samples = collector.samples
    time.sleep(0.4)
    assert collector.samples == samples
    run = reference.Run(collector.directory)
    values = [event.value for event in run.events if event.kind == 4]
    assert values == [50_000, 3_600_000_000]
    intervals = {page.head.interval_ms for page in run.pages if page.head.samples}
    assert intervals >= {3_600_000, 50}


@pytest.mark.parametrize("wrong", [0, 0.01, 3601, -1, "x", None, float("nan"), 10**400])
def test_an_interval_out_of_range_is_refused_and_nothing_changes(start, wrong):
    collector = start("api", interval_s=60)
    with pytest.raises(ValueError, match=r"0\.05 to 3600"):
        collector.interval_s = wrong
    assert collector.interval_s == 60
    assert reference.Run(collector.directory).kinds == ["start"]


def test_a_forked_child_keeps_the_interval_of_its_parent(run, log_directory):
    run(
        "import os, time, pprofplus\n"
        "collector = pprofplus.start('api', interval_s=3600)\n"
        "collector.interval_s = 0.05\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    until = time.monotonic() + 30\n"
        "    while collector.samples < 3 and time.monotonic() < until: time.sleep(0.01)\n"
        "    os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
    )
    child = reference.Run(reference.runs(log_directory)[-1])
    assert child.header.interval_ms == 50
    assert len(child.samples) >= 3


# -- gauges


def test_a_gauge_is_recorded_with_each_sample(start):
    jobs = [3]
    pprofplus.gauge("queue_depth", lambda: jobs[0], unit="jobs")
    collector = start("api", interval_s=0.05)
    wait_until(lambda: collector.samples > 2)
    jobs[0] = 17
    wait_until(lambda: figures(collector, "queue_depth")[-1] == 17_000)
    run = reference.Run(collector.directory)
    assert ("queue_depth", "1/1000 jobs", "gauge") in run.header.metrics
    assert figures(collector, "queue_depth")[0] == 3_000


def test_a_gauge_added_during_the_run_is_in_the_log_from_the_next_sample(start):
    collector = start("api", interval_s=0.05)
    wait_until(lambda: collector.samples > 1)
    pprofplus.gauge("late", lambda: 2.5, unit="s")
    wait_until(lambda: len(figures(collector, "late")) > 2)
    assert set(figures(collector, "late")) == {2500}
    assert reference.Run(collector.directory).bad == 0


@pytest.mark.parametrize(
    ("unit", "kind", "given", "kept"),
    [
        ("B", "gauge", 1 << 33, 1 << 33),
        ("count", "counter", 12, 12),
        ("us", "gauge", 12.6, 13),
        ("", "gauge", 0.25, 250),
        ("s", "gauge", Decimal("1.0005"), 1000),
        ("", "gauge", True, 1000),
        ("", "gauge", 1 << 80, (1 << 63) - 1),
    ],
)
def test_values_are_whole_in_whole_units_and_thousandths_in_others(start, unit, kind, given, kept):
    pprofplus.gauge("g", lambda: given, unit=unit, kind=kind)
    collector = start("api", interval_s=3600)
    assert figures(collector, "g") == [kept]


@pytest.mark.parametrize("nonsense", ["text", float("nan"), float("inf"), [], object(), b"x"])
def test_a_gauge_that_returns_an_invalid_value_is_logged_once_and_affects_no_other(
    start, nonsense, caplog
):
    pprofplus.gauge(f"odd_{abs(hash(repr(nonsense)))}", lambda: nonsense)
    pprofplus.gauge("good", lambda: 1)
    with caplog.at_level(logging.WARNING, "pprofplus"):
        collector = start("api", interval_s=0.05)
        wait_until(lambda: collector.samples > 4)
    assert len([record for record in caplog.records if "gauge odd" in record.message]) == 1
    assert set(figures(collector, "good")) == {1000}
    assert figures(collector, "rss")[-1] > 0


def test_a_gauge_that_raises_keeps_its_last_value_and_recovers(start, caplog):
    answers = [5, ZeroDivisionError, ZeroDivisionError, 6]

    def read_value():
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, type):
            raise found
        return found

    pprofplus.gauge("flaky", read_value)
    with caplog.at_level(logging.WARNING, "pprofplus"):
        collector = start("api", interval_s=0.05)
        wait_until(lambda: 6000 in figures(collector, "flaky"))
    assert figures(collector, "flaky")[:4] == [5000, 5000, 5000, 6000]


def test_a_gauge_without_a_value_yet_is_not_in_the_schema(start):
    found = [None]
    pprofplus.gauge("later", lambda: found[0])
    collector = start("api", interval_s=0.05)
    wait_until(lambda: collector.samples > 2)
    assert figures(collector, "later") == []
    found[0] = 1
    wait_until(lambda: figures(collector, "later"))


def test_a_gauge_may_be_replaced_and_removed(start):
    pprofplus.gauge("g", lambda: 1)
    collector = start("api", interval_s=0.05)
    pprofplus.gauge("g", lambda: 2)
    wait_until(lambda: figures(collector, "g")[-1] == 2000)
    pprofplus.gauge("g", None)
    pprofplus.gauge("never", None)
    wait_until(lambda: "g" not in reference.Run(collector.directory).samples[-1][2])
    assert reference.Run(collector.directory).bad == 0


def test_a_slow_gauge_is_called_less_often(start):
    asked = []

    def slow():
        asked.append(1)
        time.sleep(0.05)
        return len(asked)

    pprofplus.gauge("slow", slow)
    collector = start("api", interval_s=0.05)
    wait_until(lambda: collector.samples > 15)
    assert len(asked) < 8


def test_forked_children_record_the_gauges_too(run, log_directory):
    run(
        "import os, time, pprofplus\n"
        "pprofplus.gauge('pid', os.getpid, unit='count')\n"
        "collector = pprofplus.start('api', interval_s=0.05)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    until = time.monotonic() + 30\n"
        "    while collector.samples < 2 and time.monotonic() < until: time.sleep(0.01)\n"
        "    os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
    )
    for directory in reference.runs(log_directory):
        found = reference.Run(directory)
        assert {row["pid"] for _, _, row in found.samples} == {found.header.pid}


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "x" * 65},
        {"name": "\x1b[2J"},
        {"name": "[bold]"},
        {"name": "rss"},
        {"name": None, "kind": None},
        {"function": 3},
        {"unit": "\n"},
        {"unit": "x" * 33},
        {"kind": "histogram"},
        {"kind": []},
        {"unit": [], "kind": {}},
    ],
)
def test_an_invalid_gauge_is_refused_with_one_clear_line(arguments):
    given = {"name": "g", "function": lambda: 1, **arguments}
    before = REGISTRY.all()
    with pytest.raises(ValueError, match="gauge") as caught:
        pprofplus.gauge(given.pop("name"), given.pop("function"), **given)
    assert "\n" not in str(caught.value)
    assert REGISTRY.all() == before


def test_the_number_of_gauges_is_limited(start):
    for i in range(MAX_GAUGES):
        pprofplus.gauge(f"g{i}", lambda: 1)
    with pytest.raises(ValueError, match="already"):
        pprofplus.gauge("one.too.many", lambda: 1)
    pprofplus.gauge("g0", lambda: 2)
    collector = start("api", interval_s=3600)
    assert len(figures(collector, "g63")) == 1


def test_gauges_that_threads_add_at_the_same_time_are_all_recorded(start):
    collector = start("api", interval_s=0.05)
    together = threading.Barrier(8)

    def add(number):
        together.wait()
        for i in range(7):
            pprofplus.gauge(f"t{number}.{i}", lambda: 1)
            pprofplus.gauge("dropped", lambda: 1)
            pprofplus.gauge("dropped", None)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # thread switches between any two steps, as without the GIL
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    names = {f"t{number}.{i}" for number in range(8) for i in range(7)}
    assert {gauge.name for gauge in REGISTRY.all()} == names
    wait_until(lambda: names <= {name for name, _, _ in collector._recorder.writer.header.metrics})


def test_a_gauge_function_may_call_mark_pause_and_stop(start):
    collector = None

    def read_value():
        pprofplus.mark("from a gauge")
        return 1

    pprofplus.gauge("marking", read_value)
    collector = start("api", interval_s=0.05)
    wait_until(lambda: collector.samples > 3)
    pprofplus.gauge("stopping", lambda: pprofplus.stop() or 1)
    wait_until(lambda: not collector.running and not reference.is_live(collector.directory))
    run = reference.Run(collector.directory)
    assert run.kinds[-1] == "stop"
    assert "mark" in run.kinds
    assert run.bad == 0


def test_the_process_records_that_start_was_called(start):
    start("api", interval_s=3600)
    assert _process.started
    assert os.getpid() == _process.collector.pid
