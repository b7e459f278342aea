"""Homes full of what does not belong there, or that change under the monitor's eyes."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from pprofplus.log.format import PAGE_SIZE, START, Event, RunHeader, pack_header
from pprofplus.log.page import PageBuilder

START_MS = 1_795_169_333_907
MIB = 1 << 20
CHECKOUT = os.pathsep.join(entry for entry in sys.path if entry)


def write_run(home, pid=4711, pages=4):
    """Write an ended run of so many pages; return its directory."""
    table = (("rss", "B", "gauge"), ("heap_sys", "B", "gauge"), ("heap_used", "B", "gauge"))
    header = RunHeader(
        service="api",
        pid=pid,
        start_ms=START_MS,
        metrics=table,
        host="host",
        boot_id="boot",
        argv=("python",),
        python="3",
        collector="1",
    )
    data = list(pack_header(header))
    for number in range(pages):
        page = PageBuilder(header.schema, header.counters, number, 1000)
        begin = 60_000 * number
        if not number:
            page.add_event(Event(START, 0, START_MS, 0, ""))
        for n in range(60):
            at = begin + 1000 * n
            page.add(at, START_MS + at, [100 * MIB + n * MIB, 60 * MIB, 50 * MIB])
        data.append(bytes(page))
    path = Path(home, "api", f"{pid}-{START_MS}")
    path.mkdir(parents=True)
    (path / "000001.pplog").write_bytes(b"".join(one.ljust(PAGE_SIZE, b"\0") for one in data))
    return path


@pytest.fixture
def here(terminal):
    """Start the monitor of this very checkout."""

    def start(*words, **kwargs):
        env = {"PYTHONPATH": CHECKOUT, **kwargs.pop("env", {})}
        return terminal(*words, env=env, **{"columns": 120, "rows": 40, **kwargs})

    return start


def drawn(screen, seconds=60):
    screen.until(lambda text: "python heap" in text and re.search(r"RSS \d", text), seconds)


def leave(screen):
    screen.send("q")
    assert screen.end() == 0
    assert b"Traceback" not in screen.output


def test_ten_thousand_junk_files_in_a_home_and_in_a_run_hide_nothing(here, tmp_path):
    home = tmp_path / "logs"
    run = write_run(home)
    for n in range(10_000):
        (home / f"junk-{n}").touch()
        (run / f"{n:06d}.junk").write_bytes(b"\x1b[2Jjunk")
    for n in range(2, 500):
        (run / f"{n:06d}.pplog").write_bytes(os.urandom(64))
    (home / "api" / "junk").symlink_to("/dev/zero")
    os.mkfifo(run / "000500.pplog")
    screen = here("--dir", str(home))
    drawn(screen)
    assert "api 4711" in screen.text
    screen.send("0", "-", "left")
    leave(screen)


def test_a_log_that_shrinks_while_shown_ends_in_a_picture_and_not_in_a_fault(here, tmp_path):
    run = write_run(tmp_path / "logs", pages=30)
    screen = here("--dir", str(tmp_path / "logs"))
    drawn(screen)
    segment = run / "000001.pplog"
    for size in (20 * PAGE_SIZE, 9 * PAGE_SIZE + 77, PAGE_SIZE, 10, 0):
        os.truncate(segment, size)
        for key in ("left", "-", "0", "home"):
            screen.send(key)
            screen.read(0.3)
    screen.send("?")
    screen.until("Esc closes")
    screen.send("ctrl-c")
    assert screen.end() == 0
    assert b"Traceback" not in screen.output


def test_a_run_that_vanishes_while_shown_gives_way_to_the_next(here, tmp_path):
    home = tmp_path / "logs"
    first, second = write_run(home, 4711), write_run(home, 4712)
    screen = here("--dir", str(home))
    drawn(screen)
    shown = re.search(r"api (\d+)", screen.text.split("\n")[0])[1]
    gone, other = (first, "4712") if shown == "4711" else (second, "4711")
    shutil.rmtree(gone)
    screen.until(lambda text: f"api {other}" in text.split("\n")[0], 60)
    shutil.rmtree(home)
    screen.until("No service has written a log here yet", 60)
    leave(screen)


def test_what_may_not_be_read_is_left_aside(here, tmp_path):
    home = tmp_path / "logs"
    write_run(home)
    closed = [home / "secret", home / "sealed" / f"1-{START_MS}" / "000001.pplog"]
    for name in ("secret", "sealed"):
        (home / name / f"1-{START_MS}").mkdir(parents=True)
        (home / name / f"1-{START_MS}" / "000001.pplog").write_bytes(b"x" * PAGE_SIZE)
    command = [sys.executable, "-m", "pprofplus_tui"]
    if os.getuid() == 0:
        # root may read everything, unless it gives that up
        if shutil.which("setpriv") is None:
            pytest.skip("not installed: setpriv")
        powers = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}", *command]
    for path in closed:
        path.chmod(0o000)
    try:
        screen = here("--dir", str(home), command=command)
        drawn(screen)
        assert "api 4711" in screen.text
        assert "secret" not in screen.text.split("\n")[2]
        leave(screen)
    finally:
        for path in closed:
            path.chmod(0o700)
