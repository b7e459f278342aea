"""Ten leaks of different kinds; `python leaks.py NAME FILE` writes the profile of the growth.

The module is run as a program, next to background_load.py.
"""

import asyncio
import functools
import gc
import os
import queue
import sys
import threading
import time

from background_load import SETTINGS, start_load

COUNT = 4_000
WINDOW_S = 4.0


class Entry:
    def __init__(self, i):
        self.key = i
        self.payload = f"p{i}" * 20
        self.refs = [i, i + 1]


REGISTRY = {}


def module_dict(count):
    for i in range(count):
        REGISTRY[f"user-{len(REGISTRY)}"] = Entry(i)


def make_handler():
    seen = []

    def handler(i):
        seen.append({"id": i, "body": f"b{i}" * 30, "parts": [i]})

    return handler


HANDLER = make_handler()


def closure(count):
    for i in range(count):
        HANDLER(i)


class Plugin:
    instances = []  # noqa: RUF012 - this is the leak

    def __init__(self, i):
        self.config = {"i": i, "n": f"c{i}" * 16}
        Plugin.instances.append(self)


def class_attribute(count):
    for i in range(count):
        Plugin(i)


class Widget:
    def __init__(self, i):
        self.state = [i] * 20
        self.title = f"w{i}" * 20

    def on_event(self):
        pass


class Bus:
    def __init__(self):
        self.listeners = {"close": [], "open": []}


BUS = Bus()


def bound_method(count):
    for i in range(count):
        BUS.listeners["close"].append(Widget(i).on_event)


TASKS = []
LOOP = asyncio.new_event_loop()


async def worker(i):
    data = [f"x{i}" * 20, i]
    await asyncio.sleep(100_000)
    return data


def asyncio_tasks(count):
    async def add():
        TASKS.extend(asyncio.ensure_future(worker(i)) for i in range(count))

    if not LOOP.is_running():
        threading.Thread(target=LOOP.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(add(), LOOP).result()


class Result:
    def __init__(self, i):
        self.rows = [i, i]
        self.text = f"r{i}" * 20


@functools.cache
def fetch(i):
    return Result(i)


def lru_cache(count):
    begin = fetch.cache_info().currsize
    for i in range(begin, begin + count):
        fetch(i)


class Trace:
    def __init__(self, i):
        self.spans = [("s", i)]
        self.text = f"t{i}" * 20


LOCAL = threading.local()
ORDERS = queue.SimpleQueue()


def thread_local_worker():
    LOCAL.traces = []
    while True:
        count, done = ORDERS.get()
        LOCAL.traces.extend(Trace(i) for i in range(count))
        done.set()


threading.Thread(target=thread_local_worker, daemon=True).start()


def thread_local(count):
    done = threading.Event()
    ORDERS.put((count, done))
    done.wait()


class Connection:
    def __init__(self, i):
        self.buffer = f"c{i}" * 30
        self.peer = None

    def __del__(self):
        pass


def cycle_with_del(count):
    gc.disable()  # such cycles stay until a collection of the oldest generation
    for i in range(count // 2):
        one, other = Connection(i), Connection(i)
        one.peer, other.peer = other, one


FRAMES = []


def ndarray_list(count):
    import numpy as np

    FRAMES.extend(np.zeros(200) for _ in range(count // 4))


class Row:
    def __init__(self, session, i):
        self.session = session
        self.id = i
        self.values = {"id": i, "name": f"n{i}" * 10}


class Session:
    def __init__(self):
        self.identity_map = {}
        self.dirty = set()

    def load(self, count):
        for i in range(count):
            self.identity_map["Row", i] = Row(self, i)


class Pool:
    def __init__(self):
        self.sessions = {}


POOL = Pool()


def orm_sessions(count):
    for _ in range(count // 40):
        session = Session()
        session.load(40)
        POOL.sessions[id(session)] = session


LEAKS = {
    leak.__name__: leak
    for leak in (
        module_dict,
        closure,
        class_attribute,
        bound_method,
        asyncio_tasks,
        lru_cache,
        thread_local,
        cycle_with_del,
        ndarray_list,
        orm_sessions,
    )
}


def write_growth(leak, path, *, before=COUNT // 2, window_s=WINDOW_S):
    """Let `leak(count)` leak between two censuses, and write the profile."""
    from pprofplus.profiles.capture import CaptureRequest
    from pprofplus.profiles.object_census import take

    class Task:
        window_over = False

        def __init__(self):
            self.leaking = None

        def check(self):
            pass

        def wait(self, timeout_s):
            threading.Event().wait(timeout_s)

        def report(self, share, text=""):
            if "second census" in text and self.leaking is None:
                self.leaking = threading.Thread(target=self.leak, daemon=True)
                self.leaking.start()
            elif "counting" in text:
                self.leaking.join()

        def leak(self):
            for _ in range(8):
                leak(COUNT // 8)
                time.sleep(0.1)

    SETTINGS["cycles"] = leak is not cycle_with_del
    start_load()
    leak(before)
    time.sleep(0.5)
    (part,) = take(CaptureRequest(("heap",), window_s, force=True), Task())
    with open(path, "wb") as file:
        file.write(part.profile.encode())
    sys.stdout.write(f"{part.note}\n")
    sys.stdout.flush()
    os._exit(0)  # threads of the load still run


if __name__ == "__main__":
    write_growth(LEAKS[sys.argv[1]], sys.argv[2])
