"""Runs of one cgroup: known by what they read at one time, and by where they ran."""

from dataclasses import replace

import pytest

from pprofplus_tui.model.sharing import Charge, sharers

MIB = 1 << 20
MINE = Charge("boot host", 1024 * MIB, 973 * MIB, 1_800_000_000_000)


def test_runs_that_read_nearly_the_same_at_nearly_the_same_time_share_a_cgroup():
    others = [replace(MINE, used_bytes=970 * MIB, t_ms=MINE.t_ms - 900), MINE]
    assert sharers(MINE, others) == 3


@pytest.mark.parametrize(
    "other",
    [
        replace(MINE, used_bytes=400 * MIB),
        replace(MINE, limit_bytes=512 * MIB),
        replace(MINE, machine="boot other-host"),
        replace(MINE, t_ms=MINE.t_ms - 60_000),
    ],
)
def test_another_use_limit_host_or_time_is_no_sign_of_it(other):
    assert sharers(MINE, [other]) == 1


def test_without_a_machine_nothing_is_known():
    lost = replace(MINE, machine="")
    assert sharers(lost, [lost]) is None
