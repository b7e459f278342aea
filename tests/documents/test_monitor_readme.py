"""The monitor's README is correct: its commands run, its settings are those of the program."""

import subprocess
import sys

from pprofplus_tui.config.config_file import parse_config
from pprofplus_tui.config.settings_table import SECTIONS
from pprofplus_tui.demo.past_runs import write_history

WEEK_MS = 7 * 86_400_000


def test_its_commands_succeed_and_export(monitor_readme, tmp_path, monkeypatch):
    log_directory = tmp_path / "logs"
    log_directory.mkdir(mode=0o700)
    write_history(log_directory, begin_ms=1_795_000_000_000 - WEEK_MS, end_ms=1_795_000_000_000)
    monkeypatch.setenv("PPROFPLUS_DIR", str(log_directory))
    monkeypatch.chdir(tmp_path)
    commands = monitor_readme.lines_of("")
    assert len(commands) >= 9
    for command in commands:
        words = command.split()
        assert words.pop(0) == "pprofplus-tui"
        done = subprocess.run(
            [sys.executable, "-m", "pprofplus_tui", *words],
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
    assert (tmp_path / "api.csv").read_text().startswith("time,unix_ms,service,pid,")


def test_the_sections_of_the_settings_file_are_described(monitor_readme):
    for section in SECTIONS:
        assert f"`[{section}]`" in monitor_readme.text


def test_its_settings_file_is_accepted(monitor_readme):
    config = parse_config(monitor_readme.block_of("settings file", "toml"), "tui.toml")
    assert config.window == "15m"
    assert config.low_bandwidth
    assert config.charts == ("memory", "python_heap", "c_heap")
    assert config.keys == {"pan(-0.25)": ("left", "H")}
