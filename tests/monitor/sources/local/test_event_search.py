"""Event search: events and clock steps of a run, or of a window of it, in order of time."""

from kit.run_logs import open_run
from pprofplus.log import format as fmt
from pprofplus_tui.sources.local.event_search import search_events


def test_events_of_a_window_are_in_order_also_between_samples_and_pages(write_run):
    writer = write_run()
    for i in range(10):
        writer.add(i * 1000, [i, i, i])
    writer.event(fmt.MARK, 9500, text="after the last sample")
    writer.new_page()
    writer.event(fmt.PAUSE, 9600)
    writer.event(fmt.LOST, 20_000, 3, text="full \x1b[31m")
    writer.event(fmt.RESUME, 30_000)
    writer.new_page()
    writer.add(30_000, [1, 1, 1])
    run, begin = open_run(writer), writer.start_ms
    found = search_events(run, begin, begin + 60_000, most=64, exact=False)
    assert [(e.t_ms - begin, e.kind, e.value, e.text) for e in found] == [
        (9500, "mark", 0, "after the last sample"),
        (9600, "pause", 0, ""),
        (20_000, "lost", 3, "full \x1b[31m"),
        (30_000, "resume", 0, ""),
    ]
    assert [
        e.kind for e in search_events(run, begin + 9501, begin + 20_000, most=64, exact=False)
    ] == ["pause"]
    assert search_events(run, begin + 99_000, begin + 99_001, most=64, exact=False) == ()
    assert search_events(run, most=10) == found
    assert [e.kind for e in search_events(run, most=2)] == ["mark", "lost"]


def test_a_clock_step_is_an_event_at_its_time(write_run):
    writer = write_run()
    for i in range(30):
        forward = 3_600_000 if i >= 10 else 0
        back = -60_000 if i >= 20 else 0
        if i in {10, 20}:
            writer.new_page()
        writer.add(i * 1000, [i, i, i], unix_ms=writer.start_ms + i * 1000 + forward + back)
    run = open_run(writer)
    found = search_events(run, most=10)
    assert [(e.kind, e.value) for e in found] == [("clock", 3_600_000), ("clock", -60_000)]
    assert [e.t_ms for e in found] == run.table.begin_ms[1:].tolist()
    (first, _) = found
    assert search_events(run, first.t_ms, first.t_ms + 1, most=64, exact=False) == (first,)


def test_a_slewed_clock_is_not_an_event(write_run):
    writer = write_run()
    for i in range(20):
        writer.new_page()
        writer.add(i * 1000, [i, i, i], unix_ms=writer.start_ms + i * 1000 + 40 * i)
    assert search_events(open_run(writer), most=10) == ()


def test_only_the_newest_of_very_many_events_are_read(write_run):
    writer = write_run()
    for i in range(2000):
        writer.event(fmt.MARK, i * 1000, text=str(i))
    run = open_run(writer)
    found = search_events(run, 0, run.end_ms + 2_000_000, most=64, exact=False)
    assert [event.text for event in found] == [str(i) for i in range(1936, 2000)]


def test_an_empty_run_has_no_events(write_run):
    run = open_run(write_run())
    assert search_events(run, 0, 1 << 40, most=64, exact=False) == ()
    assert search_events(run, most=10) == ()


def marks_of(run, begin_ms, end_ms):
    """Return (unix ms, text) of the marks that a chart shows."""
    found = search_events(run, begin_ms, end_ms, most=64, kinds={"mark"}, exact=False)
    return [(event.t_ms, event.text) for event in found]


def test_marks_of_a_window_come_in_order_also_from_between_samples_and_pages(write_run):
    writer = write_run()
    for i in range(10):
        writer.add(i * 1000, [i, i, i])
    writer.event(fmt.MARK, 9500, text="after the last sample")
    writer.new_page()
    writer.event(fmt.PAUSE, 9600)
    writer.event(fmt.MARK, 20_000, text="paused \x1b[31m")
    writer.event(fmt.RESUME, 30_000)
    writer.new_page()
    writer.add(30_000, [1, 1, 1])
    run = open_run(writer)
    begin = writer.start_ms
    found = marks_of(run, begin, begin + 60_000)
    assert [(t_ms - begin, text) for t_ms, text in found] == [
        (9500, "after the last sample"),
        (20_000, "paused \x1b[31m"),
    ]
    assert len(marks_of(run, begin + 9501, begin + 60_000)) == 1
    assert len(marks_of(run, begin + 9500, begin + 20_000)) == 1
    assert marks_of(run, begin + 20_001, begin + 60_000) == []
    assert marks_of(run, begin + 99_000, begin + 99_001) == []


def test_of_countless_marks_the_newest_are_shown(write_run):
    writer = write_run()
    for i in range(1000):
        writer.event(fmt.MARK, i * 1000, text=str(i))
    run = open_run(writer)
    found = marks_of(run, 0, run.end_ms + 2_000_000)
    assert [text for _, text in found] == [str(i) for i in range(936, 1000)]
