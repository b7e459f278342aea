"""The trace of a window: rows, slices, pauses of the garbage collector, and marks."""

import gc
import gzip
import json
import os
import threading
import time

import pytest

from kit.profiles import Capture, capture
from kit.waiting import wait_until
from pprofplus.control.long_actions import ActionCancelledError
from pprofplus.profiles import tick_trace
from pprofplus.profiles.trace_events import TraceEvents
from pprofplus.system import marks


def inner():
    time.sleep(0.05)


def outer(running):
    while running():
        inner()
        gc.collect(0)
        marks.pass_on('a "mark"')


@pytest.fixture(scope="module")
def trace():
    ending = threading.Event()
    thread = threading.Thread(
        target=outer, args=(lambda: not ending.is_set(),), name='w\x1b[31m"</script>é'
    )
    thread.start()
    try:
        part = capture(tick_trace, "trace", window_s=1.0)["trace"]
    finally:
        ending.set()
        thread.join(60)
    assert part.suffix == "json.gz"
    found = json.loads(gzip.decompress(part.data))
    found["tid"] = thread.native_id
    return found


def events_of(trace, **wanted):
    return [
        event
        for event in trace["traceEvents"]
        if all(event.get(key) == value for key, value in wanted.items())
    ]


def test_a_trace_has_only_events_that_perfetto_reads(trace):
    assert trace["displayTimeUnit"] == "ms"
    for event in trace["traceEvents"]:
        assert {"name", "ph", "pid", "tid"} <= event.keys()
        assert type(event["name"]) is str
        assert event["ph"] in {"M", "X", "i"}
        assert type(event["pid"]) is type(event["tid"]) is int
        if event["ph"] == "M":
            assert event["args"]
        else:
            assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0


def test_events_are_sorted_by_their_begin(trace):
    times = [event["ts"] for event in trace["traceEvents"] if event["ph"] != "M"]
    assert times == sorted(times)
    assert len(times) > 20


def test_the_slices_of_each_row_are_nested(trace):
    rows = {}
    for event in events_of(trace, ph="X"):
        rows.setdefault(event["tid"], []).append(
            (event["ts"], round(event["ts"] + event["dur"], 3), event["name"])
        )
    assert len(rows) >= 2
    for slices in rows.values():
        opened = []
        for begin, end, name in slices:
            while opened and opened[-1] <= begin:
                opened.pop()
            assert not opened or end <= opened[-1] + 0.001, name
            opened.append(end)


def test_a_function_on_the_stack_at_ticks_in_a_row_is_one_slice(trace):
    (slice_,) = [
        event
        for event in events_of(trace, ph="X", tid=trace["tid"])
        if event["name"].endswith(".outer")
    ]
    assert slice_["dur"] > 300_000


def test_a_wait_is_the_innermost_slice(trace):
    waits = events_of(trace, ph="X", tid=trace["tid"], name="[sleep]")
    assert len(waits) > 3
    assert all(event["dur"] < 500_000 for event in waits)


def test_pauses_of_the_garbage_collector_have_a_row(trace):
    pauses = events_of(trace, ph="X", name="generation 0")
    assert len(pauses) > 3
    (row,) = {event["tid"] for event in pauses}
    names = {
        event["args"]["name"] for event in events_of(trace, ph="M", tid=row, name="thread_name")
    }
    assert names == {"garbage collector"}


def test_marks_are_lines_across_all_rows(trace):
    found = events_of(trace, ph="i", name='a "mark"')
    assert len(found) > 3
    assert {event["s"] for event in found} == {"g"}


def test_a_row_has_the_name_of_its_thread(trace):
    (event,) = events_of(trace, ph="M", tid=trace["tid"], name="thread_name")
    assert event["args"]["name"] == 'w\x1b[31m"</script>é'


def test_the_trace_says_how_many_ticks_were_taken(trace):
    assert any(line.startswith("ticks: ") for line in trace["otherData"].values())


def test_after_a_cancelled_trace_nothing_of_it_is_left():
    callbacks = list(gc.callbacks)
    running = Capture(tick_trace, "trace", window_s=600)
    wait_until(lambda: len(gc.callbacks) > len(callbacks))
    running.task.cancelled.set()
    with pytest.raises(ActionCancelledError):
        running.result()
    assert gc.callbacks == callbacks
    assert not marks._collecting


def test_marks_of_a_forked_child_are_not_collected():
    found = marks.begin_collecting()
    child = os.fork()
    if not child:
        marks.pass_on("of the child")
        os._exit(len(found))
    assert os.waitpid(child, 0)[1] == 0
    marks.end_collecting(found)


def test_too_many_slices_are_left_out_and_counted(monkeypatch):
    monkeypatch.setattr("pprofplus.profiles.trace_events.MAX_EVENTS", 10)
    events = TraceEvents(1, 0)
    for number in range(15):
        events.add_slice(1, "f", number, number + 1, 0)
    assert (len(events), events.lost) == (10, 5)
