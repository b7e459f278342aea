"""The corpus of damaged files of stacks: what is intact is read, and the rest is one line."""

import pytest

from kit.scripts import DAMAGED, load_script
from pprofplus.log.log_directory import stack_file_name
from pprofplus_tui.sources.local.stack_reader import StackReader

make = load_script(DAMAGED / "make_stacks.py")
CASES = make.cases()
EVER = (0, 1 << 52)
CLEAN = ("intact", "no index", "zeros after", "empty", "one byte")


@pytest.mark.parametrize("case", CASES)
def test_the_intact_ticks_of_a_damaged_file_are_read(tmp_path, case):
    data, least = CASES[case]
    (tmp_path / stack_file_name(1, 1)).write_bytes(data)
    window = StackReader(str(tmp_path)).window(*EVER)
    assert window.total_ticks + window.total_biased_ticks >= least
    assert len(window.problems) <= 1
    assert all("\n" not in line for line in window.problems)
    assert (window.parent_of < range(len(window.parent_of))).all()


@pytest.mark.parametrize("case", CASES)
def test_a_damaged_file_hides_no_other_file(tmp_path, case):
    data, least = CASES[case]
    (tmp_path / stack_file_name(1, 1)).write_bytes(data)
    (tmp_path / stack_file_name(1, 2)).write_bytes(make.GOLDEN.read_bytes())
    window = StackReader(str(tmp_path)).window(*EVER)
    assert window.total_ticks + window.total_biased_ticks >= least + 160


def test_intact_files_have_no_problem(tmp_path):
    for number, case in enumerate(CLEAN, 1):
        (tmp_path / stack_file_name(1, number)).write_bytes(CASES[case][0])
    assert StackReader(str(tmp_path)).window(*EVER).problems == ()
