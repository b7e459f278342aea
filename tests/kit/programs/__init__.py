"""Program texts that tests put before their own program and run in a process.

They are not imported, as the process may run as a user who may not read this directory.
"""

from pathlib import Path

from kit import waiting

_HERE = Path(__file__).parent

# the functions of kit.waiting
WAITING = Path(waiting.__file__).read_text()
# a service that counts its samples and collects its warnings
COUNTING_SERVICE = WAITING + (_HERE / "counting_service.py").read_text()
# a service that records, and a function that waits for its samples
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

# a wall clock that the program sets: shift_ns[0] is its offset
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
    """Return a program that runs the command `pprofplus …` as user 12345.

    This user may not read the directory of Python, so the program imports the modules `imports`
    before it changes the user.
    """
    return _AS_ANOTHER_USER.format(imports=", ".join(imports))
