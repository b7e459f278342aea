"""Creates thousands of ended runs quickly, as hard links to one segment."""

import os
import subprocess
import sys
import time
from pathlib import Path

_LINKS = 20_000  # ext4 allows 65,000 links to one file

_ONE = """
import sys, pprofplus
pprofplus.start("seed", directory=sys.argv[1], interval_s=3600)
pprofplus.stop()
"""


def fill(log_directory, count):
    """Create `count` old ended runs of service `ended`; return the bytes of all segments."""
    subprocess.run([sys.executable, "-c", _ONE, str(log_directory)], check=True)
    (segment,) = Path(log_directory).glob("seed/*-*/000001.pplog")
    data = segment.read_bytes()
    service = Path(log_directory) / "ended"
    service.mkdir(mode=0o700)
    began_ms = time.time_ns() // 1_000_000 - 2 * count - 3_600_000
    source = None
    for number in range(count):
        directory = f"{service}/{number % 30_000 + 2}-{began_ms + 2 * number}"
        os.mkdir(directory, 0o700)
        if number % _LINKS == 0:
            source = f"{log_directory}/source{number}"
            Path(source).write_bytes(data)
            then = (began_ms + 2 * number) / 1000
            os.utime(source, (then, then))
        os.link(source, f"{directory}/000001.pplog")
    return len(data) * (count + 1)
