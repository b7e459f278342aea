"""`pprofplus outcome`: records how systemd saw a main process end, for ExecStopPost=."""

from __future__ import annotations

# pathlib costs each command 5 ms
import argparse
import os
import sys

from pprofplus.commands.common_arguments import add_directory_option, checked, print_error
from pprofplus.settings import check_service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.log.outcome_file import OutcomeFile

_RESULTS = {
    "timeout": "it did not stop in time",
    "watchdog": "its watchdog timed out",
    "oom-kill": "the OOM killer killed a process of the unit",
    "core-dump": "core dumped",
    "protocol": "it violated the protocol of its Type=",
    "resources": "systemd had no resources left",
}
_SYSTEMCTL_TIMEOUT_S = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the service and the log directory."""
    parser.description = (
        "Reads the environment that systemd gives to ExecStopPost= (SERVICE_RESULT, EXIT_CODE, "
        "EXIT_STATUS), and records it in the log of the main process. Exit codes: 0 recorded, or "
        "the process has no log; 1 failed; 2 wrong usage."
    )
    parser.add_argument(
        "--service",
        metavar="NAME",
        type=checked(check_service),
        help="only runs of this service",
    )
    add_directory_option(parser)


def run(options: argparse.Namespace) -> int:
    """Record it; return the exit code."""
    from pprofplus.log.discovery import log_directories
    from pprofplus.log.outcome_file import find_run, write_outcome

    result = os.environ.get("SERVICE_RESULT")
    if not result:
        print_error("SERVICE_RESULT is not set: call this from ExecStopPost= of a unit")
        return 2
    outcome = outcome_of(result, os.environ.get("EXIT_CODE", ""), os.environ.get("EXIT_STATUS", ""))
    pid = _main_pid()
    if outcome is None or pid is None:
        print_error("systemd does not say how a main process ended: nothing is recorded")
        return 0
    directory = find_run(log_directories(options.dir), pid, 0, options.service)
    if directory is None:
        print_error(f"no run of pid {pid} in the log directory (see pprofplus where)")
        return 0
    try:
        write_outcome(directory, outcome)
    except OSError as error:
        print_error(f"cannot write to {directory}: {error.strerror}")
        return 1
    sys.stdout.write(f"{directory}: {outcome.text}\n")
    return 0


def outcome_of(result: str, code: str, status: str) -> OutcomeFile | None:
    """Return the outcome from systemd's variables; None if no process of the unit ended.

    `result` is $SERVICE_RESULT, `code` is "exited", "killed" or "dumped", `status` is an exit code
    or the name of a signal without SIG.
    """
    from pprofplus.log.outcome_file import OutcomeFile

    detail = f": {_RESULTS[result]}" if result in _RESULTS else ""
    observer = "systemd"
    if code == "exited" and status.isdecimal():
        exit_code = int(status)
        return OutcomeFile(
            observer, f"exit code {exit_code}{detail}", exit_code=exit_code, oom_killed=False
        )
    number = _signal_number(status)
    if code not in {"killed", "dumped"} or number is None:
        return None
    by_oom_killer = result == "oom-kill" and status == "KILL"
    text = (
        "killed by the OOM killer (SIGKILL)" if by_oom_killer else f"killed by SIG{status}{detail}"
    )
    return OutcomeFile(observer, text, signal=number, oom_killed=by_oom_killer)


def _signal_number(name: str) -> int | None:
    import signal

    found = getattr(signal, f"SIG{name}", None)
    return int(found) if isinstance(found, signal.Signals) else None


def _main_pid() -> int | None:
    """Return the pid of the unit's main process that ended, or None.

    systemd no longer sets $MAINPID for ExecStopPost=, but `systemctl show` prints ExecMainPID.
    """
    text = os.environ.get("MAINPID", "") or _exec_main_pid()
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _exec_main_pid() -> str:
    import subprocess

    unit = _unit()
    if not unit:
        return ""
    command = ["systemctl", "show", "--property=ExecMainPID", "--value", "--", unit]
    if "MANAGERPID" in os.environ:  # of a user's own systemd
        command.insert(1, "--user")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SYSTEMCTL_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _unit() -> str:
    """Return the name of this process's unit, or ""."""
    for part in reversed(_cgroup().split("/")):
        if part.endswith(".service"):
            return part
    return ""


def _cgroup() -> str:
    """Return the path of this process's cgroup in systemd's hierarchy, or ""."""
    from pprofplus.system.descriptor import read_small_file

    try:
        lines = read_small_file("/proc/self/cgroup").decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    paths = dict(line.split(":", 2)[1:] for line in lines if line.count(":") > 1)
    return paths.get("name=systemd") or paths.get("", "")
