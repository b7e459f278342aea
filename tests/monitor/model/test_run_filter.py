"""The list of runs: the filter by typed words, the orders, and the marked runs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pprofplus_tui.model.run_filter import (
    AGE,
    GROWTH,
    MAX_MARKED,
    NAME,
    NEWEST,
    ORDERS,
    RSS,
    Arranger,
    RunFilter,
    matches,
)
from pprofplus_tui.model.runs import DIED, EXITED, LIVE, STATES, Run, find, ordered
from pprofplus_tui.model.verdict import GROWING, SAW_TOOTH, TOO_LITTLE, Verdict


def run(service="api", pid=1, state=LIVE, rss=None, growth=None, lasted=10, pinned=False):  # noqa: FBT002, PLR0913, PLR0917 - a row of a table
    return Run(
        f"/{service}/{pid}", service, pid, state, 1000, 1000 + lasted, rss,
        pinned=pinned, growth=None if growth is None else Verdict(GROWING, growth),
    )  # fmt: skip


RUNS = ordered(
    [
        run("api", 4711),
        run("api", 4712, DIED),
        run("api2", 99, EXITED, pinned=True),
        run("worker", 120),
    ]
)


def pids(runs):
    return [one.pid for one in runs]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [4711, 4712, 99, 120]),
        ("work", [120]),
        ("API", [4711, 4712, 99]),
        ("471", [4711, 4712]),
        ("died", [4712]),
        ("die 47", [4712]),
        ("running", [4711, 120]),
        ("ended", [4712, 99]),
        ("pinned", [99]),
        ("api nothing", []),
        ("  api   live ", [4711]),
    ],
)
def test_all_words_must_be_in_service_pid_or_state(text, found):
    assert pids(Arranger().listed(RUNS, RunFilter(text=text), 0.0)) == found


def test_the_list_can_be_limited_to_marked_runs():
    listing = RunFilter(text="marked", marked=("/worker/120",))
    assert pids(Arranger().listed(RUNS, listing, 0.0)) == [120]


def test_erasing_reverts_typing():
    listing = RunFilter().opened()
    for char in "ap x":
        listing = listing.typed(char)
    assert (listing.text, listing.typing) == ("ap x", True)
    assert listing.erased().text == "ap "
    assert listing.erased(word=True).text == "ap"
    assert listing.erased(word=True).erased(word=True).text == ""
    assert listing.cleared() == RunFilter()
    assert listing.done() == RunFilter(text="ap x")


def test_the_orders_are_cyclic():
    listing = RunFilter()
    seen = []
    for _ in ORDERS:
        seen.append(listing.order)
        listing = listing.cycled()
    assert tuple(seen) == ORDERS
    assert listing.order == NEWEST


def test_at_most_as_many_runs_are_marked_as_there_are_colours():
    listing = RunFilter()
    for number in range(MAX_MARKED + 2):
        listing = listing.toggled(f"/{number}")
    assert len(listing.marked) == MAX_MARKED
    assert listing.letter("/0") == "A"
    assert listing.toggled("/0").letter("/1") == "A"
    assert listing.letter("/99") == ""


@pytest.mark.parametrize(
    ("order", "first"),
    [(RSS, "b"), (GROWTH, "c"), (AGE, "a"), (NAME, "a"), (NEWEST, "a")],
)
def test_the_service_with_the_first_run_is_first(order, first):
    runs = ordered(
        [
            run("a", 1, rss=5, growth=1.0, lasted=99),
            run("b", 2, rss=9, growth=2.0),
            run("c", 3, rss=7, growth=3.0),
            run("c", 4, DIED, rss=99, growth=99.0, lasted=999),
        ]
    )
    assert Arranger().arranged(runs, order, 0.0)[0].service == first


def test_an_order_by_a_figure_is_kept_for_some_seconds():
    arranger = Arranger()
    one, other = run("api", 1, rss=5), run("api", 2, rss=4)
    assert pids(arranger.arranged(ordered([one, other]), RSS, 100.0)) == [1, 2]
    grown = ordered([one, run("api", 2, rss=50)])
    assert pids(arranger.arranged(grown, RSS, 101.0)) == [1, 2]
    assert pids(arranger.arranged(grown, RSS, 120.0)) == [2, 1]


def test_a_run_without_a_figure_is_last():
    runs = ordered([run("api", 1, rss=None), run("api", 2, rss=0)])
    assert pids(Arranger().arranged(runs, RSS, 0.0)) == [2, 1]


def test_by_growth_live_runs_are_first_and_those_without_a_verdict_last_of_them():
    leak, child, saw = run("api", 1, growth=2.0), run("api", 2), run("api", 3)
    runs = [
        leak,
        replace(child, growth=Verdict(TOO_LITTLE)),
        replace(saw, growth=Verdict(SAW_TOOTH, change=500.0)),
        run("api", 4, DIED, growth=99.0),
        run("api", 5),
    ]
    assert pids(Arranger().arranged(ordered(runs), GROWTH, 0.0)) == [1, 3, 5, 2, 4]


def test_a_late_verdict_moves_its_run_immediately():
    arranger = Arranger()
    one, other = run("api", 1, growth=1.0), run("api", 2)
    assert pids(arranger.arranged(ordered([one, other]), GROWTH, 100.0)) == [1, 2]
    judged = replace(other, growth=Verdict(GROWING, 5.0))
    assert pids(arranger.arranged(ordered([one, judged]), GROWTH, 100.5)) == [2, 1]


some_runs = st.lists(
    st.builds(
        run,
        st.sampled_from(["a", "b", "c"]),
        st.integers(1, 1 << 22),
        st.sampled_from(STATES),
        st.none() | st.integers(0, 1 << 50),
        st.none() | st.floats(-1e12, 1e12),
    ),
    max_size=20,
    unique_by=lambda one: one.id,
).map(ordered)


@given(some_runs, st.sampled_from(ORDERS))
def test_every_order_has_every_run_once_and_services_in_one_piece(runs, order):
    found = Arranger().arranged(runs, order, 0.0)
    assert sorted(one.id for one in found) == sorted(one.id for one in runs)
    services = [one.service for one in found]
    starts = [i for i, name in enumerate(services) if i == 0 or services[i - 1] != name]
    assert len(starts) == len(set(services))


def straightforward(runs, order, words):
    """Return the list computed run by run, as a reference for the orders and the filter."""

    def figure(one):
        if order == RSS:
            return one.rss_bytes if one.rss_bytes is not None else -1
        if order == GROWTH:
            grows = one.running and one.growth is not None
            return one.growth.order if grows else float("-inf")
        return one.end_ms - one.begin_ms

    found = list(runs)
    if order == NAME:
        found.sort(key=lambda one: (one.service, one.pid, -one.begin_ms))
    elif order != NEWEST:
        found.sort(key=lambda one: (not one.running, -figure(one)))
        services = list(dict.fromkeys(one.service for one in found))
        best = {}
        for one in found:
            rank = (not one.running, -figure(one), one.service)
            best[one.service] = min(best.get(one.service, rank), rank)
        services.sort(key=lambda name: best[name])
        found.sort(key=lambda one: services.index(one.service))
    return [one for one in found if matches(one, words)]


@given(some_runs, st.sampled_from(ORDERS), st.sampled_from(["", "a", "1", "died", "b 2", "run 1"]))
def test_a_list_has_the_runs_that_match_one_by_one(runs, order, text):
    found = Arranger().listed(runs, RunFilter(order=order, text=text), 0.0)
    assert list(found) == straightforward(runs, order, text.split())


@given(some_runs, st.data())
def test_new_figures_are_shown_in_the_old_places(runs, data):
    order, text = data.draw(st.sampled_from([RSS, AGE])), data.draw(st.sampled_from(["", "a"]))
    arranger, listing = Arranger(), RunFilter(order=order, text=text)
    before = arranger.listed(runs, listing, 0.0)
    assert arranger.listed(runs, listing, 1.0) is before
    newer = [replace(one, rss_bytes=5, end_ms=one.end_ms + 1000) for one in runs[::2]]
    found = arranger.listed(runs.changed(newer), listing, 2.0)
    assert [one.id for one in found] == [one.id for one in before]
    by_id = {one.id: one for one in (*runs, *newer)}
    assert list(found) == [by_id[one.id] for one in before]
    assert found.layout is before.layout


@given(some_runs, some_runs, st.data())
def test_changed_runs_are_those_that_sorting_again_would_give(runs, new, data):
    paths = [one.id for one in runs]
    gone = data.draw(st.sets(st.sampled_from(paths))) if paths else set()
    gone -= {one.id for one in new}
    left = {one.id: one for one in runs if one.id not in gone}
    expected = ordered({**left, **{one.id: one for one in new}}.values())
    found = runs.changed(new, gone)
    assert found == expected
    assert found.places == expected.places
    assert found.groups == expected.groups
    for at, one in enumerate(found):
        assert found.groups[found.group_at(at)].service == one.service
        assert find(found, one.id) is one


def test_a_hundred_thousand_runs_are_put_in_order_once_while_only_figures_change(monkeypatch):
    sorts = []
    monkeypatch.setattr(Arranger, "_by_figures", counting(Arranger._by_figures, sorts))
    runs = ordered(run(f"job-{i % 7}", i, EXITED, rss=i) for i in range(100_000))
    arranger, listing = Arranger(), RunFilter(order=RSS)
    for second in range(5):
        runs = runs.changed([replace(runs[7], rss_bytes=second)])
        arranger.listed(runs, listing, float(second))
    assert len(sorts) == 1


def counting(real, calls):
    return lambda *args: calls.append(args) or real(*args)
