"""Reads a run with the monitor if it can be imported: an environment may have no numpy."""

import io
import json
from importlib.util import find_spec

AVAILABLE = find_spec("numpy") is not None
WHY_NOT = "the monitor needs numpy"


def exported(directory, metric):
    """Return (values of the metric in `pprofplus-tui export`, number of skipped pages)."""
    from pprofplus_tui.export import write_rows
    from pprofplus_tui.sources.local.local_run import LocalRun
    from pprofplus_tui.sources.local.run_log import open_log

    out = io.BytesIO()
    run = LocalRun(open_log(str(directory)))
    _, skipped = write_rows([run], 0, 1 << 50, out, form="jsonl", metrics=[metric])
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    values = [value for row in rows for name, value in row.items() if name.startswith(metric)]
    return values, skipped


def counted(directory):
    """Return the number of samples in the page heads, read one by one and in blocks."""
    from pprofplus_tui.sources.local.run_log import open_log

    counts = []
    for in_blocks in (False, True):
        run = open_log(str(directory), in_blocks=in_blocks)
        assert run.problems == ()
        counts.append(run.samples)
    return counts


def assert_the_monitor_reads_the_same(run, metric="rss"):
    """Compare the export and the page heads with `run`, which the reference decoder read."""
    if AVAILABLE:
        assert exported(run.directory, metric) == ([row[metric] for *_, row in run.samples], 0)
        assert counted(run.directory) == [len(run.samples)] * 2
