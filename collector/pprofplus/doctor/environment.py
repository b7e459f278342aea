"""What the environment says of the settings, and what of that is malformed."""

from __future__ import annotations

# pathlib costs each command 5 ms
# ruff: noqa: PTH113, PTH118
import os

from pprofplus.doctor.check_report import CheckReport
from pprofplus.settings import ENVIRONMENT, check_service

AUTOSTART = "PPROFPLUS_AUTOSTART"
_AUTOSTART_PID = "PPROFPLUS_AUTOSTART_PID"  # `pprofplus run` sets it
_DISABLED = "PPROFPLUS_DISABLED"
_PREFIX = "PPROFPLUS_"


def examine_environment(report: CheckReport, bootstrap: str) -> None:
    """Say which settings the environment makes; `bootstrap` is what PYTHONPATH should lead to."""
    report.section("settings from the environment")
    given = {name: text for name, text in sorted(os.environ.items()) if name.startswith(_PREFIX)}
    if not given:
        report.tell("none", "the defaults, or what start() is told")
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
            report.trouble(f"{name} is no setting: after PPROFPLUS_ comes one of {known}")
        elif text:
            _examine_setting(report, name, text)


def _examine_setting(report: CheckReport, name: str, text: str) -> None:
    try:
        value = ENVIRONMENT[name](text)
    except ValueError as error:
        report.trouble(f"{name} is passed over: {error}")
        return
    if name == _DISABLED and value:
        report.trouble(f"{name}={text}: nothing is recorded; unset it to record")


def _examine_autostart(report: CheckReport, text: str, bootstrap: str) -> None:
    word = text.lower()
    if word in {"", "0", "false", "no", "off"}:
        return
    if word not in {"1", "true", "yes", "on"}:
        try:
            check_service(text)
        except ValueError as error:
            report.trouble(f"{AUTOSTART} is passed over: {error}")
    place = _first_sitecustomize()
    if place is None or os.path.realpath(place) != os.path.realpath(bootstrap):
        found = "" if place is None else f" ahead of {place}"
        report.trouble(
            f'{AUTOSTART} is set, but starts nothing: put "$(pprofplus autostart)", which is '
            f"{bootstrap}, into PYTHONPATH{found}"
        )


def _first_sitecustomize() -> str | None:
    """Return the first directory of PYTHONPATH that has a sitecustomize, or None."""
    for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        if entry and os.path.isfile(os.path.join(entry, "sitecustomize.py")):
            return entry
    return None
