"""Check of the settings in the environment."""

from __future__ import annotations

# pathlib costs each command 5 ms
# ruff: noqa: PTH113, PTH118
import os

from pprofplus.checkup.report import Report
from pprofplus.settings import ENVIRONMENT, check_service

AUTOSTART = "PPROFPLUS_AUTOSTART"
_AUTOSTART_PID = "PPROFPLUS_AUTOSTART_PID"  # set by `pprofplus run`
_DISABLED = "PPROFPLUS_DISABLED"
_PREFIX = "PPROFPLUS_"


def examine_environment(report: Report, bootstrap: str) -> None:
    """Report the settings in the environment; PYTHONPATH must contain `bootstrap`."""
    report.section("settings from the environment")
    given = {name: text for name, text in sorted(os.environ.items()) if name.startswith(_PREFIX)}
    if not given:
        report.tell("none", "the defaults apply, or the arguments of start()")
    for name, text in given.items():
        report.tell(name.removeprefix(_PREFIX), text or "(empty: the default)")
        if name == AUTOSTART:
            _examine_autostart(report, text.strip(), bootstrap)
            continue
        if name == _AUTOSTART_PID:
            continue
        check = ENVIRONMENT.get(name)
        if check is None:
            known = ", ".join(word.removeprefix(_PREFIX) for word in (*ENVIRONMENT, AUTOSTART))
            report.trouble(f"{name} is not a setting: after PPROFPLUS_ use one of {known}")
        elif text:
            _examine_setting(report, name, text)


def _examine_setting(report: Report, name: str, text: str) -> None:
    try:
        value = ENVIRONMENT[name](text)
    except ValueError as error:
        report.trouble(f"{name} is ignored: {error}")
        return
    if name == _DISABLED and value:
        report.trouble(f"{name}={text}: nothing is recorded; unset it to record")


def _examine_autostart(report: Report, text: str, bootstrap: str) -> None:
    word = text.lower()
    if word in {"", "0", "false", "no", "off"}:
        return
    if word not in {"1", "true", "yes", "on"}:
        try:
            check_service(text)
        except ValueError as error:
            report.trouble(f"{AUTOSTART} is ignored: {error}")
    place = _first_sitecustomize()
    if place is None or os.path.realpath(place) != os.path.realpath(bootstrap):
        found = "" if place is None else f" before {place}"
        report.trouble(
            f'{AUTOSTART} is set but has no effect: add "$(pprofplus autostart)", which is '
            f"{bootstrap}, to PYTHONPATH{found}"
        )


def _first_sitecustomize() -> str | None:
    """Return the first directory of PYTHONPATH that has a sitecustomize, or None."""
    for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        if entry and os.path.isfile(os.path.join(entry, "sitecustomize.py")):
            return entry
    return None
