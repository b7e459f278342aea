"""Expressions of profile_when: what they mean, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.units import MIB
from pprofplus.metrics import CATALOGUE
from pprofplus.profiles.trigger_expression import TriggerExpression, parse_profile_when

GIB = 1 << 30


def holds(text, now_s=0.0, **values):
    return TriggerExpression(text).holds(values.get, now_s)


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("rss > 800MiB", 800 * MIB),
        ("rss > 800 MiB", 800 * MIB),
        ("rss>1.5gib", 3 * GIB // 2),
        ("rss > 2GB", 2_000_000_000),
        ("rss > 5kB", 5000),
        ("rss > 0.5 TiB", 512 * GIB),
        ("rss > 7B", 7),
    ],
)
def test_a_metric_in_bytes_is_compared_with_a_quantity_in_its_unit(text, least):
    assert not holds(text, rss=least)
    assert holds(text, rss=least + 1)


def test_counts_and_times_have_their_own_units():
    assert holds("threads >= 500", threads=500)
    assert not holds("heap_blocks > 5M", heap_blocks=5_000_000)
    assert holds("heap_blocks > 5k", heap_blocks=5_001)
    assert holds("gc_pause_max > 200ms", gc_pause_max=200_001)
    assert not holds("gc_pause_max < 1s", gc_pause_max=1_000_000)


def test_a_percentage_is_a_share_of_the_limit_and_never_holds_without_one():
    assert holds("cgroup_used > 80%", cgroup_used=81, cgroup_limit=100)
    assert not holds("cgroup_used > 80 %", cgroup_used=80, cgroup_limit=100)
    assert not holds("rss > 80%", rss=GIB)
    assert not holds("rss < 80%", rss=GIB)
    assert TriggerExpression("rss > 80%").metrics == {"rss", "cgroup_limit"}


def test_a_metric_without_a_value_holds_nothing():
    assert not holds("uss > 1B")
    assert not holds("uss < 1B")
    assert holds("uss > 1B or rss > 1B", rss=2)


def test_and_binds_tighter_than_or_and_parentheses_group():
    values = {"rss": 2, "threads": 1, "fds": 1}
    assert holds("rss > 1B or threads > 5 and fds > 5", **values)
    assert not holds("(rss > 1B or threads > 5) and fds > 5", **values)
    assert holds("((rss > 1B)) AND fds<=1", **values)


def growing(text, values, step_s):
    """Return at which of the values, one each `step_s`, the expression holds."""
    expression = TriggerExpression(text)
    return [
        i for i, rss in enumerate(values) if expression.holds({"rss": rss}.get, 1000.0 + i * step_s)
    ]


def test_growing_needs_six_parts_that_each_begin_higher():
    steady = [100 * MIB] * 100
    growth = [(100 + i) * MIB for i in range(100)]
    assert growing("growing", steady, 60) == []
    # 30 minutes are complete after the thirtieth value
    assert growing("growing", growth, 60)[0] == 30
    assert growing("growing over 1h", growth, 60)[0] == 60
    # not by a tenth
    assert growing("growing over 10min", growth, 60) == []


def test_growing_sees_through_a_saw_tooth_in_both_directions():
    teeth = [(300 + 50 * (i % 5)) * MIB for i in range(200)]
    assert growing("growing", teeth, 60) == []
    leaking = [tooth + 2 * i * MIB for i, tooth in enumerate(teeth)]
    assert growing("growing", leaking, 60)


def test_growing_begins_again_after_a_gap():
    expression = TriggerExpression("growing over 6min")
    values = [(100 + 10 * i) * MIB for i in range(7)]
    found = [expression.holds({"rss": rss}.get, 60.0 * i) for i, rss in enumerate(values)]
    assert found == [False] * 6 + [True]
    assert not expression.holds({"rss": 900 * MIB}.get, 60.0 * 20)


def test_a_fresh_expression_does_not_continue_the_history():
    expression = TriggerExpression("growing  over 6min")
    for i in range(7):
        expression.holds({"rss": (100 + 10 * i) * MIB}.get, 60.0 * i)
    assert expression.text == "growing over 6min"
    assert not expression.fresh().holds({"rss": 900 * MIB}.get, 60.0 * 7)


@pytest.mark.parametrize("text", ["never", " OFF ", "no", "0", "false"])
def test_never_switches_triggers_off(text):
    assert parse_profile_when(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("foo > 3", "'foo' is no metric"),
        ("RSS > 3MiB", "'RSS' is no metric"),
        ("rss > 800", "'800' is no quantity of rss: use MiB"),
        ("rss > 5 parsecs", "'5parsecs' is no quantity of rss"),
        ("threads > 5MiB", "'5MiB' is no quantity of threads: use no unit"),
        ("threads > 5%", "threads is not in bytes"),
        ("cpu_user > 3s", "cpu_user only grows"),
        ("rss >", "the end where there should be a quantity"),
        ("rss 5MiB", "'5MiB' where there should be >"),
        ("rss = 5MiB", "'= 5MiB' cannot be read"),
        ("rss > -5MiB", "'-5MiB' cannot be read"),
        ("rss > 1e9B", "'1e9B' cannot be read"),
        ("rss > 1MiB growing", "'and' or 'or' is missing before 'growing'"),
        ("rss > 1MiB and", "the end where there should be a metric"),
        ("(rss > 1MiB", "')' is missing before the end"),
        ("(" * 21 + "rss > 1MiB" + ")" * 21, "more than 20 parentheses"),
        ("growing over 3s", "use 6s to 7d"),
        ("growing over", "a time after 'growing over'"),
        ("__import__('os')", "cannot be read"),
        ("rss > 1MiB;", "';' cannot be read"),
        ("\x1b[31m", "'\\x1b[31m' cannot be read"),
        ("", "the end where there should be a metric"),
        ("rss > 1B or " * 60, "longer than 500"),
        (5, "profile_when of type int"),
    ],
)
def test_anything_else_is_refused_with_a_line_that_says_why(text, reason):
    with pytest.raises(ValueError, match="profile_when") as caught:
        parse_profile_when(text)
    line = str(caught.value)
    assert reason in line
    assert line.isprintable()


@pytest.mark.parametrize("metric", [m.name for m in CATALOGUE if m.kind == "gauge"])
def test_every_gauge_of_the_catalogue_can_be_compared(metric):
    unit = {"B": "MiB", "us": "ms"}.get(next(m.unit for m in CATALOGUE if m.name == metric), "")
    assert TriggerExpression(f"{metric} > 5{unit}").metrics == {metric}


@given(st.text(alphabet="rs>= 5MiB()andorgwi%.\x00é\n", max_size=60) | st.text(max_size=60))
def test_no_text_raises_anything_else_or_runs(text):
    try:
        found = parse_profile_when(text)
    except ValueError:
        return
    if found is not None:
        assert found.holds({"rss": 5}.get, 0.0) in {True, False}
