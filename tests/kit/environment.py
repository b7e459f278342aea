"""Gives a test an environment without settings of ours, and a log directory of its own."""

import os

import pytest


def needs_root(reason):
    """Return the mark that skips a test unless it runs as root."""
    return pytest.mark.skipif(os.geteuid() != 0, reason=reason)


def isolate_logs(tmp_path, monkeypatch):
    """Let services log below `tmp_path`; return where."""
    for name in list(os.environ):
        if name.startswith("PPROFPLUS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PPROFPLUS_DIR", str(tmp_path / "logs"))
    return tmp_path / "logs"
