"""The log directories that are read by default."""

import os

import pytest

from pprofplus.log import discovery
from pprofplus_tui.sources.local.default_directories import log_directories


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """Make directories of two users, and similar names; return their parent."""
    (tmp_path / "pprofplus-1000").mkdir()
    (tmp_path / "pprofplus-1001").symlink_to(tmp_path / "pprofplus-1000")
    (tmp_path / "pprofplus-1002").touch()
    (tmp_path / "other").mkdir()
    monkeypatch.setattr(discovery, "_SHARED", str(tmp_path))
    monkeypatch.delenv("PPROFPLUS_DIR", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return tmp_path


def as_user(monkeypatch, uid):
    monkeypatch.setattr(os, "getuid", lambda: uid)


def test_by_default_a_user_reads_their_own_directory_and_root_those_of_all(shared, monkeypatch):
    own = "/var/tmp/pprofplus-1000"
    as_user(monkeypatch, 1000)
    assert log_directories((), all_users=False) == (own,)
    as_user(monkeypatch, 0)
    root = "/var/tmp/pprofplus-0"
    assert log_directories((), all_users=False) == (root, str(shared / "pprofplus-1000"))


@pytest.mark.parametrize("uid", [0, 1000])
def test_a_named_directory_is_the_only_one(shared, monkeypatch, uid):
    as_user(monkeypatch, uid)
    assert log_directories(("/a", "/b", "/a"), all_users=False) == ("/a", "/b")
    monkeypatch.setenv("PPROFPLUS_DIR", str(shared / "mine"))
    assert log_directories((), all_users=False) == (str(shared / "mine"),)
    assert log_directories(("/a",), all_users=False) == ("/a",)


@pytest.mark.parametrize("uid", [0, 1000])
def test_all_users_adds_the_readable_directories(shared, monkeypatch, uid):
    as_user(monkeypatch, uid)
    others = str(shared / "pprofplus-1000")
    assert log_directories(("/a",), all_users=True) == ("/a", others)
    monkeypatch.setenv("PPROFPLUS_DIR", str(shared / "mine"))
    assert log_directories((), all_users=True) == (str(shared / "mine"), others)
