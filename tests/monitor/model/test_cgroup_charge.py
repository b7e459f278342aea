"""Runs of one cgroup: identified by equal readings at one time, and by their machine."""

from dataclasses import replace

import numpy as np
import pytest

from kit.series import points_of
from kit.units import MIB
from pprofplus_tui.model.cgroup_charge import Charge, sharers

NOW = 1_800_000_000_000
MINE = Charge("boot host", 1024 * MIB, 973 * MIB, NOW)


def read(*mib):
    """Return the readings of a run, one sample per second, the last one now."""
    values = np.array(mib, float) * MIB
    t_ms = NOW - 1000 * np.arange(len(mib) - 1, -1, -1)
    return points_of(values, t_ms)


STILL = read(*[973] * 15)


def test_runs_with_equal_readings_at_nearly_one_time_share_a_cgroup():
    others = [replace(MINE, used_bytes=972 * MIB, t_ms=NOW - 900), MINE]
    assert sharers(MINE, STILL, others) == 3


def test_in_a_cgroup_whose_use_swings_a_run_is_compared_at_its_own_time():
    swings = read(*[700, 750, 800, 850, 900, 950, 700, 750, 800, 850, 900, 950, 960, 970, 973])
    then = replace(MINE, used_bytes=705 * MIB, t_ms=NOW - 8000)
    now = replace(MINE, used_bytes=705 * MIB, t_ms=NOW)
    assert sharers(MINE, swings, [then]) == 2
    assert sharers(MINE, swings, [now]) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(MINE, used_bytes=400 * MIB),
        replace(MINE, limit_bytes=512 * MIB),
        replace(MINE, machine="boot other-host"),
        replace(MINE, t_ms=NOW - 60_000),
    ],
)
def test_another_use_limit_host_or_time_is_no_evidence(other):
    assert sharers(MINE, STILL, [other]) == 1


def test_without_a_machine_there_is_no_answer():
    lost = replace(MINE, machine="")
    assert sharers(lost, STILL, [lost]) is None
