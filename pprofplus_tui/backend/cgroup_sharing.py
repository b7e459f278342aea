"""Counts the live runs that share the cgroup of the selected run."""

from collections.abc import Iterable
from dataclasses import replace

from pprofplus_tui.model.cgroup_charge import OLDEST_MS, Charge, sharers
from pprofplus_tui.model.runs import RUNNING, Run
from pprofplus_tui.model.verdict import LIMIT, USED, VERDICT_BUCKETS, Verdicts
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.port import RunInfo, RunReader

_USED = (USED, False)


def with_sharers(
    verdicts: Verdicts, reader: RunReader, run: Run, window: Window, infos: Iterable[RunInfo]
) -> Verdicts:
    """Return the verdicts with the number of runs in the cgroup, None in a window of the past.

    Args:
        verdicts: on the run in the window.
        reader: the refreshed reader of the run.
        run: the selected run.
        window: the visible window.
        infos: all runs.
    """
    count = None
    if verdicts.limit_bytes and run.running and window.end_ms > run.end_ms:
        charges = {
            info.id: charge
            for info in infos
            if info.state in RUNNING and (charge := _charge_of(info)) is not None
        }
        mine = charges.pop(run.id, None)
        if mine is not None:
            end_ms = reader.end_ms + 1
            used = reader.query(end_ms - OLDEST_MS, end_ms, VERDICT_BUCKETS, (_USED,))[_USED]
            count = sharers(mine, used, charges.values())
    return verdicts if count == verdicts.sharers else replace(verdicts, sharers=count)


def _charge_of(info: RunInfo) -> Charge | None:
    """Return the charge of the cgroup at the last sample; None without a limit."""
    limit_bytes, used_bytes = info.last.get(LIMIT), info.last.get(USED)
    if not limit_bytes or used_bytes is None:
        return None
    return Charge(info.machine, limit_bytes, used_bytes, info.end_ms)
