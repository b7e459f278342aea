"""What all tests share."""

import pytest
from hypothesis import settings

from kit import mounts

# no test fails because a machine stood still for a moment
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def private_mounts(tmp_path_factory):
    """The command that gives a process mounts of its own."""
    return mounts.private_mounts(tmp_path_factory.mktemp("mount"))
