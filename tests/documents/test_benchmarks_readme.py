"""The README of the benchmarks names each benchmark and calls the runner correctly."""

import re
import shlex
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def runner_help(root):
    script = root / "tests" / "benchmarks" / "run.py"
    return subprocess.run(
        [sys.executable, str(script), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def benchmarks_in(runner_help):
    """Return the names that `--only` accepts."""
    listed = re.search(r"--only NAME \[NAME \.\.\.\]\s+([\w,\s]+?)\n\s+--", runner_help)[1]
    return {name.strip() for name in listed.split(",")}


def test_each_benchmark_is_named_in_the_section_with_its_figures(benchmarks_readme, runner_help):
    named = re.findall(r"^`--only (\w+)`", benchmarks_readme.text, re.MULTILINE)
    assert sorted(named) == sorted(benchmarks_in(runner_help))


def test_each_command_in_a_document_uses_options_of_the_runner(documents, runner_help):
    options = set(re.findall(r"--\w[\w-]*", runner_help))
    lines = [
        line
        for document in documents.values()
        for line in re.findall(r"python tests/benchmarks/run\.py[^`\n]*", document.text)
    ]
    assert len(lines) >= 5
    for line in lines:
        words = shlex.split(line)[2:]
        assert {word for word in words if word.startswith("--")} <= options, line
        if "--only" in words:
            assert words[words.index("--only") + 1] in benchmarks_in(runner_help), line


def test_each_option_of_the_runner_is_described(benchmarks_readme, runner_help):
    for option in set(re.findall(r"--\w[\w-]*", runner_help)) - {"--help"}:
        assert option in benchmarks_readme.text
