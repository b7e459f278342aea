"""Removes pprofplus settings from the environment of a test, and sets its own log directory."""

import os

import pytest


def needs_root(reason):
    """Return the mark that skips a test unless it runs as root."""
    return pytest.mark.skipif(os.geteuid() != 0, reason=reason)


def isolate_logs(tmp_path, monkeypatch):
    """Set a log directory below `tmp_path`, and return it."""
    for name in list(os.environ):
        if name.startswith("PPROFPLUS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PPROFPLUS_DIR", str(tmp_path / "logs"))
    return tmp_path / "logs"
