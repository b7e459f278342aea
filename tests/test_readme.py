"""What the README says is so: its code runs, its tables are those of the program."""

import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

from pprofplus_tui.demo.history import write_history
from pprofplus_tui.logs.catalog import Catalog
from pprofplus_tui.model.keys import KEYS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
WEEK_MS = 7 * 86_400_000


def blocks(language):
    """Return (marker before it or "", code) of each fenced block."""
    return re.findall(rf"(?:<!-- ([^>]*) -->\n)?```{language}\n(.*?)```", README, flags=re.DOTALL)


def key_table():
    """Return the keys as the README's table."""
    lines = ["| key | does |", "|---|---|"]
    for _, keys in groupby(KEYS, lambda key: key.group):
        lines += [
            "| " + " ".join(f"`{name}`" for name in key.shown.split(" ")) + f" | {key.text} |"
            for key in keys
        ]
    return "\n".join(lines)


def test_the_keys_are_those_of_the_program():
    assert key_table() in README, f"put this into the README:\n{key_table()}"


def test_its_python_records_a_service(tmp_path, monkeypatch):
    home = tmp_path / "logs"
    monkeypatch.setenv("PPROFPLUS_DIR", str(home))
    codes = [code for _, code in blocks("python")]
    assert codes
    for code in codes:
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    catalog = Catalog([str(home)])
    catalog.refresh()
    assert [(info.service, info.state) for info in catalog.runs] == [("api", "exited")] * len(codes)


def test_its_commands_do_what_it_says(tmp_path, monkeypatch):
    home = tmp_path / "logs"
    home.mkdir(mode=0o700)
    write_history(home, begin_ms=1_795_000_000_000 - WEEK_MS, end_ms=1_795_000_000_000)
    monkeypatch.setenv("PPROFPLUS_DIR", str(home))
    monkeypatch.chdir(tmp_path)
    commands = [
        line for marker, code in blocks("sh") if not marker for line in code.strip().splitlines()
    ]
    assert len(commands) >= 4
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


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_leads_to_a_file(path):
    assert (ROOT / path).exists()


def test_it_opens_with_one_sentence_a_picture_and_two_commands():
    title, sentence, picture, *_ = [part for part in README.split("\n\n") if part]
    assert title == "# pprofplus"
    assert sentence.count(". ") == 0
    assert picture.startswith("![")
    assert [marker for marker, _ in blocks("sh")][:2] == ["demo command", "test command"]
