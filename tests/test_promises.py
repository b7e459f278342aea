"""What the collector promises is held by tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISES = (ROOT / "collector" / "PROMISES.md").read_text()
NAMED = sorted(set(re.findall(r"`(test_\w+)`", PROMISES)))
THERE = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("name", NAMED)
def test_each_promise_names_a_test_that_is_there(name):
    assert name in THERE


def test_every_promise_has_tests():
    rows = [line for line in PROMISES.splitlines() if line.startswith("| ") and "|---" not in line]
    promises = [line for line in rows if not line.startswith("| | ")]
    assert len(promises) > 20
    assert all("`test_" in line for line in promises)
