"""Screenshots in files: SVG, PNG made by a browser, and one-line errors."""

import os
import shutil
import struct
import zlib
from pathlib import Path

import pytest

from kit.waiting import wait_until
from pprofplus_tui.atomic_file import OutputError
from pprofplus_tui.terminal.screenshot import (
    ScreenshotCancelledError,
    find_browser,
    png_of,
    save,
)

SIZED = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 200"><text y="20">x</text></svg>'


def fake_browser(tmp_path, monkeypatch, text):
    """Put a program called chromium, and nothing else, on the path."""
    directory = tmp_path / "bin"
    directory.mkdir()
    program = directory / "chromium"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}/bin{os.pathsep}/usr/bin")
    assert find_browser() == str(program)
    return program


def test_without_a_browser_a_png_is_a_one_line_error_and_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutputError, match=r"a PNG needs Chromium, .*; save it as \.svg"):
        save(SIZED, tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []
    assert save(SIZED, tmp_path / "x.svg").read_text() == SIZED


def test_a_browser_that_draws_nothing_is_a_one_line_error_and_no_file(tmp_path, monkeypatch):
    fake_browser(tmp_path, monkeypatch, "exit 1")
    with pytest.raises(OutputError, match=r"produced no image; save it as \.svg"):
        save(SIZED, tmp_path / "x.png")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_a_browser_that_hangs_is_killed_with_its_child_processes(tmp_path, monkeypatch):
    fake_browser(tmp_path, monkeypatch, f"sleep 600 & echo $! > {tmp_path}/pid; wait")
    pid_file = tmp_path / "pid"

    def started():
        return pid_file.exists() and pid_file.read_text().strip().isdigit()

    with pytest.raises(ScreenshotCancelledError):
        save(SIZED, tmp_path / "x.png", cancelled=started)
    assert not (tmp_path / "x.png").exists()
    status = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    wait_until(lambda: not status.exists() or status.read_text().split()[2] == "Z", 30)


def pixels(data):
    """Return a PNG's rows of bytes."""
    width, height, depth, colour = struct.unpack(">2I2B", data[16:26])
    assert depth == 8
    step = {2: 3, 6: 4}[colour]
    begin = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[begin - 4 : begin])
    raw = zlib.decompress(data[begin + 4 : begin + 4 + length])
    rows, above = [], bytearray(width * step)
    for y in range(height):
        kind, *coded = raw[y * (width * step + 1) : (y + 1) * (width * step + 1)]
        row = bytearray(coded)
        for i in range(len(row)):
            left = row[i - step] if i >= step else 0
            corner = above[i - step] if i >= step else 0
            guess = left + above[i] - corner
            paeth = min((left, above[i], corner), key=lambda v, guess=guess: abs(guess - v))
            row[i] = (row[i] + (0, left, above[i], (left + above[i]) // 2, paeth)[kind]) & 255
        rows.append(row)
        above = row
    return rows


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
def test_a_png_shows_the_whole_image(tmp_path):
    red = SIZED.replace("<text", '<rect width="320" height="200" fill="#ff0000"/><text')
    data = save(red, tmp_path / "x.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">2I", data[16:24]) == (320, 200)
    assert bytes(pixels(data)[-1][:3]) == b"\xff\0\0"  # down to the last row


def test_an_svg_without_a_size_is_a_one_line_error(tmp_path):
    with pytest.raises(OutputError, match="no size"):
        png_of("<svg/>", str(tmp_path))
