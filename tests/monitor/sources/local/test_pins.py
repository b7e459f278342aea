"""Pinning a run: one private file in its own directory, and nothing else."""

import os
import stat

import pytest

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


def test_unpinning_takes_that_file_and_leaves_the_log(path):
    log = sorted(path.iterdir())
    set_pin(str(path), pinned=True)
    set_pin(str(path), pinned=False)
    assert sorted(path.iterdir()) == log


def test_what_is_so_already_is_left_as_it_is(path):
    set_pin(str(path), pinned=False)
    (path / "pinned").write_text("by hand")
    set_pin(str(path), pinned=True)
    assert (path / "pinned").read_text() == "by hand"


def test_a_toggle_tells_what_it_made_of_it(path):
    assert [toggle_pin(str(path)) for _ in range(3)] == [True, False, True]


def test_a_link_in_the_pin_s_place_is_neither_followed_nor_removed(path, tmp_path):
    target = tmp_path / "precious"
    target.write_text("precious")
    (path / "pinned").symlink_to(target)
    for pinned in (True, False):
        with pytest.raises(PinError, match="no file"):
            set_pin(str(path), pinned=pinned)
    assert target.read_text() == "precious"
    assert (path / "pinned").is_symlink()


@pytest.mark.parametrize("step", ["run", "service"])
def test_no_link_on_the_way_is_followed(path, tmp_path, step):
    linked = path if step == "run" else path.parent
    elsewhere = tmp_path / "elsewhere"
    linked.rename(elsewhere)
    linked.symlink_to(elsewhere)
    with pytest.raises(PinError):
        set_pin(str(path), pinned=True)
    assert not list(elsewhere.rglob("pinned"))


def test_a_home_that_is_reached_through_a_link_will_do(path, tmp_path):
    home = tmp_path / "link"
    home.symlink_to(path.parent.parent)
    set_pin(f"{home}/{path.parent.name}/{path.name}", pinned=True)
    assert is_pinned(str(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_another_user_s_run_is_refused_with_one_line_that_says_so(path):
    os.chown(path, 12345, 12345)
    with pytest.raises(PinError, match="belongs to uid 12345") as caught:
        set_pin(str(path), pinned=True)
    assert "\n" not in str(caught.value)
    assert not is_pinned(str(path))


def test_a_run_that_is_gone_is_one_line(path):
    path.rename(path.with_name("7-1"))
    with pytest.raises(PinError, match="No such file"):
        toggle_pin(str(path))


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(PinError, match="not the directory of a run"):
        set_pin(str(tmp_path), pinned=True)
