"""The cause of a run's end: which evidence leads to which cause and certainty."""

import signal
from dataclasses import replace

import pytest

from kit.units import GIB
from pprofplus_tui.model.death import (
    CERTAINTIES,
    DEATHS,
    SEEN_FROM_OUTSIDE,
    WATCH_ENDED,
    Cause,
    Death,
    Evidence,
    KernelRecord,
    OomKills,
    ProcessOutcome,
    cause_of,
    signal_name,
)
from pprofplus_tui.model.death_causes import NO_STOP, decide
from pprofplus_tui.model.events import DEATH, death_event
from pprofplus_tui.model.explanations import death_sentences

FULL = {"used_bytes": int(0.97 * GIB), "limit_bytes": GIB}
ROOMY = {"used_bytes": GIB // 2, "limit_bytes": GIB}
OOM_RECORD = KernelRecord(oom=True, t_ms=1, text="Killed process 7 (python)")
FAULT = KernelRecord(oom=False, t_ms=1, text="python[7]: segfault at 0 ip 1")
BY = "pprofplus run"

FACTS = {
    "nothing at all": (Evidence(), ("unknown", "unknown", "cause not known")),
    "a stop event": (Evidence(stop=""), ("exit", "known", "exited")),
    "a stop event by SIGTERM": (
        Evidence(stop="SIGTERM"),
        ("terminated", "known", "exited by SIGTERM"),
    ),
    "the kernel's record": (Evidence(kernel=OOM_RECORD), ("oom", "known", "out of memory")),
    "the kernel's record, of a watched process": (
        Evidence(stop=SEEN_FROM_OUTSIDE, kernel=OOM_RECORD),
        ("oom", "known", "out of memory"),
    ),
    "the kernel's record of a fault": (Evidence(kernel=FAULT), ("crash", "known", "segfault")),
    "systemd's oom-kill": (
        Evidence(outcome=ProcessOutcome("systemd", signal=9, oom_killed=True)),
        ("oom", "known", "out of memory"),
    ),
    "SIGKILL": (Evidence(outcome=ProcessOutcome(BY, signal=9)), ("killed", "known", "SIGKILL")),
    "SIGKILL with room": (
        Evidence(outcome=ProcessOutcome(BY, signal=9), **ROOMY),
        ("killed", "known", "SIGKILL"),
    ),
    "SIGKILL near the limit": (
        Evidence(outcome=ProcessOutcome(BY, signal=9), **FULL),
        ("oom", "probable", "out of memory"),
    ),
    "SIGKILL, and the cgroup counted": (
        Evidence(outcome=ProcessOutcome(BY, signal=9), kills=OomKills(now=1)),
        ("oom", "probable", "out of memory"),
    ),
    "SIGKILL near the limit, not by the OOM killer": (
        Evidence(outcome=ProcessOutcome(BY, signal=9, oom_killed=False), **FULL),
        ("killed", "known", "SIGKILL"),
    ),
    "SIGSEGV near the limit": (
        Evidence(outcome=ProcessOutcome(BY, signal=11), **FULL),
        ("crash", "known", "SIGSEGV"),
    ),
    "SIGTERM without a stop event": (
        Evidence(outcome=ProcessOutcome(BY, signal=15)),
        ("terminated", "known", "ended by SIGTERM"),
    ),
    "SIGTERM while the cgroup counted another's kill": (
        Evidence(outcome=ProcessOutcome(BY, signal=15), kills=OomKills(siblings=1)),
        ("terminated", "known", "ended by SIGTERM"),
    ),
    "an exit code": (
        Evidence(outcome=ProcessOutcome(BY, exit_code=3)),
        ("failed", "known", "exit code 3"),
    ),
    "an exit code after a stop event": (
        Evidence(stop="", outcome=ProcessOutcome(BY, exit_code=3)),
        ("failed", "known", "exit code 3"),
    ),
    "a shell's code for SIGKILL": (
        Evidence(outcome=ProcessOutcome(BY, exit_code=137)),
        ("failed", "known", "exit code 137 (SIGKILL)"),
    ),
    "exit code 0 without a stop event": (
        Evidence(outcome=ProcessOutcome(BY, exit_code=0)),
        ("exit", "known", "exited"),
    ),
    "other runs counted a kill": (
        Evidence(kills=OomKills(siblings=1)),
        ("oom", "probable", "out of memory"),
    ),
    "its own last samples counted a kill": (
        Evidence(kills=OomKills(own=2)),
        ("oom", "probable", "out of memory"),
    ),
    "the cgroup has counted a kill since": (
        Evidence(kills=OomKills(now=1)),
        ("oom", "probable", "out of memory"),
    ),
    "a kill of another, and a stop event": (
        Evidence(stop="", kills=OomKills(siblings=1)),
        ("exit", "known", "exited"),
    ),
    "little room left": (Evidence(**FULL), ("oom", "probable", "out of memory")),
    "little room left, and a stop event": (Evidence(stop="", **FULL), ("exit", "known", "exited")),
    "room left": (Evidence(**ROOMY), ("unknown", "unknown", "cause not known")),
    "the machine started a minute later": (
        Evidence(last_ms=1_000_000, booted_ms=1_060_000),
        ("restart", "probable", "the machine restarted"),
    ),
    "the machine started days later": (
        Evidence(last_ms=1_000_000, booted_ms=500_000_000),
        ("restart", "unknown", "cause not known"),
    ),
    "the process still runs": (
        Evidence(still_runs=True),
        ("stopped", "known", "no longer recorded"),
    ),
    "it still runs, but a parent saw its end": (
        Evidence(still_runs=True, outcome=ProcessOutcome(BY, signal=9)),
        ("killed", "known", "SIGKILL"),
    ),
    "the watch ended": (
        Evidence(stop=WATCH_ENDED),
        ("unwatched", "known", "no longer watched"),
    ),
    "the watch ended, the process runs": (
        Evidence(stop=WATCH_ENDED, still_runs=True),
        ("unwatched", "known", "no longer watched"),
    ),
    "another run goes on": (
        Evidence(stop="goes on in another run, as uid 5", kernel=OOM_RECORD, still_runs=True),
        ("stopped", "known", "goes on in another run"),
    ),
    "the watch saw the end": (Evidence(stop=SEEN_FROM_OUTSIDE), ("exit", "unknown", "ended")),
    "the watch saw the end, near the limit": (
        Evidence(stop=SEEN_FROM_OUTSIDE, **FULL),
        ("oom", "probable", "out of memory"),
    ),
    "a parent has yet to wait: SIGKILL": (
        Evidence(wait_status=9),
        ("killed", "known", "SIGKILL"),
    ),
    "a parent has yet to wait: exit code": (
        Evidence(wait_status=4 << 8),
        ("failed", "known", "exit code 4"),
    ),
    "live when packed": (
        Evidence(packed=True, still_runs=True, **FULL),
        ("packed", "known", "live when packed"),
    ),
    "packed with its cause": (
        Evidence(packed_cause=Cause("oom", "probable", "out of memory", "as it was")),
        ("oom", "probable", "out of memory"),
    ),
}


@pytest.mark.parametrize("name", FACTS)
def test_the_cause_follows_from_the_evidence(name):
    evidence, wanted = FACTS[name]
    cause = decide(evidence)
    assert (cause.kind, cause.certainty, cause.short) == wanted


def test_without_evidence_the_reason_names_what_is_missing():
    assert decide(Evidence()).reason == NO_STOP
    reason = decide(Evidence(other_machine="db\x1b[31m1")).reason
    assert "recorded on db\\x1b[31m1" in reason


@pytest.mark.parametrize("name", FACTS)
def test_a_cause_is_a_death_unless_the_process_exited_normally_or_lives(name):
    cause = decide(FACTS[name][0])
    kinds = {"exit", "terminated", "unwatched", "stopped", "packed"}
    assert cause.is_death == (cause.kind not in kinds)
    assert (cause.kind in DEATHS) == cause.is_death
    assert cause.certainty in CERTAINTIES


@pytest.mark.parametrize("name", FACTS)
def test_a_cause_survives_json(name):
    cause = decide(FACTS[name][0])
    assert cause_of(cause.as_json()) == cause


@pytest.mark.parametrize(
    "found",
    [
        None,
        7,
        [],
        {},
        {"kind": "oom"},
        {"kind": "oom", "certainty": "sure", "short": "x", "reason": ""},
        {"kind": "murder", "certainty": "known", "short": "x", "reason": ""},
        {"kind": "oom", "certainty": "known", "short": 5, "reason": ""},
        {"kind": ["oom"], "certainty": "known", "short": "x", "reason": ""},
    ],
)
def test_an_invalid_cause_is_none(found):
    assert cause_of(found) is None


def test_texts_from_outside_cannot_reach_a_terminal():
    hostile = "\x1b]0;owned\x07\u202e" * 500
    causes = [
        decide(Evidence(outcome=ProcessOutcome(hostile, exit_code=1, text=hostile))),
        decide(Evidence(kernel=replace(FAULT, text=hostile))),
        decide(Evidence(stop=f"SIGTERM {hostile}")),
        cause_of({"kind": "oom", "certainty": "known", "short": hostile, "reason": hostile}),
    ]
    for cause in causes:
        assert cause.sentence.isprintable()
        assert len(cause.sentence) < 400


def test_the_certainty_is_in_the_words():
    assert Cause("oom", "probable", "out of memory").text == "probably out of memory"
    assert Cause("oom", "known", "out of memory").text == "out of memory"
    assert [Cause("oom", certain, "out of memory").brief for certain in CERTAINTIES] == [
        "OOM",
        "OOM?",
        "",
    ]


def test_a_death_has_the_memory_and_the_owner_of_the_limit():
    cause = Cause("oom", "known", "out of memory", "the kernel says so")
    death = Death(5, cause, GIB // 2, GIB, GIB * 3 // 4, GIB)
    figures = "RSS 512 MiB, peak 1 GiB, cgroup at 75 % of its limit, 1 GiB"
    assert death.details == f"out of memory\n{figures}\nthe kernel says so"
    (event,) = death_event(death)
    assert (event.t_ms, event.kind, event.short, event.text) == (
        5,
        DEATH,
        "Died OOM",
        death.details,
    )
    assert death_sentences(death) == (
        "How it ended: out of memory. Known: the kernel says so.",
        f"At its last sample: {figures}.",
    )


def test_a_list_shows_a_cause_if_one_is_known():
    listed = {name: decide(evidence).listed for name, (evidence, _) in FACTS.items()}
    assert listed["nothing at all"] is listed["a stop event"] is listed["live when packed"] is None
    assert listed["little room left"] == "probably out of memory"
    assert listed["an exit code"] == "exit code 3"


def test_a_normal_end_is_no_event():
    assert death_event(None) == ()
    assert death_event(Death(5, decide(Evidence(stop="")))) == ()
    assert death_event(Death(5, decide(Evidence(stop=WATCH_ENDED)))) == ()


def test_every_signal_has_a_name_and_other_numbers_too():
    assert [signal_name(one) for one in signal.Signals] == [one.name for one in signal.Signals]
    assert signal_name(99) == "signal 99"
