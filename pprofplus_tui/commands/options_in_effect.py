"""Merges the command line and the settings into options."""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import datetime, timezone

from pprofplus.log.log_directory import valid_service
from pprofplus_tui.commands.errors import UsageError
from pprofplus_tui.commands.settings_in_effect import is_light, own_colours
from pprofplus_tui.commands.table import Subcommand
from pprofplus_tui.config.config_value import Config
from pprofplus_tui.model.keys import rebound
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.time_grammar import TimeSyntaxError, parse_span, parse_time
from pprofplus_tui.sources.open import log_directories


def options_in_effect(
    arguments: argparse.Namespace,
    row: Subcommand,
    directories: Sequence[str],
    config: Config,
    warning: str,
) -> Options:
    """Return the options; the command line has precedence over the settings.

    `directories` are those named on the command line, `warning` is shown when the monitor opens.
    Raises UsageError with one line about the error.
    """
    service = getattr(arguments, "service", None)
    if service is not None and not valid_service(service):
        raise UsageError(
            f"--service {service!r} is not a valid service name: use 1 to 64 letters, digits "
            "and . _ -"
        )
    begin_ms, end_ms, last_ms = _window_of(arguments)
    if begin_ms is None and end_ms is None and last_ms is None and row.opens_monitor:
        last_ms = config.window_ms
    pids = tuple(dict.fromkeys(getattr(arguments, "pids", None) or ()))
    if len(pids) > 1 and row.one_pid:
        raise UsageError("the monitor takes one --pid, or a --service to show all its processes")
    encoding = (getattr(sys.stderr, "encoding", None) or "ascii").lower().replace("-", "")
    return Options(
        directories=log_directories(
            directories or config.directories, all_users=getattr(arguments, "all_users", False)
        ),
        service=service,
        pid=pids[0] if len(pids) == 1 else None,
        pids=pids,
        begin_ms=begin_ms,
        end_ms=end_ms,
        last_ms=last_ms,
        # a terminal that is not UTF-8 would show braille as \\u28xx
        plain=(getattr(arguments, "ascii", False) or config.ascii)
        or encoding not in {"utf8", "utf16", "utf32"},
        colourless=bool(os.environ.get("NO_COLOR")),
        light=getattr(arguments, "light", False) or is_light(config, os.environ),
        mouse=not (getattr(arguments, "no_mouse", False) or config.no_mouse),
        low_bandwidth=getattr(arguments, "low_bandwidth", False) or config.low_bandwidth,
        chart_options=config.chart_options,
        keys=rebound(config.keys),
        colours=own_colours(config),
        notice=warning,
    )


def _window_of(arguments: argparse.Namespace) -> tuple[int | None, int | None, int | None]:
    """Return (begin_ms, end_ms, last_ms) of the command line. Raises UsageError."""
    now = datetime.now(timezone.utc)
    begin, end, last = (getattr(arguments, name, None) for name in ("begin", "end", "last"))
    try:
        begin_ms = None if begin is None else parse_time(begin, now, None)
        end_ms = None if end is None else parse_time(end, now, None, begin_ms)
        last_ms = None if last is None else parse_span(last)
    except TimeSyntaxError as error:
        raise UsageError(str(error)) from error
    if begin_ms is not None and end_ms is not None:
        if last_ms is not None:
            raise UsageError("give at most two of --begin, --end and --last")
        if end_ms <= begin_ms:
            raise UsageError("--end is not after --begin")
    return begin_ms, end_ms, last_ms
