"""Text from logs and paths in a real terminal: it is shown, and never obeyed."""

import csv
import importlib.util
import os
import re
import sys
from pathlib import Path
from zlib import crc32

import pytest

from pprofplus.log.format import MARK, PAGE_SIZE, START, STOP, Event, RunHeader, pack_header
from pprofplus.log.page import PageBuilder

_spec = importlib.util.spec_from_file_location(
    "damaged_corpus", Path(__file__).parents[1] / "collector" / "damaged" / "corpus.py"
)
corpus = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(corpus)

START_MS = 1_795_169_333_907
MIB = 1 << 20
# sets the title, clears, moves, colours, rings, asks for an answer; 8-bit, bidi, markup
EVIL = (
    "\x1b]0;OWNED\x07\x1b[2J\x1b[H\x1b[31mOWNED\x9b31m\x9d0;OWNED\x9c\x05\x0e\x08\r\n\t"
    "\u202eOWNED\u2066\u200b\ud800[bold]OWNED[/bold][@click=app.quit]OWNED[/]"
)
PLACE = EVIL.replace("\n", "").replace("/", "").replace("\ud800", "\udcff")
# all that the program itself has to send
SENT = set(b"\x1b\r\n")


def write_log(home, service="api", start_ms=START_MS):
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
    path = Path(home, service, f"4711-{start_ms}")
    path.mkdir(parents=True)
    pages = [*pack_header(header), bytes(page)]
    (path / "000001.pplog").write_bytes(b"".join(one.ljust(PAGE_SIZE, b"\0") for one in pages))
    return path


@pytest.fixture
def hostile(tmp_path):
    """A home with a hostile log, and services that must not be: their names are hostile."""
    home = tmp_path / "logs"
    write_log(home)
    for name in (PLACE, "[bold]OWNED", "a\nOWNED", "\x1b[31mOWNED"):
        write_log(home, name)
    return home


@pytest.fixture
def here(terminal):
    """Start commands of this very checkout in a terminal."""
    path = os.pathsep.join(entry for entry in sys.path if entry)

    def start(*words, **kwargs):
        return terminal(*words, env={"PYTHONPATH": path}, **{"columns": 140, "rows": 40, **kwargs})

    return start


def obeyed(screen):
    """Return what of the hostile text reached the terminal as it is."""
    output = bytes(screen.output).replace(b"\x1b]22;default\x07", b"")  # the pointer's shape
    hostile = (b"\x1b]", b"\x1b[31mOWNED", b"\xc2\x9b", b"\xc2\x9d", "\u202e".encode())
    codes = {byte for byte in output if byte < 0x20 or byte == 0x7F} - SENT
    return [what for what in hostile if what in output] + sorted(codes)


def test_the_monitor_shows_a_hostile_log_and_obeys_nothing_in_it(hostile, here):
    screen = here("--dir", str(hostile))
    screen.until(lambda text: "python heap" in text and re.search(r"RSS \d", text))
    for key in ("4", "5", "6", "?", "escape", "tab", "enter", "escape", "0"):
        screen.send(key)
        screen.read(0.3)
    screen.until("exited")
    # its metrics have charts of their own, named by what they claim, of which all can be seen
    assert r"=cmd|\x1b]0;OWNED\x07" in screen.text
    assert "[bold]OWNED" not in screen.text  # no such service
    assert "1 service" in screen.text
    screen.send("q")
    assert screen.end() == 0
    assert obeyed(screen) == []


def test_the_export_dialog_in_a_hostile_directory_obeys_nothing_of_its_name(
    hostile, here, tmp_path
):
    place = tmp_path / PLACE
    place.mkdir()
    inside = ["sh", "-c", 'cd "$0" && exec "$@"', str(place)]
    command = [*inside, sys.executable, "-m", "pprofplus_tui"]
    screen = here("--dir", str(hostile), command=command)
    screen.until(lambda text: "python heap" in text and re.search(r"RSS \d", text))
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
    assert obeyed(screen) == []
    (written,) = place.iterdir()
    with written.open(newline="") as file:
        heading, *rows = csv.reader(file)
    assert all(re.fullmatch(r"[A-Za-z0-9_.]+", cell) for cell in heading)
    assert len(rows) == 60


def test_a_hostile_directory_without_logs_is_shown_and_not_obeyed(here, tmp_path):
    home = tmp_path / PLACE
    home.mkdir()
    screen = here("--dir", str(home))
    screen.until("No service has written a log here yet")
    screen.send("q")
    assert screen.end() == 0
    assert obeyed(screen) == []


def test_a_problem_in_a_hostile_directory_is_told_and_not_obeyed(here, tmp_path):
    run = write_log(tmp_path / PLACE)
    page = bytearray((run / "000001.pplog").read_bytes()[:PAGE_SIZE])
    page[4] = 2  # of a later version: the message names the file
    length = int.from_bytes(page[12:16], "little")
    page[24:28] = crc32(page[28:length], crc32(page[:24])).to_bytes(4, "little")
    (run / "000002.pplog").write_bytes(page)
    screen = here("--dir", str(tmp_path / PLACE), columns=500)
    text = screen.until("\\x1b]0;OWNED")
    assert "[bold]OWNED" in text
    screen.send("q")
    assert screen.end() == 0
    assert obeyed(screen) == []
    listed = here("--dir", str(tmp_path / PLACE), "list")
    assert listed.end() == 1  # it cannot read what is of a later version
    assert obeyed(listed) == []


@pytest.mark.slow
def test_the_monitor_draws_every_damaged_log_of_the_corpus(here, tmp_path):
    corpus.unpack(tmp_path / "corpus")
    for i, case in enumerate(corpus.CASES):
        services = corpus.home_of(tmp_path / "corpus", case)
        (services / "api").rename(services / f"s{i:03d}")
    names = sorted(path.name for path in (tmp_path / "corpus").iterdir())
    home = tmp_path / "home"
    home.mkdir()
    for name in names:
        for service in (tmp_path / "corpus" / name).iterdir():
            service.rename(home / service.name)
    screen = here("--dir", str(home))
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
    assert obeyed(screen) == []


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
def test_commands_print_nothing_of_it_that_a_terminal_obeys(hostile, here, tmp_path, words):
    words = [str(tmp_path / word) if word == PLACE else word for word in words]
    screen = here(*words, "--dir", str(hostile), columns=200, rows=100)
    screen.end()
    assert obeyed(screen) == []
    assert b"Traceback" not in screen.output
    assert screen.output
