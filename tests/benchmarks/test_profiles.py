"""The parts of the benchmark of profiles: readers, truth, costs, and that each program runs."""

import sys
import time

import pytest

import held_out_programs
import profile_programs
from kept_results import KeptResults
from known_shares import Program
from pprofplus.profiles.pprof_encoder import ProfileBuilder
from profile_costs import Slice, lost_percent
from profile_readers import by_calls, by_function, read_collapsed, read_pprof, shares
from profile_stack_costs import lost_in_bursts_ms
from profile_truth import Found, ticks, times_between, true_shares, true_weights
from program_process import load, running

_MODULES = (profile_programs, held_out_programs)
_ALL = [(module, program) for module in _MODULES for program in module.PROGRAMS]
_PROGRAM = Program("p", "coarse", lambda _: None, ("work", "rest", "idle"), idle=("idle",))


def test_a_profile_is_read_as_it_was_encoded(tmp_path):
    builder = ProfileBuilder((("samples", "count"), ("wall", "nanoseconds")))
    stack = [builder.location("m.C.work", "m.py", 3, 1), builder.location("m.main", "m.py", 9, 8)]
    builder.add(stack, (2, 1 << 40), [("state", "lock"), ("thread_id", 300)])
    builder.comments += ["one", "two"]
    builder.duration_ns = 3_000_000_000
    (tmp_path / "p.pb.gz").write_bytes(builder.encode())
    found = read_pprof(tmp_path / "p.pb.gz")
    assert found.types == ("samples", "wall")
    labels = {"state": "lock", "thread_id": 300}
    assert found.samples == ((("m.C.work", "m.main"), (2, 1 << 40), labels),)
    assert found.comments == ("one", "two")
    assert found.duration_s == 3
    assert found.total("wall") == 1 << 40


def test_stacks_of_py_spy_are_read_leaf_first():
    text = "main (a b.py:9);work (m.py:3) 12\n<module> (m.py:1) 1\n"
    assert list(read_collapsed(text)) == [(["work", "main"], 12), (["<module>"], 1)]


def test_stacks_of_austin_are_read_without_process_and_thread():
    text = "# mode: wall\n\nP12;T0:34;/a/m.py:<module>:5;/a/m.py:work:4 10164\nP12;T0:35 7\n"
    assert list(read_collapsed(text)) == [(["work", "<module>"], 10164), ([], 7)]


def test_a_stack_counts_for_its_innermost_listed_function():
    stacks = [(["spin", "m.work", "m.rest"], 2), (["m.f.<locals>.rest"], 1), (["other"], 4)]
    assert by_function(stacks, _PROGRAM) == {"work": 2, "rest": 1, "idle": 0}


def test_stacks_of_the_profiler_and_of_the_benchmark_count_for_nothing():
    program = Program("p", "coarse", lambda _: None, ("rest",), rest="rest")
    stacks = [
        (["wait", "pprofplus.profiles.m.take"], 1),
        (["readline", "serve_commands"], 1),
        (["[native]"], 1),
        (["select", "run_forever"], 5),
    ]
    assert by_function(stacks, program) == {"rest": 5}


def test_shares_are_of_all_functions_that_are_not_idle():
    assert shares({"work": 1, "rest": 3, "idle": 90}, _PROGRAM) == {"work": 25, "rest": 75}
    assert shares({"work": 0, "rest": 0, "idle": 90}, _PROGRAM) is None


def test_what_calls_leave_is_the_rest():
    program = Program("p", "coarse", lambda _: None, ("work", "loop"), rest="loop")
    assert by_calls({"work": 2.0, "loop": 9.0}, 5.0, program) == {"work": 2.0, "loop": 3.0}


def _snapshot(delay_s=0.0, **times):
    return {
        "times": {name: [1e9 * one for one in values] for name, values in times.items()},
        "run_delay_ns": 1e9 * delay_s,
    }


