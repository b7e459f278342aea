"""Text from logs and paths in a real terminal: it is shown, and never interpreted."""

import csv
import re
import sys
from functools import partial
from zlib import crc32

import pytest

from kit import damaged_corpus as corpus
from kit.page_writer import write_pages
from kit.units import MIB
from pprofplus.log.format import MARK, PAGE_SIZE, START, STOP, Event, RunHeader
from pprofplus.log.page import PageBuilder

START_MS = 1_795_169_333_907
# title, clear, move, colour, bell, control characters; 8-bit controls, bidi, markup
EVIL = (
    "\x1b]0;OWNED\x07\x1b[2J\x1b[H\x1b[31mOWNED\x9b31m\x9d0;OWNED\x9c\x05\x0e\x08\r\n\t"
    "\u202eOWNED\u2066\u200b\ud800[bold]OWNED[/bold][@click=app.quit]OWNED[/]"
)
PLACE = EVIL.replace("\n", "").replace("/", "").replace("\ud800", "\udcff")
# the control characters that the program itself sends
SENT = set(b"\x1b\r\n")


def write_log(log_directory, service="api", start_ms=START_MS):
    """Write an ended run whose header and events are hostile."""
    table = (
        ("rss", f"B{EVIL}", f"gauge{EVIL}"),
        ("heap_sys", "B", "gauge"),
        (f"=cmd|{EVIL}", EVIL, "gauge"),
        (f"+{EVIL}", "B", "counter"),
    )
    header = RunHeader(
        service=EVIL,
        pid=4711,
        start_ms=start_ms,
        metrics=table,
        host=EVIL,
        boot_id=EVIL,
        argv=("python", EVIL),
        python=EVIL,
        collector=EVIL,
    )
    page = PageBuilder(header.schema, header.counters, 0, 1000)
    page.add_event(Event(START, 0, start_ms, 0, EVIL))
    for n in range(60):
        page.add(1000 * n, start_ms + 1000 * n, [100 * MIB + n * MIB, 50 * MIB, n, n])
    for kind in (MARK, 77, STOP):
        page.add_event(Event(kind, 59_000, start_ms + 59_000, -1, EVIL))
    return write_pages(log_directory, header, [page], service)


@pytest.fixture
def hostile(tmp_path):
    """A log directory with a hostile log, and with services whose names are invalid and hostile."""
    log_directory = tmp_path / "logs"
    write_log(log_directory)
    for name in (PLACE, "[bold]OWNED", "a\nOWNED", "\x1b[31mOWNED"):
        write_log(log_directory, name)
    return log_directory


@pytest.fixture
def large_terminal(terminal):
    """Start the monitor in a terminal with room for all charts."""
    return partial(terminal, columns=140, rows=40)


def interpreted(screen):
    """Return the hostile sequences and control characters that reached the terminal."""
    output = bytes(screen.output).replace(b"\x1b]22;default\x07", b"")  # the shape of the pointer
    hostile = (b"\x1b]", b"\x1b[31mOWNED", b"\xc2\x9b", b"\xc2\x9d", "\u202e".encode())
    codes = {byte for byte in output if byte < 0x20 or byte == 0x7F} - SENT
    return [what for what in hostile if what in output] + sorted(codes)


def test_the_monitor_shows_a_hostile_log_and_interprets_nothing_in_it(hostile, large_terminal):
    screen = large_terminal("--dir", str(hostile))
    screen.until_drawn()
    for key in ("4", "5", "6", "?", "escape", "tab", "enter", "escape", "0"):
        screen.send(key)
        screen.read(0.3)
    screen.until("exited")
    # its own metrics have charts, whose names are shown in escaped form
    assert r"=cmd|\x1b]0;OWNED\x07" in screen.text
    assert "[bold]OWNED" not in screen.text  # no such service
    assert "1 service" in screen.text
    screen.send("q")
    assert screen.end() == 0
    assert interpreted(screen) == []


