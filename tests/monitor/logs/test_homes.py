"""Where logs are looked for."""

import os

from pprofplus_tui.logs import homes
from pprofplus_tui.logs.homes import default_homes


def test_a_user_sees_the_default_home_and_root_those_of_all(tmp_path, monkeypatch):
    (tmp_path / "pprofplus-1000").mkdir()
    (tmp_path / "pprofplus-1001").symlink_to(tmp_path / "pprofplus-1000")
    (tmp_path / "pprofplus-1002").touch()
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("PPROFPLUS_DIR", str(tmp_path / "mine"))
    monkeypatch.setattr(homes, "_SHARED_HOMES", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert default_homes() == [str(tmp_path / "mine")]
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert default_homes() == [str(tmp_path / "mine"), str(tmp_path / "pprofplus-1000")]
