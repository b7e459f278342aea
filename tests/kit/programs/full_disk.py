"""A writer on a separate disk, which is full for some time.

Not imported: tests put its text before their own program, which runs in a mount namespace. Its
argument is the directory at which to mount the disk.
"""

import os
import random
import shutil
import subprocess
import sys

from pprofplus.log.format import RunHeader
from pprofplus.log.segment import Segment
from pprofplus.log.writer import Writer

START_MS = 1_760_000_000_000
METRICS = tuple((f"m{i}", "B", "gauge") for i in range(8))

disk = sys.argv[1]
filler = f"{disk}/filler"
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=640k", "tmpfs", disk], check=True)


class Service:
    """A service whose samples need space; the first value is the number of the sample."""

    def __init__(self, pid):
        header = RunHeader(service="api", pid=pid, start_ms=START_MS, metrics=METRICS)
        self.writer = Writer(f"{disk}/logs", header)
        self._random = random.Random(pid)
        self._taken = 0

    def add(self, count):
        """Add `count` samples."""
        for _ in range(count):
            figures = [self._random.randrange(1 << 30) for _ in METRICS[1:]]
            at_ms = self._taken * 1000
            self.writer.add(at_ms, START_MS + at_ms, [self._taken, *figures])
            self._taken += 1


def fill():
    """Fill the disk completely."""
    with open(filler, "ab", buffering=0) as file:
        size = 1 << 16
        while size >= 1 << 12:
            try:
                file.write(b"x" * size)
            except OSError:
                size >>= 1


def free():
    """Free the space."""
    os.unlink(filler)


def keep(service, place):
    """Copy the run from the disk, which is unmounted with this process, and free the space."""
    directory = service.writer.directory
    shutil.copytree(directory, f"{place}/api/{os.path.basename(directory)}")
    shutil.rmtree(f"{disk}/logs")