def test_the_export_dialog_interprets_nothing_in_the_name_of_a_hostile_directory(
    hostile, large_terminal, tmp_path
):
    place = tmp_path / PLACE
    place.mkdir()
    inside = ["sh", "-c", 'cd "$0" && exec "$@"', str(place)]
    command = [*inside, sys.executable, "-m", "pprofplus_tui"]
    screen = large_terminal("--dir", str(hostile), command=command)
    screen.until_drawn()
    screen.send("e")
    screen.until("export to CSV")
    screen.send("enter")
    screen.until("exported")
    screen.send("e")
    screen.until("export to CSV")
    screen.send("\x15" + str(tmp_path) + "\r")
    screen.until("already")  # of "already exists": the line may be wrapped anywhere
    screen.send("escape")
    screen.until(lambda text: "export to CSV" not in text)
    screen.send("q")
    assert screen.end() == 0
    assert interpreted(screen) == []
    (written,) = place.iterdir()
    with written.open(newline="") as file:
        heading, *rows = csv.reader(file)
    assert all(re.fullmatch(r"[A-Za-z0-9_.]+", cell) for cell in heading)
    assert len(rows) == 60


def test_the_name_of_a_hostile_directory_without_logs_is_shown_and_not_interpreted(
    large_terminal, tmp_path
):
    log_directory = tmp_path / PLACE
    log_directory.mkdir()
    screen = large_terminal("--dir", str(log_directory))
    screen.until("No service has written a log here yet")
    screen.send("q")
    assert screen.end() == 0
    assert interpreted(screen) == []


def test_a_problem_in_a_hostile_directory_is_shown_and_not_interpreted(large_terminal, tmp_path):
    run = write_log(tmp_path / PLACE)
    page = bytearray((run / "000001.pplog").read_bytes()[:PAGE_SIZE])
    page[4] = 2  # of a later version: the message names the file
    length = int.from_bytes(page[12:16], "little")
    page[24:28] = crc32(page[28:length], crc32(page[:24])).to_bytes(4, "little")
    (run / "000002.pplog").write_bytes(page)
    screen = large_terminal("--dir", str(tmp_path / PLACE), columns=500)
    text = screen.until("\\x1b]0;OWNED")
    assert "[bold]OWNED" in text
    screen.send("q")
    assert screen.end() == 0
    assert interpreted(screen) == []
    listed = large_terminal("--dir", str(tmp_path / PLACE), "list")
    assert listed.end() == 1  # it cannot read a later version
    assert interpreted(listed) == []


@pytest.mark.slow
def test_the_monitor_draws_every_damaged_log_of_the_corpus(large_terminal, tmp_path):
    corpus.unpack(tmp_path / "corpus")
    for i, case in enumerate(corpus.CASES):
        services = corpus.log_directory_of(tmp_path / "corpus", case)
        (services / "api").rename(services / f"s{i:03d}")
    names = sorted(path.name for path in (tmp_path / "corpus").iterdir())
    log_directory = tmp_path / "log_directory"
    log_directory.mkdir()
    for name in names:
        for service in (tmp_path / "corpus" / name).iterdir():
            service.rename(log_directory / service.name)
    screen = large_terminal("--dir", str(log_directory))
    screen.until(f"{len(names)} services")
    for step in range(len(names) + 1):
        screen.send("up")
        screen.read(0.1)
        if step % 3 == 0:
            screen.send("0")
    screen.read(1)
    assert "PAST" in screen.text
    screen.send("q")
    assert screen.end() == 0
    assert b"Traceback" not in screen.output
    assert interpreted(screen) == []


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("list", "--json"),
        ("export", "--service", "api"),
        ("export", "--service", "api", "--format", "json"),
        ("export", "--service", "other"),
        ("export", "--service", "api", "-o", PLACE),
        ("export", "--service", "api", "-o", "/"),
    ],
    ids=lambda words: " ".join(words)[:30].encode("unicode_escape").decode(),
)
def test_commands_print_no_control_sequence_of_a_hostile_log(
    hostile, large_terminal, tmp_path, words
):
    words = [str(tmp_path / word) if word == PLACE else word for word in words]
    screen = large_terminal(*words, "--dir", str(hostile), columns=200, rows=100)
    screen.end()
    assert interpreted(screen) == []
    assert b"Traceback" not in screen.output
    assert screen.output
