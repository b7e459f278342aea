"""The settings of `start()`: from its arguments, else from `PPROFPLUS_*`, else the defaults."""

from __future__ import annotations

import math
import os
import sys

from pprofplus.log.log_directory import default_log_directory, valid_service
from pprofplus.log.retention import DEFAULT_MAX_AGE_DAYS, DEFAULT_MAX_TOTAL_BYTES
from pprofplus.log.run_directory import DEFAULT_MAX_BYTES, MIN_MAX_BYTES
from pprofplus.probes.probe_set import DEFAULT_BUDGET
from pprofplus.system.command_line import (
    NAMELESS,
    module_running,
    service_of_module,
    service_of_script,
)
from pprofplus.warn import warn_once

DEFAULT_INTERVAL_S = 1.0
MIN_INTERVAL_S = 0.05
MAX_INTERVAL_S = 3600.0

_SHOWN_LETTERS = 80

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


class Settings:
    """The settings of a collector; each is also an environment variable.

    Attributes:
        service: `PPROFPLUS_SERVICE`.
        interval_s: `PPROFPLUS_INTERVAL`, seconds.
        max_bytes: `PPROFPLUS_MAX_BYTES`, of one run.
        max_total_bytes: `PPROFPLUS_MAX_TOTAL_BYTES`, of all runs in the log directory.
        max_age_days: `PPROFPLUS_MAX_AGE_DAYS`, of runs that have ended.
        group_readable: `PPROFPLUS_GROUP_READABLE`, "1" or "0".
        budget: `PPROFPLUS_BUDGET`, share of one core for all expensive probes together.
        disabled: `PPROFPLUS_DISABLED`, "1" or "0"; environment only.
    """

    __slots__ = (
        "_directory",
        "budget",
        "disabled",
        "group_readable",
        "interval_s",
        "max_age_days",
        "max_bytes",
        "max_total_bytes",
        "service",
    )

    def __init__(
        self,
        service: str | None = None,
        *,
        interval_s: float | None = None,
        directory: str | os.PathLike[str] | None = None,
        max_bytes: int | None = None,
        max_total_bytes: int | None = None,
        max_age_days: float | None = None,
        group_readable: bool | None = None,
        budget: float | None = None,
    ) -> None:
        """Check and complete the settings.

        Raises ValueError if an argument is out of its range; a malformed environment variable
        causes a warning and is ignored.
        """
        self.service = (
            _from_environment("PPROFPLUS_SERVICE", check_service, default_service())
            if service is None
            else check_service(service)
        )
        self.interval_s = (
            _from_environment("PPROFPLUS_INTERVAL", check_interval_s, DEFAULT_INTERVAL_S)
            if interval_s is None
            else check_interval_s(interval_s)
        )
        self.max_bytes = (
            _from_environment("PPROFPLUS_MAX_BYTES", check_max_bytes, DEFAULT_MAX_BYTES)
            if max_bytes is None
            else check_max_bytes(max_bytes)
        )
        self.max_total_bytes = (
            _from_environment(
                "PPROFPLUS_MAX_TOTAL_BYTES", check_max_total_bytes, DEFAULT_MAX_TOTAL_BYTES
            )
            if max_total_bytes is None
            else check_max_total_bytes(max_total_bytes)
        )
        self.max_age_days = (
            _from_environment("PPROFPLUS_MAX_AGE_DAYS", check_max_age_days, DEFAULT_MAX_AGE_DAYS)
            if max_age_days is None
            else check_max_age_days(max_age_days)
        )
        self.budget = (
            _from_environment("PPROFPLUS_BUDGET", check_budget, DEFAULT_BUDGET)
            if budget is None
            else check_budget(budget)
        )
        self.group_readable = (
            _from_environment("PPROFPLUS_GROUP_READABLE", check_switch, default=False)
            if group_readable is None
            else bool(group_readable)
        )
        self.disabled = _from_environment("PPROFPLUS_DISABLED", check_switch, default=False)
        self._directory = None if directory is None else check_directory(directory)

    @property
    def log_directory(self) -> str:
        """The log directory.

        If none was given, the default of the current user: a server that starts as root runs its
        workers as another user.
        """
        return default_log_directory() if self._directory is None else self._directory


