"""Texts that tests put before a program of their own and run in a process.

They are texts, not imports: such a process may run as a user who may not read this folder.
"""

from pathlib import Path

from kit import waiting

_HERE = Path(__file__).parent

# the functions of waiting
WAITING = Path(waiting.__file__).read_text()
# a service that counts its samples and keeps its warnings
COUNTING_SERVICE = WAITING + (_HERE / "counting_service.py").read_text()
# a service that records, and the wait for its samples
RECORDING_SERVICE = """
import os, signal, sys, threading, time
import pprofplus
collector = pprofplus.start("api", interval_s=0.05)
def wait_for_samples(count):
    while collector.samples < count:
        threading.Event().wait(0.005)
"""
# a writer on a full disk
FULL_DISK = (_HERE / "full_disk.py").read_text()

# a wall clock that the program sets: shift_ns[0] is by how much it is off
SHIFTED_CLOCK = """
import time
true_ns, shift_ns = time.time_ns, [0]
time.time_ns = lambda: true_ns() + shift_ns[0]
"""

_AS_ANOTHER_USER = """
import logging, os, resource, sys
import {imports}
from pprofplus.cli import build_parser, main
build_parser()
os.setgroups([])
os.setgid(12345)
os.setuid(12345)
sys.exit(main(sys.argv[1:]))
"""


def as_another_user(*imports):
    """Return the command `pprofplus …` as run by user 12345.

    That user may not read where Python is, so the modules that the command uses are `imports`.
    """
    return _AS_ANOTHER_USER.format(imports=", ".join(imports))
