"""Reads the screen of a Textual application with a Pilot, and waits for its content.

It imports only the standard library, but only tests with Textual have a Pilot.
"""

import asyncio
import time


async def wait_until_async(condition, within_s=60, *, pause=asyncio.sleep, describe=None):
    """Return the first true value of `condition()`; `pause(seconds)` lets other tasks run."""
    end = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < end, describe() if describe else f"not within {within_s} s"
        await pause(0.05)
    return found


def text_of(app):
    """Return the screen as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


async def settled(pilot, found, within_s=30):
    """Wait until the screen contains `found` (a text, or a predicate of it); return its text."""
    matches = found if callable(found) else lambda text: found in text
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        await pilot.pause(0.05)
        if matches(text := text_of(pilot.app)):
            return text
    raise AssertionError(f"not on the screen: {found}\n{text_of(pilot.app)}")


async def until_unchanged(pilot, look, within_s=20):
    """Wait until `look()` returns the same true value seven times in a row."""
    deadline = time.monotonic() + within_s
    same, before = 0, None
    while same < 6:
        assert time.monotonic() < deadline, f"still changes after {within_s} s"
        await pilot.pause(0.05)
        now = look()
        same = same + 1 if now and now == before else 0
        before = now
