"""The tests that PROMISES.md names for each guarantee exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = (ROOT / "collector" / "PROMISES.md").read_text()
NAMED = sorted(set(re.findall(r"`(test_\w+)`", PROMISES)))
EXISTING = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("name", NAMED)
def test_each_promise_names_a_test_that_exists(name):
    assert name in EXISTING


def test_every_promise_has_tests():
    rows = [line for line in PROMISES.splitlines() if line.startswith("| ") and "|---" not in line]
    promises = [line for line in rows if not line.startswith("| guarantee | ")]
    assert len(promises) > 20
    assert all("`test_" in line for line in promises)
