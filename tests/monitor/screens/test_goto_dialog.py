"""The dialog that goes to a time or a time span."""

from datetime import timezone

from kit.pilot import settled

LARGE = (120, 40)


async def test_b_goes_to_a_time_and_shows_it_while_it_is_typed(home, monitor):
    home.run(count=3600)  # from 15 Jan 2027, 08:00:00 UTC
    app = monitor(zone=timezone.utc)
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("plus", "plus", "plus", "b")
        await settled(pilot, "go to a time")
        await pilot.press(*"2027-01-15 08:2")
        await pilot.press("enter")
        await settled(pilot, "is not a time: write now, 14:05")
        await pilot.press("5")
        await settled(pilot, "Fri 15 Jan 2027 08:25:00 UTC")
        await pilot.press("enter")
        text = await settled(pilot, "CURSOR")
        assert "15 Jan 08:25:00.000 UTC" in text
        window = app.monitor.view.window
        assert window.begin_ms < 1_800_000_000_000 + 1_500_000 < window.end_ms
        await pilot.press("b", *"+2m")
        await settled(pilot, "08:27:00 UTC")
        await pilot.press("enter", "b", *"30m", "enter")
        await settled(pilot, lambda _: app.monitor.view.window.span_ms == 1_800_000)
        await pilot.press("b", "escape")
        assert app.screen is app.monitor
