"""The screenshot dialog saves the screen under the path shown, never over another file."""

import stat
import xml.etree.ElementTree as ET

from kit.pilot import settled, wait_until_async
from pprofplus_tui.terminal.screenshot import (
    tidy,
)

LARGE = (120, 40)


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
    text = "".join(ET.fromstring(written.read_text()).itertext())
    assert "4711" in text
    assert "python\xa0heap" in text
    assert "save a screenshot" not in text.replace("\xa0", " ")


async def test_a_screenshot_loads_no_font_from_the_network(home, monitor):
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
