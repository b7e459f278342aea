"""A program whose objects raise or print when code asks them anything; it takes a heap profile.

The module is run as a program: `python hostile_objects.py FILE`. It prints as JSON which of the
methods were called while the profile was taken.
"""

import gc
import json
import os
import sys
import threading
import types

CALLED = []
STOP = threading.Event()


def forbidden(name):
    def method(*args, **kwargs):
        CALLED.append(name)
        raise RuntimeError(name)

    return method


SPECIAL = (
    "bool contains dir eq format getattr getitem hash index instancecheck iter len reduce"
    " reduce_ex repr setattr sizeof str subclasscheck"
)
METHODS = {f"__{name}__": forbidden(name) for name in SPECIAL.split()}
NO_CLASS = {"__class__": property(forbidden("class"))}
Hostile = type("Hostile", (), {**METHODS, **NO_CLASS, "__slots__": ("held", "__weakref__")})
ACCESS = {name: forbidden(f"dict {name}") for name in ("items", "keys", "values", "get", "copy")}
HostileDict = type("HostileDict", (dict,), {**METHODS, **NO_CLASS, **ACCESS})
HostileList = type("HostileList", (list,), METHODS)
NoDict = type("NoDict", (), {"__getattribute__": forbidden("getattribute")})
FakeDict = type("FakeDict", (), {"__dict__": property(forbidden("__dict__"))})
Module = type("Module", (types.ModuleType,), {"__getattribute__": forbidden("module")})


class Meta(type):
    __hash__ = forbidden("hash of a class")
    __eq__ = forbidden("eq of a class")
    __getattribute__ = forbidden("getattribute of a class")
    __subclasses__ = forbidden("subclasses of a class")
    __instancecheck__ = forbidden("instancecheck of a class")
    __repr__ = forbidden("repr of a class")


class WithMeta(metaclass=Meta):
    pass


class Text(str):
    __slots__ = ()
    __repr__ = forbidden("repr of a str")
    __getitem__ = forbidden("getitem of a str")
    isprintable = forbidden("isprintable of a str")


class Misnamed:
    pass


Misnamed.__module__ = Text("module")
Evil = type("evil\x1b[31m\n" + "x" * 1_000_000, (), {"__slots__": ()})
sys.modules["module\x1b[32m"] = Module("module\x1b[32m")
MANY_TYPES = [type(f"Type{i}", (), {}) for i in range(10_000)]
HOLDERS = HostileList()
ROWS = []


def leak(count):
    for i in range(count):
        hostile = Hostile()
        Hostile.held.__set__(hostile, f"x{i}" * 50)
        holder = HostileDict()
        dict.__setitem__(holder, Text("key\x1b[0m"), hostile)
        list.append(HOLDERS, holder)
        ROWS.append({"\x1b[31m": Evil(), 1 << 80: WithMeta(), 2: Misnamed(), (1, 2): NoDict()})
        ROWS.append([FakeDict()])


class LinkedNode:
    __slots__ = ("next",)


def linked_list(count):
    first = None
    for _ in range(count):
        node = LinkedNode()
        node.next = first
        first = node
    return first


LINKED = linked_list(200_000)


class SlowEnd:
    def __init__(self):
        self.itself = self

    def __del__(self):
        STOP.wait(0.0005)


def allocate_and_free():
    while not STOP.is_set():
        kept = [SlowEnd(), {i: [i] for i in range(2_000)}, type("Short", (), {})()]
        del kept


def collect():
    while not STOP.wait(0.2):
        gc.collect()


def main(path):
    from pprofplus.profiles.capture import CaptureRequest
    from pprofplus.profiles.object_census import take

    class Task:
        window_over = False

        leaked = False

        def check(self):
            pass

        def wait(self, timeout_s):
            STOP.wait(timeout_s)

        def report(self, share, text=""):
            if "second census" in text and not self.leaked:
                self.leaked = True
                leak(3_000)

    leak(100)
    gc.callbacks.append(lambda phase, info: sum(range(100)))
    threads = [threading.Thread(target=one) for one in (allocate_and_free, collect)]
    for thread in threads:
        thread.start()
    CALLED.clear()
    (part,) = take(CaptureRequest(("heap",), 1.0, force=True), Task())
    called = list(CALLED)
    with open(path, "wb") as file:
        file.write(part.profile.encode())
    STOP.set()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps({"called": called, "note": part.note}))
    sys.stdout.flush()
    os._exit(0)  # the end of the interpreter asks the objects


if __name__ == "__main__":
    main(sys.argv[1])
