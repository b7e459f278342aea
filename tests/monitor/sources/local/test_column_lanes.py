"""Metrics share lanes, but never two metrics of one schema."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pprofplus_tui.sources.local.column_lanes import assign_lanes

tables = st.lists(st.lists(st.integers(0, 30), unique=True, max_size=10), max_size=20)


@given(tables)
def test_no_two_metrics_of_a_schema_have_the_same_lane(tables):
    names: list[int] = []
    lanes, width = np.zeros(0, np.int64), 0
    seen: list[list[int]] = []
    for table in tables:
        new = [name for name in table if name not in names]
        names += new
        columns = [names.index(name) for name in table]
        lanes, width = assign_lanes(lanes, np.array(columns, np.int64), len(new), width)
        seen.append(columns)
        assert len(lanes) == len(names)
        for one in seen:
            mine = lanes[one].tolist()
            assert len(set(mine)) == len(mine)
            assert all(0 <= lane < width for lane in mine)


def test_a_free_lane_is_reused():
    lanes, width = assign_lanes(np.zeros(0, np.int64), np.array([0, 1]), 2, 0)
    assert (lanes.tolist(), width) == ([0, 1], 2)
    lanes, width = assign_lanes(lanes, np.array([0, 2]), 1, width)
    assert (lanes.tolist(), width) == ([0, 1, 1], 2)


def test_a_schema_separates_metrics_that_shared_a_lane():
    lanes, width = assign_lanes(np.array([0, 1, 1]), np.array([1, 2]), 0, 2)
    assert (lanes.tolist(), width) == ([0, 1, 2], 3)