def test_waits_are_the_time_that_is_not_cpu_time():
    program = Program("p", "locks", lambda _: None, ("work", "nap"), other_waits=("nap",))
    times = times_between(
        _snapshot(work=[1, 1, 0, 0]),
        _snapshot(work=[5, 2, 1, 3], nap=[4, 1, 0.5, 9]),
        program,
    )
    weights = true_weights(times, program)
    assert weights["wall"] == {"work": 4, "nap": 4}
    assert weights["cpu"] == {"work": 1, "nap": 1}
    assert weights["block"] == {"work": 3, "nap": 3}
    assert weights["lock"] == {"work": 3, "nap": 0.5}


@pytest.mark.parametrize(("delay_s", "judged"), [(0.2, True), (2.0, False)])
def test_waits_are_not_judged_if_they_may_be_waits_for_a_core(delay_s, judged):
    program = Program("p", "locks", lambda _: None, ("work",))
    times = times_between(_snapshot(), _snapshot(delay_s, work=[10, 5, 0, 1]), program)
    assert ("block" in true_shares([times], program)) == judged


def test_an_error_is_the_difference_in_points():
    found = Found(truth={"cpu": {"a": 30.0, "b": 70.0}}, ours={"cpu": {"a": 40.0, "b": 60.0}})
    assert found.errors("cpu") == [10, 10]
    assert found.errors("lock") == []


def test_ticks_are_read_from_the_comments():
    assert ticks(["rate: 100 Hz", "ticks: 298 taken of 307 requested (97.1%)"]) == (307, 298)
    assert ticks(["rate: 100 Hz"]) == (0, 0)


def test_a_slice_is_compared_with_its_neighbours_without_a_profiler():
    slices = [
        Slice("without", 0, 1, 100, 1.0),
        Slice("ours", 2, 3, 90, 1.0),
        Slice("without", 4, 6, 160, 2.0),
    ]
    assert lost_percent(slices) == {"ours": [pytest.approx(0)], "without": [pytest.approx(20)]}


def test_what_a_burst_costs_is_found_in_the_work_around_it():
    # a unit of work each millisecond, but none in 10 ms of the burst
    ends_ms = [at for at in range(1000) if not 500 <= at < 510]
    ticks = [(300, True), (500, False), (520, False), (540, False)]
    assert lost_in_bursts_ms(ends_ms, ticks) == [pytest.approx(10)]


def test_a_burst_at_the_end_of_the_time_is_left_out():
    assert lost_in_bursts_ms(range(1000), [(980, False)]) == []


def test_a_kept_result_is_not_measured_again(tmp_path):
    assert KeptResults(tmp_path).result("a b, c", lambda: {"n": 1}) == {"n": 1}
    assert KeptResults(tmp_path).result("a b, c", lambda: {"n": 2}) == {"n": 1}


def test_no_part_begins_when_the_time_is_over(tmp_path):
    kept = KeptResults(tmp_path, -1.0)
    assert kept.result("a", dict) is None
    assert kept.left_out == ["a"]


def test_names_of_listed_functions_are_unique_within_a_module():
    for module in _MODULES:
        names = [name for program in module.PROGRAMS for name in program.functions]
        assert len(set(names)) == len(names)


def test_no_program_is_in_both_sets():
    names = [program.name for _, program in _ALL]
    assert len(set(names)) == len(names)
    functions = [{n for one in module.PROGRAMS for n in one.functions} for module in _MODULES]
    assert not functions[0] & functions[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "program"), _ALL, ids=[program.name.replace(" ", "-") for _, program in _ALL]
)
def test_a_program_accounts_for_each_of_its_functions(module, program):
    if program.needs:
        pytest.importorskip(program.needs)
    with running(sys.executable, module.__name__, program.name) as child:
        if program.load:
            with load(child, *program.load) as latencies:
                found = _times_of_all(child, program)
            assert latencies
        else:
            found = _times_of_all(child, program)
    assert set(found) == set(program.functions)
    assert all(wall >= 0 and cpu >= 0 for wall, cpu, _, _ in found.values())
    assert all(found[name][1] > 0 for name in program.functions)


def _times_of_all(child, program):
    until = time.monotonic() + 60
    found = {}
    while set(found) != set(program.functions) and time.monotonic() < until:
        time.sleep(0.2)
        found = {
            name: values for name, values in child.ask("snapshot")["times"].items() if values[1]
        }
    return found
