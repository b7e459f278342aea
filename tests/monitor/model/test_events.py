"""Kinds of events: each has its own letter, and is shown as a word and a figure."""

from kit.fake_runs import fake_run
from pprofplus.log.format import EVENT_KINDS
from pprofplus_tui.model.events import (
    CLOCK,
    DEATH,
    KINDS,
    NEXT,
    UNWATCHED,
    RunEvent,
    most_important,
    next_run,
)

NOW_MS = 1_800_000_000_000


def test_every_event_kind_of_the_format_has_an_entry():
    assert set(KINDS) == {*EVENT_KINDS.values(), CLOCK, NEXT, DEATH, UNWATCHED}


def test_no_two_kinds_share_a_letter():
    letters = [kind.word[0] for kind in KINDS.values()]
    assert len(set(letters)) == len(letters)
    assert all(letter.isupper() and letter.isascii() for letter in letters)


def test_each_kind_is_shown_as_a_word_and_its_figure():
    shown = {
        ("lost", 12): "Lost 12",
        ("fork", 4000): "Fork of 4000",
        ("interval", 500_000): "Interval 0.5s",
        (CLOCK, 3_600_000): "Clock +1h",
        (CLOCK, -90_000): "Clock -1m30s",
        (NEXT, 4712): "Next 4712",
        ("pause", 0): "Pause",
        ("17", 0): "?",
    }
    assert {key: RunEvent(0, *key).short for key in shown} == shown


def test_of_too_many_events_marks_and_losses_are_kept():
    found = [RunEvent(i, "interval", 1) for i in range(100)] + [RunEvent(3, "mark")]
    kept = most_important(found, 10)
    assert [event.t_ms for event in kept] == [3, *range(91, 100)]
    assert kept[0].kind == "mark"


def test_the_next_run_is_the_first_of_the_service_that_began_after_the_end():
    def run(pid, begin, end, state="died", service="api"):
        return fake_run(service, pid, state, begin_ms=NOW_MS + begin, end_ms=NOW_MS + end)

    ended = run(1, 0, 100)
    others = (
        ended,
        run(2, 50, 400),
        run(4, 300, 400),
        run(3, 120, 400),
        run(9, 110, 1, "died", "b"),
    )
    found = next_run(ended, others)
    assert (found.t_ms, found.value, found.run) == (NOW_MS + 120, 3, "/api/3")
    assert next_run(run(1, 0, 100, "live"), others) is None
    assert next_run(others[2], others) is None