def _from_environment(name: str, check, default):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - a TypeVar would import typing
    text = os.environ.get(name)
    if not text:
        return default
    try:
        return check(text)
    except ValueError as error:
        warn_once(name, f"{name} is ignored: {error}")
        return default


def _shown(value: object) -> str:
    """Return a value for an error message: short, for any value."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - an integer of too many digits, or the caller's own class
        text = f"of type {type(value).__name__}"
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}..."


def check_service(name: object) -> str:
    """Return the service's name. Raises ValueError unless it may be one."""
    if not (isinstance(name, str) and valid_service(name)):
        raise ValueError(f"service {_shown(name)}: use 1 to 64 of A-Z a-z 0-9 . _ -")
    return name


def check_interval_s(interval_s: float | str) -> float:
    """Return the interval in seconds. Raises ValueError unless it is 0.05 to 3600."""
    return _check_number(
        "interval_s", interval_s, MIN_INTERVAL_S, MAX_INTERVAL_S, "0.05 to 3600 seconds"
    )


def _check_number(name: str, given: float | str, least: float, most: float, range_: str) -> float:
    """Return a number. Raises ValueError, which names the range, unless it is in it."""
    try:
        value = float(given)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not least <= value <= most:
        raise ValueError(f"{name} {_shown(given)}: use {range_}")
    return value


def check_max_bytes(max_bytes: int | str) -> int:
    """Return the cap of a run. Raises ValueError unless it is at least 256 KiB."""
    return _check_cap("max_bytes", max_bytes)


def check_max_total_bytes(max_total_bytes: int | str) -> int:
    """Return the cap of the log directory. Raises ValueError unless it is at least 256 KiB."""
    return _check_cap("max_total_bytes", max_total_bytes)


def _check_cap(name: str, given: int | str) -> int:
    try:
        value = int(given)
    except (TypeError, ValueError, OverflowError):
        value = 0
    if not MIN_MAX_BYTES <= value < 1 << 62:
        raise ValueError(f"{name} {_shown(given)}: use {MIN_MAX_BYTES} or more")
    return value


def check_max_age_days(days: float | str) -> float:
    """Return the days that an ended run is kept. Raises ValueError unless 0.01 to 36500."""
    return _check_number("max_age_days", days, 0.01, 36_500, "0.01 to 36500 days")


def check_budget(budget: float | str) -> float:
    """Return the share of a core. Raises ValueError unless it is 0.0001 to 1."""
    return _check_number("budget", budget, 0.0001, 1, "0.0001 to 1 of a core")


def check_switch(text: str) -> bool:
    """Return the value of a switch in the environment. Raises ValueError for another word."""
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"{_shown(text)}: use 1 or 0")
    return word in _TRUE


def check_directory(directory: str | os.PathLike[str]) -> str:
    """Return the absolute path. Raises ValueError if it cannot be one."""
    try:
        path = os.fsdecode(directory)
    except TypeError:
        path = ""
    if not path or "\0" in path:
        raise ValueError(f"directory {_shown(directory)}: use the path of a directory")
    return os.path.abspath(os.path.expanduser(path))


def default_service() -> str:
    """Return the script's name, or the package's under `-m`, as a valid service name."""
    script = sys.argv[0] if getattr(sys, "argv", None) else ""
    # Python itself sets "", "-c", "-" and "-m", the last until it finds the module
    if script == "-m" and (module := module_running()):
        return service_of_module(module)
    return NAMELESS if script in {"-c", "-m", "-"} else service_of_script(script)


ENVIRONMENT = {
    "PPROFPLUS_SERVICE": check_service,
    "PPROFPLUS_INTERVAL": check_interval_s,
    "PPROFPLUS_DIR": check_directory,
    "PPROFPLUS_MAX_BYTES": check_max_bytes,
    "PPROFPLUS_MAX_TOTAL_BYTES": check_max_total_bytes,
    "PPROFPLUS_MAX_AGE_DAYS": check_max_age_days,
    "PPROFPLUS_GROUP_READABLE": check_switch,
    "PPROFPLUS_BUDGET": check_budget,
    "PPROFPLUS_DISABLED": check_switch,
}
"""All environment variables that are settings, and the function that checks each text."""
