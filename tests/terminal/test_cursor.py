"""The time cursor in a real terminal: keys, the mouse, a held key, Esc; bytes on the line."""

import re

import pytest

from kit.units import MIB
from pprofplus.log.format import START, STOP, Event, RunHeader
from pprofplus.log.writer import Writer
from pprofplus.metrics import BY_NAME

BEGIN_MS = 1_800_000_000_000  # 15 Jan 2027, 08:00:00 UTC
METRICS = ("rss", "uss", "heap_sys", "heap_used", "heap_idle", "vms")
CURSOR = re.compile(r"CURSOR 15 Jan (\d\d):(\d\d):(\d\d)\.000 UTC")


@pytest.fixture
def screen(tmp_path, terminal):
    """A terminal with a run of half an hour, in which RSS starts at 100 MiB and grows 1 MiB/s."""
    log_directory = tmp_path / "logs"
    log_directory.mkdir(mode=0o700)
    metrics = tuple((name, BY_NAME[name].unit, BY_NAME[name].kind) for name in METRICS)
    writer = Writer(
        str(log_directory), RunHeader(service="api", pid=4711, start_ms=BEGIN_MS, metrics=metrics)
    )
    writer.add_event(Event(START, 0, BEGIN_MS))
    for i in range(1800):
        sizes = [100 + i, 90 + i, 60, 50, 4, 900]
        writer.add(i * 1000, BEGIN_MS + i * 1000, [size * MIB for size in sizes])
    writer.add_event(Event(STOP, 1_800_000, BEGIN_MS + 1_800_000))
    writer.close()
    opened = terminal("--dir", str(log_directory), columns=120, rows=40, env={"TZ": "UTC"})
    opened.until(lambda text: "virtual memory" in text and "where RSS is" in text)
    opened.read(1)
    return opened


def second_of(text):
    """Return the second of the run that the status line shows."""
    hours, minutes, seconds = map(int, CURSOR.search(text).groups())
    return ((hours - 8) * 60 + minutes) * 60 + seconds


def is_exact(text):
    """Return whether the legend has the values at the time in the status line."""
    if not CURSOR.search(text):
        return False
    size = 100 + second_of(text)
    value = f"{size:.2f} MiB" if size < 1024 else f"{size / 1024:.2f} GiB"
    return f"rss {value}" in text


def test_keys_and_the_mouse_move_the_cursor_and_escape_removes_it(screen):
    before = screen.text
    screen.send(",")
    last = second_of(screen.until(is_exact))
    assert last == 1799
    screen.send(",", ",")
    text = screen.until(lambda text: is_exact(text) and second_of(text) < last)
    screen.send("\x1b[<0;60;10M", "\x1b[<0;60;10m")  # a click in the first chart
    text = screen.until(lambda text: is_exact(text) and second_of(text) < 1000)
    column = 59
    lines = text.splitlines()
    assert all(lines[row][column] == "│" for row in (3, 4))
    clicked = second_of(text)
    screen.send(".")
    screen.until(lambda text: is_exact(text) and second_of(text) > clicked)
    screen.send("\x1b")
    screen.until(lambda text: text == before)


def test_a_held_key_stops_when_it_is_released_and_no_step_is_queued(screen):
    screen.send(",")
    screen.until(is_exact)
    screen.send(*("," * 200))
    screen.until(lambda text: is_exact(text) and second_of(text) == 0)
    screen.read(1)
    assert screen.read(2) == 0
    assert is_exact(screen.text)


def test_an_unchanged_cursor_writes_nothing_and_a_step_writes_little(screen):
    screen.send(",")
    screen.until(is_exact)
    screen.read(1)
    assert screen.read(2) == 0
    size_bytes = len(screen.output)  # the first paint and later changes
    screen.send(",")
    assert 0 < screen.read(1.5) < size_bytes / 4
