"""`s` saves a picture of the screen where it is told to, whole, and never over another file."""

import os
import shutil
import stat
import struct
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path

import pytest

from kit.pilot import settled, wait_until_async
from kit.waiting import wait_until
from pprofplus_tui.atomic_file import OutputError
from pprofplus_tui.terminal.screenshot import (
    ScreenshotCancelledError,
    find_browser,
    png_of,
    save,
    tidy,
)

LARGE = (120, 40)
SIZED = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 200"><text y="20">x</text></svg>'


async def test_s_saves_the_screen_as_svg_under_the_name_shown(home, monitor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home.run(count=600)
    async with monitor().run_test(size=LARGE, notifications=True) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("s")
        await settled(pilot, "save a screenshot")
        # a long path shows only in part
        assert "pprofplus-api-4711-" in pilot.app.screen.query_one("#path").value
        await pilot.press("enter")
        await settled(pilot, "saved")
    (written,) = tmp_path.glob("pprofplus-api-4711-*.svg")
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    text = "".join(ET.fromstring(written.read_text()).itertext())  # noqa: S314 - our own
    assert "4711" in text
    assert "python\xa0heap" in text
    assert "save a screenshot" not in text.replace("\xa0", " ")


async def test_a_picture_asks_nobody_for_a_font(home, monitor):
    home.run(count=60)
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        svg = tidy(pilot.app.export_screenshot())
    assert "url(http" not in svg
    assert "@font-face" not in svg


async def test_the_path_can_be_changed_and_a_file_is_never_overwritten(home, monitor, tmp_path):
    home.run(count=60)
    mine = tmp_path / "mine.svg"
    mine.write_text("precious")
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("s")
        await settled(pilot, "save a screenshot")
        pilot.app.screen.query_one("#path").value = str(mine)
        await pilot.press("enter")
        await settled(pilot, "choose another name")
        pilot.app.screen.query_one("#path").value = str(tmp_path / "x.jpeg")
        await pilot.press("enter")
        await settled(pilot, "must end in .svg or .png")
        pilot.app.screen.query_one("#path").value = str(tmp_path / "other.svg")
        await pilot.press("enter")
        await wait_until_async((tmp_path / "other.svg").exists, 30, pause=pilot.pause)
    assert mine.read_text() == "precious"


async def test_escape_saves_nothing(home, monitor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home.run(count=60)
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("s")
        await settled(pilot, "save a screenshot")
        await pilot.press("escape")
        await settled(pilot, "python heap")
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


async def test_an_empty_screen_can_be_saved_too(home, monitor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert list(home.path.iterdir()) == []
    async with monitor().run_test(size=LARGE, notifications=True) as pilot:
        await pilot.pause(0.2)
        await pilot.press("s")
        await settled(pilot, "save a screenshot")
        await pilot.press("enter")
        await settled(pilot, "saved")
    assert len(list(tmp_path.glob("pprofplus-2*.svg"))) == 1


def fake_browser(tmp_path, monkeypatch, text):
    """Put a program called chromium, and nothing else, on the path."""
    place = tmp_path / "bin"
    place.mkdir()
    program = place / "chromium"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}/bin{os.pathsep}/usr/bin")
    assert find_browser() == str(program)
    return program


def test_without_a_browser_a_png_is_one_line_and_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutputError, match=r"a PNG needs Chromium, .*; save it as \.svg"):
        save(SIZED, tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []
    assert save(SIZED, tmp_path / "x.svg").read_text() == SIZED


def test_a_browser_that_draws_nothing_is_one_line_and_no_file(tmp_path, monkeypatch):
    fake_browser(tmp_path, monkeypatch, "exit 1")
    with pytest.raises(OutputError, match=r"produced no image; save it as \.svg"):
        save(SIZED, tmp_path / "x.png")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_a_browser_that_hangs_is_ended_with_all_that_it_started(tmp_path, monkeypatch):
    fake_browser(tmp_path, monkeypatch, f"sleep 600 & echo $! > {tmp_path}/pid; wait")
    told = tmp_path / "pid"

    def begun():
        return told.exists() and told.read_text().strip().isdigit()

    with pytest.raises(ScreenshotCancelledError):
        save(SIZED, tmp_path / "x.png", cancelled=begun)
    assert not (tmp_path / "x.png").exists()
    status = Path(f"/proc/{told.read_text().strip()}/stat")
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
@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium here")
def test_a_png_shows_all_of_the_picture(tmp_path):
    red = SIZED.replace("<text", '<rect width="320" height="200" fill="#ff0000"/><text')
    data = save(red, tmp_path / "x.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">2I", data[16:24]) == (320, 200)
    assert bytes(pixels(data)[-1][:3]) == b"\xff\0\0"  # to the very last row


def test_a_picture_without_a_size_is_one_line(tmp_path):
    with pytest.raises(OutputError, match="no size"):
        png_of("<svg/>", str(tmp_path))
