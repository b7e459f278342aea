"""Gives a process mounts of its own, which are gone with it."""

import shutil
import subprocess

import pytest


def private_mounts(place):
    """Return the command for it: in a user namespace, or as root; `place` is for a trial mount."""
    for prefix in (["unshare", "-rm"], ["unshare", "-m"]):
        command = [*prefix, "mount", "-t", "tmpfs", "tmpfs", str(place)]
        if shutil.which("unshare") and not subprocess.run(command, capture_output=True).returncode:  # noqa: PLW1510 - asked
            return prefix
    return pytest.skip("this machine allows no mount, neither in a user namespace nor as root")
