"""The help page."""

from kit.pilot import settled, text_of
from pprofplus_tui.screens.help_page import HelpPage

LARGE = (120, 40)


async def test_help_shows_every_key_and_metric_of_the_tables(home, monitor):
    home.run()
    async with monitor().run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("question_mark")
        assert isinstance(pilot.app.screen, HelpPage)
        text = await settled(pilot, "Show the run above in the list")
        seen = text
        for _ in range(8):
            await pilot.press("pagedown")
            await pilot.pause(0.05)
            seen += text_of(pilot.app)
        assert "HeapAlloc" in seen
        assert "Export the visible window to CSV" in seen
        await pilot.press("escape")
        await settled(pilot, "python heap")
