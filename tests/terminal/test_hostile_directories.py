"""Log directories with foreign content, or that change while the monitor shows them."""

import os
import re
import shutil
import sys
from functools import partial

import pytest

from kit.page_writer import write_pages
from kit.units import MIB
from pprofplus.log.format import PAGE_SIZE, START, Event, RunHeader
from pprofplus.log.page import PageBuilder

START_MS = 1_795_169_333_907


def write_run(log_directory, pid=4711, pages=4):
    """Write an ended run of `pages` pages; return its directory."""
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
    data = []
    for number in range(pages):
        page = PageBuilder(header.schema, header.counters, number, 1000)
        begin = 60_000 * number
        if not number:
            page.add_event(Event(START, 0, START_MS, 0, ""))
        for n in range(60):
            at = begin + 1000 * n
            page.add(at, START_MS + at, [100 * MIB + n * MIB, 60 * MIB, 50 * MIB])
        data.append(page)
    return write_pages(log_directory, header, data)


@pytest.fixture
def large_terminal(terminal):
    """Start the monitor in a terminal with room for all charts."""
    return partial(terminal, columns=120, rows=40)


def test_ten_thousand_junk_files_in_a_log_directory_and_in_a_run_hide_nothing(
    large_terminal, tmp_path
):
    log_directory = tmp_path / "logs"
    run = write_run(log_directory)
    for n in range(10_000):
        (log_directory / f"junk-{n}").touch()
        (run / f"{n:06d}.junk").write_bytes(b"\x1b[2Jjunk")
    for n in range(2, 500):
        (run / f"{n:06d}.pplog").write_bytes(os.urandom(64))
    (log_directory / "api" / "junk").symlink_to("/dev/zero")
    os.mkfifo(run / "000500.pplog")
    screen = large_terminal("--dir", str(log_directory))
    screen.until_drawn(seconds=60)
    assert "api 4711" in screen.text
    screen.send("0", "-", "left")
    screen.leave()


def test_a_log_that_shrinks_while_it_is_shown_causes_no_fault(large_terminal, tmp_path):
    run = write_run(tmp_path / "logs", pages=30)
    screen = large_terminal("--dir", str(tmp_path / "logs"))
    screen.until_drawn(seconds=60)
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


def test_a_run_that_is_removed_while_it_is_shown_is_replaced_by_the_next(large_terminal, tmp_path):
    log_directory = tmp_path / "logs"
    first, second = write_run(log_directory, 4711), write_run(log_directory, 4712)
    screen = large_terminal("--dir", str(log_directory))
    screen.until_drawn(seconds=60)
    shown = re.search(r"api (\d+)", screen.text.split("\n")[0])[1]
    gone, other = (first, "4712") if shown == "4711" else (second, "4711")
    shutil.rmtree(gone)
    screen.until(lambda text: f"api {other}" in text.split("\n")[0], 60)
    shutil.rmtree(log_directory)
    screen.until("No service has written a log here yet", 60)
    screen.leave()


def test_files_without_read_permission_are_skipped(large_terminal, tmp_path):
    log_directory = tmp_path / "logs"
    write_run(log_directory)
    closed = [log_directory / "secret", log_directory / "sealed" / f"1-{START_MS}" / "000001.pplog"]
    for name in ("secret", "sealed"):
        (log_directory / name / f"1-{START_MS}").mkdir(parents=True)
        (log_directory / name / f"1-{START_MS}" / "000001.pplog").write_bytes(b"x" * PAGE_SIZE)
    command = [sys.executable, "-m", "pprofplus_tui"]
    if os.getuid() == 0:
        # root may read everything without these capabilities dropped
        if shutil.which("setpriv") is None:
            pytest.skip("not installed: setpriv")
        capabilities = "-dac_override,-dac_read_search"
        command = [
            "setpriv",
            f"--bounding-set={capabilities}",
            f"--inh-caps={capabilities}",
            *command,
        ]
    for path in closed:
        path.chmod(0o000)
    try:
        screen = large_terminal("--dir", str(log_directory), command=command)
        screen.until_drawn(seconds=60)
        assert "api 4711" in screen.text
        assert "secret" not in screen.text.split("\n")[2]
        screen.leave()
    finally:
        for path in closed:
            path.chmod(0o700)
