"""Pinning a run: one private file in its run directory, and no other change."""

import os
import stat

import pytest

from kit.environment import needs_root
from pprofplus_tui.sources.local.pins import PinError, is_pinned, set_pin, toggle_pin


@pytest.fixture
def path(write_run):
    writer = write_run()
    writer.add(0, [1, 1, 1])
    return writer.path


def test_a_pin_is_a_private_empty_file_named_pinned(path):
    set_pin(str(path), pinned=True)
    found = (path / "pinned").lstat()
    assert stat.S_ISREG(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_size == 0
    assert is_pinned(str(path))


def test_unpinning_removes_only_that_file(path):
    log = sorted(path.iterdir())
    set_pin(str(path), pinned=True)
    set_pin(str(path), pinned=False)
    assert sorted(path.iterdir()) == log


def test_pinning_twice_or_unpinning_twice_changes_nothing(path):
    set_pin(str(path), pinned=False)
    (path / "pinned").write_text("by hand")
    set_pin(str(path), pinned=True)
    assert (path / "pinned").read_text() == "by hand"


def test_a_toggle_returns_whether_the_run_is_now_pinned(path):
    assert [toggle_pin(str(path)) for _ in range(3)] == [True, False, True]


def test_a_link_with_the_name_of_the_pin_is_neither_followed_nor_removed(path, tmp_path):
    target = tmp_path / "precious"
    target.write_text("precious")
    (path / "pinned").symlink_to(target)
    for pinned in (True, False):
        with pytest.raises(PinError, match="not a regular file"):
            set_pin(str(path), pinned=pinned)
    assert target.read_text() == "precious"
    assert (path / "pinned").is_symlink()


@pytest.mark.parametrize("step", ["run", "service"])
def test_no_link_in_the_last_parts_of_the_path_is_followed(path, tmp_path, step):
    linked = path if step == "run" else path.parent
    elsewhere = tmp_path / "elsewhere"
    linked.rename(elsewhere)
    linked.symlink_to(elsewhere)
    with pytest.raises(PinError):
        set_pin(str(path), pinned=True)
    assert not list(elsewhere.rglob("pinned"))


def test_a_log_directory_reached_through_a_link_is_accepted(path, tmp_path):
    home = tmp_path / "link"
    home.symlink_to(path.parent.parent)
    set_pin(f"{home}/{path.parent.name}/{path.name}", pinned=True)
    assert is_pinned(str(path))


@needs_root("only root can give a directory away")
def test_a_run_of_another_user_is_refused_with_one_line(path):
    os.chown(path, 12345, 12345)
    with pytest.raises(PinError, match="belongs to uid 12345") as caught:
        set_pin(str(path), pinned=True)
    assert "\n" not in str(caught.value)
    assert not is_pinned(str(path))


def test_a_missing_run_is_an_error_of_one_line(path):
    path.rename(path.with_name("7-1"))
    with pytest.raises(PinError, match="No such file"):
        toggle_pin(str(path))


def test_a_directory_that_is_not_a_run_directory_is_refused(tmp_path):
    with pytest.raises(PinError, match="not a run directory"):
        set_pin(str(tmp_path), pinned=True)
