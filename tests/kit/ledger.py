"""Reads and writes the ledger of a log directory, which counts the bytes of all runs."""

import contextlib
import os
import struct
import time
import zlib
from pathlib import Path

from pprofplus.log.ledger import Ledger
from pprofplus.log.log_directory import open_log_directory


@contextlib.contextmanager
def ledger_of(log_directory):
    """Yield the locked ledger; changes of the test are saved."""
    directory_fd = open_log_directory(str(log_directory))
    ledger = Ledger.acquire(directory_fd)
    try:
        yield ledger
        ledger.save()
    finally:
        ledger.unlock()
        os.close(directory_fd)


def set_bound(log_directory, bound_bytes):
    """Write a ledger in the form of an earlier release."""
    start = struct.pack("<8sqd", b"PPLEDG1\n", bound_bytes, time.time())
    path = Path(log_directory) / ".ledger"
    path.write_bytes(start + zlib.crc32(start).to_bytes(4, "little"))
    path.chmod(0o600)


def read_bound(log_directory):
    """Return the bound in the ledger, read without its lock."""
    return struct.unpack_from("<q", (Path(log_directory) / ".ledger").read_bytes(), 8)[0]
