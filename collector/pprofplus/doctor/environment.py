"""Check of the settings in the environment."""

from __future__ import annotations

import os

from pprofplus.doctor.check_report import CheckReport
from pprofplus.settings import ENVIRONMENT, check_service

AUTOSTART = "PPROFPLUS_AUTOSTART"
_AUTOSTART_PID = "PPROFPLUS_AUTOSTART_PID"  # set by `pprofplus run`
_DISABLED = "PPROFPLUS_DISABLED"
_PREFIX = "PPROFPLUS_"


def examine_environment(report: CheckReport, bootstrap: str) -> None:
    """Report the settings in the environment; PYTHONPATH must contain `bootstrap`."""
    report.section("settings from the environment")
    given = {name: text for name, text in sorted(os.environ.items()) if name.startswith(_PREFIX)}
    if not given:
        report.add_line("none", "the defaults apply, or the arguments of start()")
    for name, text in given.items():
        report.add_line(name.removeprefix(_PREFIX), text or "(empty: the default)")
        if name == AUTOSTART:
            _examine_autostart(report, text.strip(), bootstrap)
            continue
        if name == _AUTOSTART_PID:
            continue
        check = ENVIRONMENT.get(name)
        if check is None:
            known = ", ".join(word.removeprefix(_PREFIX) for word in (*ENVIRONMENT, AUTOSTART))
            report.add_problem(f"{name} is not a setting: after PPROFPLUS_ use one of {known}")
        elif text:
            _examine_setting(report, name, text)


def _examine_setting(report: CheckReport, name: str, text: str) -> None:
    try:
        value = ENVIRONMENT[name](text)
    except ValueError as error:
        report.add_problem(f"{name} is ignored: {error}")
        return
    if name == _DISABLED and value:
        report.add_problem(f"{name}={text}: nothing is recorded; unset it to record")


def _examine_autostart(report: CheckReport, text: str, bootstrap: str) -> None:
    word = text.lower()
    if word in {"", "0", "false", "no", "off"}:
        return
    if word not in {"1", "true", "yes", "on"}:
        try:
            check_service(text)
        except ValueError as error:
            report.add_problem(f"{AUTOSTART} is ignored: {error}")
    found_at = _first_sitecustomize()
    if found_at is None or os.path.realpath(found_at) != os.path.realpath(bootstrap):
        found = "" if found_at is None else f" before {found_at}"
        report.add_problem(
            f'{AUTOSTART} is set but has no effect: add "$(pprofplus autostart)", which is '
            f"{bootstrap}, to PYTHONPATH{found}"
        )


def _first_sitecustomize() -> str | None:
    """Return the first directory of PYTHONPATH that has a sitecustomize, or None."""
    for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        if entry and os.path.isfile(os.path.join(entry, "sitecustomize.py")):
            return entry
    return None
