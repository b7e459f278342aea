"""From the parsed words of a command without a screen to what does it."""

import argparse
import gc
import sys
from collections.abc import Callable

from pprofplus_tui.errors import UsageError
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.time_grammar import TimeSyntaxError, parse_span

# each command imports what it needs: a list must not wait for plotext


def _list(words: argparse.Namespace, options: Options) -> int:
    from pprofplus_tui.headless.listing import list_runs  # noqa: PLC0415

    # a hundred thousand records make no garbage: looking for it takes a third of the time
    gc.disable()
    try:
        return list_runs(options, as_json=words.json, out=sys.stdout, told=sys.stderr)
    finally:
        gc.enable()


def _export(words: argparse.Namespace, options: Options) -> int:
    from pprofplus_tui.headless.exporting import ExportWish, export_runs  # noqa: PLC0415

    metrics = None if words.metrics is None else _names(words.metrics, "--metrics")
    every_ms = _span_ms(words.every)
    wish = ExportWish(tuple(words.runs), words.format, metrics, every_ms, words.output)
    return export_runs(options, wish, sys.stdout.buffer, sys.stderr)


def _plot(words: argparse.Namespace, options: Options) -> int:
    from pprofplus_tui.headless.plotting import PlotWish, plot  # noqa: PLC0415

    metrics = _names(",".join(words.metrics), "--metric") if words.metrics else ()
    wish = PlotWish(words.run, words.chart, metrics, words.width, words.height)
    return plot(options, wish, sys.stdout, sys.stderr)


def _report(words: argparse.Namespace, options: Options) -> int:
    from pprofplus_tui.headless.reporting import report  # noqa: PLC0415

    return report(options, words.runs, words.output, sys.stdout, sys.stderr)


def _pack(words: argparse.Namespace, options: Options) -> int:
    from pprofplus_tui.headless.packing import pack_runs  # noqa: PLC0415

    return pack_runs(options, words.runs, words.output, sys.stderr)


def _pin(words: argparse.Namespace, options: Options) -> int:
    from pprofplus_tui.headless.pinning import pin_run  # noqa: PLC0415

    return pin_run(options, words.run, pinned=words.command == "pin", out=sys.stdout)


def _serve(words: argparse.Namespace, options: Options) -> int:
    from pprofplus_tui.serving import serve  # noqa: PLC0415

    monitor = [f"--dir={path}" for path in options.directories]
    # as they were typed: "-2h" is to be two hours before a page is opened
    for name in ("config", "service", "begin", "end", "last"):
        typed = getattr(words, name, None)
        monitor += [f"--{name}={typed}"] if typed is not None else []
    monitor += [f"--pid={pid}" for pid in options.all_pids]
    monitor += ["--light"] if options.light else []
    where = words.host, words.port
    return serve(*where, monitor, sys.stdout, sys.stderr, light=options.light)


_COMMANDS: dict[str, Callable[[argparse.Namespace, Options], int]] = {
    "list": _list,
    "export": _export,
    "plot": _plot,
    "report": _report,
    "pack": _pack,
    "serve": _serve,
    "pin": _pin,
    "unpin": _pin,
}


def is_headless(command: str | None) -> bool:
    """Tell whether a subcommand needs no screen."""
    return command in _COMMANDS


def run_headless(words: argparse.Namespace, options: Options) -> int:
    """Run the subcommand; return its exit code. Raises UsageError, NothingFoundError, OSError."""
    return _COMMANDS[words.command](words, options)


def _names(text: str, option: str) -> tuple[str, ...]:
    """Return the names in a list with commas, each once. Raises UsageError if there are none."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError(f"{option} needs names, as in  {option} rss,heap_used")
    return names


def _span_ms(text: str | None) -> int | None:
    """Return a span of time. Raises UsageError."""
    try:
        return None if text is None else parse_span(text)
    except TimeSyntaxError as error:
        raise UsageError(str(error)) from error
