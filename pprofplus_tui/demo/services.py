"""The demo's services, one a function, each a real process with the collector embedded.

    python -m pprofplus_tui.demo.services NAME DIRECTORY

They import the collector only, as any service would, and end when their standard input is closed,
so that none outlives the monitor, however that ends.
"""

import gc
import os
import random
import signal
import sys
import threading
from collections.abc import Callable

import pprofplus

_ENDING = threading.Event()
_PACE_S = 0.05


def _work(step_s: float = _PACE_S) -> bool:
    """Wait for the next request; return False when it is time to end."""
    return not _ENDING.wait(step_s)


def leak() -> None:
    """Keep data of every request in an unbounded cache: Python objects accumulate."""
    sessions: dict[int, dict[str, object]] = {}
    request = 0
    while _work():
        for _ in range(40):
            request += 1
            sessions[request] = {
                "user": f"user-{request}",
                "cart": [request] * 8,
                "seen": {request},
            }


def saw_tooth() -> None:
    """Make reference cycles: memory rises until the garbage collector runs, then falls."""

    class Node:
        def __init__(self) -> None:
            self.me = self
            self.load = bytes(random.randrange(200, 500))

    # a collection every few seconds, as a service with many objects alive would see
    gc.set_threshold(40_000 + os.getpid() % 7 * 2_000, 50, 50)
    gc.freeze()
    while _work():
        for _ in range(random.randrange(150, 350)):
            Node()


def c_heap() -> None:
    """Keep large buffers, as image and compression libraries do: only malloc's heap grows."""
    frames = []
    while _work(0.25):
        frames.append(bytearray(os.urandom(64)) * 1024)
    frames.clear()


def fragment() -> None:
    """Build big reports of small objects, drop all but a few: the heap stays fragmented."""
    kept = []
    while _work(1.0):
        rows: list[str] = []
        for _ in range(25):
            rows.extend(f"{i:>300}" for i in range(6_000))
            if not _work(0.4):
                return
        kept.extend(rows[::60])
        del rows


def doomed() -> None:
    """Grow fast and end by SIGKILL without a stop event, as the OOM killer does."""
    batch = []
    for _ in range(250):
        batch.append(["x" * 400 + str(i) for i in range(1_500)])
        if not _work(0.1):
            return
    os.kill(os.getpid(), signal.SIGKILL)


SERVICES: dict[str, tuple[str, Callable[[], None]]] = {
    "leak": ("api", leak),
    "saw-tooth-1": ("worker", saw_tooth),
    "saw-tooth-2": ("worker", saw_tooth),
    "c-heap": ("imaging", c_heap),
    "fragment": ("reports", fragment),
    "doomed": ("batch", doomed),
}


def _end_with_parent() -> None:
    """End when standard input is closed: the kernel closes it however the parent ends."""
    while os.read(0, 1):
        pass
    _ENDING.set()


def main(name: str, directory: str) -> None:
    """Record as the named service and do its work until it is time to end."""
    service, work = SERVICES[name]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the monitor's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pprofplus.start(service, directory=directory)
    work()
    pprofplus.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
