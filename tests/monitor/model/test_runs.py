from kit.fake_runs import fake_run
from pprofplus_tui.model.runs import (
    counted,
    find,
    indexed,
    neighbour,
    opening,
    ordered,
    sibling,
)


def run(service, pid, state="live", begin_ms=0, end_ms=10):
    return fake_run(service, pid, state, begin_ms=begin_ms, end_ms=end_ms)


RUNS = ordered(
    [
        run("api", 1, "died", begin_ms=5),
        run("api", 2, begin_ms=1),
        run("api", 3, "stalled", begin_ms=3),
        run("api2", 4),
        run("worker", 5, "exited"),
    ]
)


def test_live_runs_are_before_ended_ones_and_newest_first():
    assert [r.pid for r in RUNS] == [3, 2, 1, 4, 5]


def test_services_with_a_common_prefix_are_not_grouped():
    assert [(group.service, group.end - group.begin) for group in indexed(RUNS).groups] == [
        ("api", 3),
        ("api2", 1),
        ("worker", 1),
    ]


def test_stepping_down_the_list_stops_at_its_ends():
    assert neighbour(RUNS, RUNS[0].id, -1) == RUNS[0]
    assert neighbour(RUNS, RUNS[0].id, 1) == RUNS[1]
    assert neighbour(RUNS, RUNS[-1].id, 1) == RUNS[-1]
    assert neighbour((), None, 1) is None


def test_if_the_selected_run_is_removed_the_first_run_is_selected():
    assert neighbour(RUNS, "/gone", 1) == RUNS[0]


def test_sibling_keys_cycle_within_a_service():
    pids, path = [], RUNS[0].id
    for _ in range(4):
        there = sibling(RUNS, path, 1)
        pids.append(there.pid)
        path = there.id
    assert pids == [2, 1, 3, 2]


def test_it_opens_on_the_newest_live_run():
    assert opening(RUNS).pid == 3


def test_without_live_runs_it_opens_on_the_run_that_ended_last():
    ended = (run("a", 1, "died", 0, 50), run("b", 2, "exited", 20, 40))
    assert opening(ended).pid == 1
    assert opening(()) is None


def test_counts_are_of_services_live_runs_and_ended_runs():
    assert counted(RUNS) == (3, 3, 2)


def test_a_run_is_found_by_its_path():
    assert find(RUNS, "/api2/4").pid == 4
    assert find(RUNS, None) is None
