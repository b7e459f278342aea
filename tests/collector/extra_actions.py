"""Actions of the tests, in the registry of each process that imports this module.

Services and `ctl` import it: a new action needs no other change.
"""

import os
import time

from pprofplus.control.actions import Action, Argument
from pprofplus.recording.run_actions import ACTIONS


def _seconds(value):
    if not 0 <= float(value) <= 600:
        raise ValueError(f"seconds {value}: take 0 to 600")
    return float(value)


def _echo(_, arguments):
    return f"{arguments['text']} x{arguments['times']}"


def _work(_, arguments, task):
    """Wait in steps, and report."""
    for step in range(1, 21):
        task.wait(arguments["seconds"] / 20)
        task.report(step / 20, f"step {step}")
    return "worked"


def _uncancellable(_, arguments, task):
    time.sleep(arguments["seconds"])
    return "worked on"


def _refuse(*_):
    raise ValueError("not today")


def _fail(*_):
    raise RuntimeError("a bug")


def _exit(*_):
    raise SystemExit(3)


def _fork(*_):
    child = os.fork()
    return f"forked {child}" if child else "the child's answer"


def _capture(recorder, arguments, task):
    """Store artefacts of this size."""
    names = [
        recorder.store_artefact("heap", b"x" * arguments["size_bytes"], check=task.check)
        for _ in range(arguments["count"])
    ]
    return " ".join(names)


def _own(*_):
    return "done in this process"


SECONDS = Argument("seconds", "SECONDS", (int, float), check=_seconds)
for action in (
    Action(
        "echo",
        _echo,
        Argument("text", "TEXT", (str,)),
        Argument("times", "N", (int,), check=int, default=1, help="how often"),
        help="answer TEXT",
    ),
    Action(
        "work",
        _work,
        SECONDS,
        help="wait for SECONDS",
        long=True,
        duration_s=lambda arguments: float(arguments["seconds"]),
    ),
    Action("uncancellable", _uncancellable, SECONDS, help="never cancelled", long=True),
    Action("refuse", _refuse, help="refuse", long=True),
    Action("fail", _fail, help="fail", long=True),
    Action("exit", _exit, help="exit", long=True),
    Action("fork", _fork, help="fork", long=True),
    Action(
        "capture",
        _capture,
        Argument("size_bytes", "BYTES", (int,), check=int),
        Argument("count", "N", (int,), check=int, default=1),
        help="store artefacts",
        long=True,
    ),
    Action("own", _own, help="own process only", own_process_only=True),
):
    ACTIONS.register(action)
