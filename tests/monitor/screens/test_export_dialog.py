"""The export dialog: the visible window is written, with progress, and never over a file."""

import csv
import threading
from pathlib import Path

from textual.events import Key

from kit.pilot import settled, wait_until_async
from pprofplus_tui.screens.export_dialog import ExportDialog

LARGE = (120, 40)


def damage_the_first_page(directory):
    segment = Path(directory, "000001.pplog")
    raw = bytearray(segment.read_bytes())
    raw[8192 + int.from_bytes(raw[8192 + 8 : 8192 + 12], "little") - 1] ^= 1
    segment.write_bytes(raw)


async def test_an_incomplete_export_reports_the_damaged_pages(home, monitor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    damage_the_first_page(home.run(count=600))
    app = monitor()
    async with app.run_test(size=LARGE, notifications=True) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("e")
        await settled(pilot, "export to CSV")
        await pilot.press("enter")
        await settled(pilot, "exported, incomplete")
        await settled(pilot, "1 damaged pages were skipped")


async def test_export_writes_exactly_the_visible_window(home, monitor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home.run(count=600)
    app = monitor(begin_ms=1_800_000_100_000, end_ms=1_800_000_200_000)
    async with app.run_test(size=LARGE, notifications=True) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("e")
        await settled(pilot, "export to CSV")
        await pilot.press("enter")
        await settled(pilot, "exported")
    (written,) = tmp_path.glob("*.csv")
    with written.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    assert int(rows[0]["unix_ms"]) == 1_800_000_100_000
    assert rows[0]["rss_bytes"] == str(70 * (1 << 20) + 100 * 65_536)
    assert {row["pid"] for row in rows} == {"4711"}


async def test_export_to_an_existing_file_is_refused_with_a_message(
    home, monitor, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    home.run()
    mine = tmp_path / "mine.csv"
    mine.write_text("precious")
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("e")
        await settled(pilot, "export to CSV")
        pilot.app.screen.query_one("#path").value = str(mine)
        await pilot.press("enter")
        await settled(pilot, "choose another name")
        await pilot.press("escape")
    assert mine.read_text() == "precious"


async def test_keys_typed_ahead_into_the_path_keep_their_order(home, monitor, tmp_path):
    home.run()
    target = tmp_path / "typed.csv"
    async with monitor().run_test(size=LARGE, notifications=True) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("e")
        await settled(pilot, "export to CSV")
        # in one burst, as over a slow connection
        for char in ("ctrl+u", *str(target), "enter"):
            name = {"/": "slash", ".": "full_stop", "-": "minus", "_": "underscore"}.get(char, char)
            pilot.app.post_message(Key(name, char if len(char) == 1 else None))
        await settled(pilot, "exported")
    assert len(target.read_text().splitlines()) == 601


async def test_quitting_during_an_export_does_not_wait_and_leaves_no_file(
    home, monitor, tmp_path, monkeypatch
):
    started, ended = threading.Event(), threading.Event()

    def report(screen, _share):
        started.set()
        if screen._cancelled.wait(20):
            ended.set()

    monkeypatch.setattr(ExportDialog, "_report", report)
    home.run(count=20_000)
    app = monitor()
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("e")
        await settled(pilot, "export to CSV")
        app.screen.query_one("#path").value = str(tmp_path / "big.csv")
        app.post_message(Key("enter", None))
        while not started.is_set():
            await pilot.pause(0.01)
        app.exit()
    assert ended.wait(10)
    await wait_until_async(lambda: len(list(tmp_path.iterdir())) == 1, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


async def test_export_from_a_removed_directory_suggests_the_home_directory(
    home, monitor, tmp_path, monkeypatch
):
    home.run()
    removed = tmp_path / "gone"
    removed.mkdir()
    monkeypatch.chdir(removed)
    monkeypatch.setenv("HOME", str(tmp_path))
    removed.rmdir()
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("e")
        await settled(pilot, "export to CSV")
        assert pilot.app.screen.query_one("#path").value.startswith(f"{tmp_path}/pprofplus-api")


async def test_a_long_export_shows_its_progress(home, monitor, tmp_path, monkeypatch):
    started, resume = threading.Event(), threading.Event()
    report = ExportDialog._report

    def report_slowly(screen, share):
        report(screen, share)
        started.set()
        resume.wait(20)

    monkeypatch.setattr(ExportDialog, "_report", report_slowly)
    home.run(count=20_000)
    app = monitor()
    async with app.run_test(size=LARGE, notifications=True) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("e")
        await settled(pilot, "export to CSV")
        bar = app.screen.query_one("#progress")
        assert not bar.display
        app.screen.query_one("#path").value = str(tmp_path / "big.csv")
        app.post_message(Key("enter", None))
        await settled(pilot, lambda _: started.is_set() and bar.progress)
        assert bar.display
        assert bar.size.height == 1
        resume.set()
        await settled(pilot, "exported")
