"""Fixtures and settings of all tests."""

import pytest
from hypothesis import settings

from kit import mounts

# a test must not fail because the machine stalls for a moment
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def private_mounts(tmp_path_factory):
    """The command prefix that runs a process in a mount namespace of its own."""
    return mounts.private_mounts(tmp_path_factory.mktemp("mount"))
