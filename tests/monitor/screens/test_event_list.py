"""The list of events: events, the death and the next run, and Enter goes there."""

from datetime import timezone

from kit.pilot import settled

LARGE = (120, 40)


async def test_events_are_on_the_charts_and_in_a_list_and_enter_goes_there(home, monitor):
    evil = "deploy \x1b[31m[bold]1.4.2"
    home.run("api", 1, count=3600, state="exited", marks=[(1800, evil)])
    home.run("api", 2, begin_ms=1_800_007_200_000, count=60)
    app = monitor(zone=timezone.utc)
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("down")
        await settled(pilot, lambda text: "api 1 " in text and "Start" in text)
        await settled(pilot, lambda text: "deploy" in text)
        await pilot.press("m")
        text = await settled(pilot, "events of api 1")
        text = await settled(pilot, "4 events")
        assert "Fri 15 Jan 08:30:00 UTC  Mark      deploy \\x1b[31m[bold]1.4.2" in text
        assert "Start     sampling began" in text
        await pilot.press("home", "down", "enter")
        await settled(pilot, "CURSOR")
        assert app.monitor.view.cursor == 1_800_001_800_000
        await pilot.press("m")
        await settled(pilot, "4 events")
        await pilot.press("end", "enter")
        await settled(pilot, "api 2 ")
        assert app.monitor.run.pid == 2
        await pilot.press("m", "escape")
        assert app.screen is app.monitor


async def test_a_death_is_in_the_list_of_events_and_enter_goes_to_the_last_sample(home, monitor):
    home.run("api", 1, count=60)
    app = monitor(zone=timezone.utc)
    async with app.run_test(size=LARGE) as pilot:
        await settled(pilot, "Died")
        await settled(pilot, "cause not known, peak")  # it is shown after the charts
        await pilot.press("m")
        text = await settled(pilot, "2 events")
        assert "Fri 15 Jan 08:00:59 UTC  Died      cause not known" in text
        assert "    RSS 73.7 MiB, peak 73.7 MiB" in text
        assert "    no stop event: killed, crashed or power lost" in text
        await pilot.press("end", "enter")
        await settled(pilot, "CURSOR")
        assert app.monitor.view.cursor == 1_800_000_059_000
