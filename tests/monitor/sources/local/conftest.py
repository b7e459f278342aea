"""Fixtures of the tests of logs: runs written page by page."""

import pytest

from kit.page_writer import page_writers


@pytest.fixture
def write_run(tmp_path):
    """Make a `PageWriter` in a fresh log directory."""
    with page_writers(tmp_path) as make:
        yield make
