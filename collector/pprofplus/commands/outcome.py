"""`pprofplus outcome`: note how systemd saw a service's main process end, for ExecStopPost=."""

from __future__ import annotations

# pathlib costs each command 5 ms
import argparse
import os
import sys

from pprofplus.commands import add_dir, checked, complain
from pprofplus.settings import check_service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.commands import Subparsers
    from pprofplus.log.outcome_file import OutcomeFile

_RESULTS = {
    "timeout": "it did not stop in time",
    "watchdog": "its watchdog was not answered",
    "oom-kill": "the OOM killer was at work in the unit",
    "core-dump": "core dumped",
    "protocol": "it broke the protocol of its Type=",
    "resources": "systemd was out of resources",
}
_PATIENCE_S = 5


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "outcome",
        help="note how systemd saw a service end (ExecStopPost=)",
        description="Reads what systemd puts into the environment of ExecStopPost= "
        "(SERVICE_RESULT, EXIT_CODE, EXIT_STATUS), and notes it in the log of the main process. "
        "Exit code: 0 noted, or nothing of it was recorded; 1 failed; 2 usage.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--service",
        metavar="NAME",
        type=checked(check_service),
        help="look among this service's runs alone",
    )
    add_dir(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Note it; return the exit code."""
    from pprofplus.log.discovery import homes  # noqa: PLC0415 - as the package says
    from pprofplus.log.outcome_file import find_run, write_outcome  # noqa: PLC0415 - as above

    result = os.environ.get("SERVICE_RESULT")
    if not result:
        complain("SERVICE_RESULT is not in the environment: call this from ExecStopPost= of a unit")
        return 2
    outcome = outcome_of(result, os.environ.get("EXIT_CODE", ""), os.environ.get("EXIT_STATUS", ""))
    pid = _main_pid()
    if outcome is None or pid is None:
        complain("systemd does not say how a main process ended: nothing is noted")
        return 0
    directory = find_run(homes(options.dir), pid, 0, options.service)
    if directory is None:
        complain(f"no run of pid {pid} in the log directory (pprofplus where): nothing is noted")
        return 0
    try:
        write_outcome(directory, outcome)
    except OSError as error:
        complain(f"cannot write to {directory}: {error.strerror}")
        return 1
    sys.stdout.write(f"{directory}: {outcome.text}\n")
    return 0


def outcome_of(result: str, code: str, status: str) -> OutcomeFile | None:
    """Return the outcome in systemd's words; None if no process of the unit ended.

    `result` is $SERVICE_RESULT, `code` is "exited", "killed" or "dumped", `status` an exit code or
    the name of a signal without SIG.
    """
    from pprofplus.log.outcome_file import OutcomeFile  # noqa: PLC0415 - as above

    more = f": {_RESULTS[result]}" if result in _RESULTS else ""
    by = "systemd"
    if code == "exited" and status.isdecimal():
        exit_code = int(status)
        return OutcomeFile(
            by, f"exit code {exit_code}{more}", exit_code=exit_code, oom_killed=False
        )
    number = _signal_number(status)
    if code not in {"killed", "dumped"} or number is None:
        return None
    by_oom_killer = result == "oom-kill" and status == "KILL"
    text = "killed by the OOM killer (SIGKILL)" if by_oom_killer else f"killed by SIG{status}{more}"
    return OutcomeFile(by, text, signal=number, oom_killed=by_oom_killer)


def _signal_number(name: str) -> int | None:
    import signal  # noqa: PLC0415 - as above

    found = getattr(signal, f"SIG{name}", None)
    return int(found) if isinstance(found, signal.Signals) else None


def _main_pid() -> int | None:
    """Return the pid of the unit's main process that ended, or None.

    systemd has forgotten it for $MAINPID by then, and tells it to whom asks for ExecMainPID.
    """
    text = os.environ.get("MAINPID", "") or _asked_for()
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _asked_for() -> str:
    import subprocess  # noqa: PLC0415 - as above

    unit = _unit()
    if not unit:
        return ""
    words = ["systemctl", "show", "--property=ExecMainPID", "--value", "--", unit]
    if "MANAGERPID" in os.environ:  # of a user's own systemd
        words.insert(1, "--user")
    try:
        done = subprocess.run(  # noqa: S603 - the unit's name is systemd's own
            words, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _unit() -> str:
    """Return the name of the unit that this process is in, or ""."""
    for part in reversed(_cgroup().split("/")):
        if part.endswith(".service"):
            return part
    return ""


def _cgroup() -> str:
    """Return the path of the cgroup in systemd's hierarchy, or ""."""
    from pprofplus.system.descriptor import read_small_file  # noqa: PLC0415 - as above

    try:
        lines = read_small_file("/proc/self/cgroup").decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    paths = dict(line.split(":", 2)[1:] for line in lines if line.count(":") > 1)
    return paths.get("name=systemd") or paths.get("", "")
