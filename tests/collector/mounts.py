"""Mount namespaces for tests: the mounts disappear with the process."""

import shutil
import subprocess

import pytest


def private(place):
    """Return the command prefix: as a user's root, or as the real one; skips the test without."""
    for prefix in (["unshare", "-rm"], ["unshare", "-m"]):
        command = [*prefix, "mount", "-t", "tmpfs", "tmpfs", str(place)]
        if shutil.which("unshare") and not subprocess.run(command, capture_output=True).returncode:  # noqa: PLW1510 - asked
            return prefix
    return pytest.skip("this machine allows no mount, neither in a user namespace nor as root")
