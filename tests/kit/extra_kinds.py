"""Kinds of profiles of the tests: a process that calls `install` has them in its table.

Services and `ctl` call it. The module that takes them is this one.
"""

import sys
import time

from pprofplus.profiles.capture import ProfilePart, ProfileRefusedError
from pprofplus.profiles.kinds import KINDS, ProfileKind
from pprofplus.profiles.pprof_encoder import ProfileBuilder

NAMES = ("moment", "window", "windowb", "refused", "broken", "large", "escape")
TYPES = (("samples", "count"), ("time", "nanoseconds"))
MODULES = ("pprofplus.profiles.kind_a", "pprofplus.profiles.kind_b")
calls = []
undone = []


def check(request):
    calls.append(("check", *request.kinds))
    if "refused" in request.kinds and not request.force:
        raise ProfileRefusedError("it would cost too much: force it")


def expected_hold_ms(request):
    return 7.0 if "moment" in request.kinds else 0.0


def take(request, task):
    calls.append(("take", *request.kinds))
    try:
        end = time.monotonic() + request.window_s
        while time.monotonic() < end and not task.window_over:
            task.wait(min(0.05, request.window_s))
            task.report(1 - (end - time.monotonic()) / (request.window_s or 1.0))
        for name in request.kinds:
            if name == "broken":
                raise RuntimeError("a bug")
            yield ProfilePart(name, profile_of(name, request), note="a note", hold_ms=2.5)
    finally:
        undone.append(request.kinds)


def profile_of(name, request):
    profile = ProfileBuilder(TYPES, period=("time", "nanoseconds", 10_000_000))
    profile.duration_ns = round(request.window_s * 1e9)
    code = take.__code__
    place = (code.co_filename, code.co_firstlineno + 3, code.co_firstlineno)
    leaf = "red\x1b[31m[bold]" if name == "escape" else "extra_kinds.take"
    leaf, root = profile.location(leaf, *place), profile.location("extra_kinds.root", *place)
    profile.add([leaf, root], [request.hz, round(request.window_s * 1e9)], [("thread", name)])
    if name == "large":
        for i in range(30_000):
            profile.add([profile.location(f"f{i * 7919}")], [1, i])
    return profile


def install():
    """Add the kinds to the table of this process; return a function that removes them."""
    for name in NAMES:
        moment = name in {"moment", "refused", "escape", "large"}
        KINDS[name] = ProfileKind(
            name,
            "kind_b" if name in {"windowb", "broken", "refused", "large"} else "kind_a",
            f"a kind of the tests: {name}",
            TYPES,
            window_s=0.0 if moment else 0.2,
            warning="it is slow" if name == "windowb" else "",
        )
    for module in MODULES:
        sys.modules[module] = sys.modules[__name__]

    def remove():
        for name in NAMES:
            del KINDS[name]
        for module in MODULES:
            del sys.modules[module]

    return remove
