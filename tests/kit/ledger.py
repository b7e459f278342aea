"""Reads and writes the ledger of a log directory, in which collectors count what all runs take."""

import contextlib
import os
import struct
import time
import zlib
from pathlib import Path

from pprofplus.log.ledger import Ledger
from pprofplus.log.log_directory import open_log_directory


@contextlib.contextmanager
def ledger_of(home):
    """Give the ledger, locked; what the test changes in it is written."""
    directory_fd = open_log_directory(str(home))
    ledger = Ledger.acquire(directory_fd)
    try:
        yield ledger
        ledger.save()
    finally:
        ledger.unlock()
        os.close(directory_fd)


def set_bound(home, bound_bytes):
    """Write a ledger as an earlier release leaves it."""
    start = struct.pack("<8sqd", b"PPLEDG1\n", bound_bytes, time.time())
    path = Path(home) / ".ledger"
    path.write_bytes(start + zlib.crc32(start).to_bytes(4, "little"))
    path.chmod(0o600)


def read_bound(home):
    """Return the bytes that the ledger says, without its lock."""
    return struct.unpack_from("<q", (Path(home) / ".ledger").read_bytes(), 8)[0]
