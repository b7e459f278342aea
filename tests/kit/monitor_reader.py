"""What the monitor reads in a run, if it can be imported: a service's environment has no numpy."""

import io
import json
from importlib.util import find_spec

AVAILABLE = find_spec("numpy") is not None
WHY_NOT = "the monitor needs numpy"


def exported(directory, metric):
    """Return (the metric of each sample as `pprofplus-tui export` gives it, pages it skipped)."""
    from pprofplus_tui.export import write_rows  # noqa: PLC0415 - not everywhere
    from pprofplus_tui.sources.local.local_run import LocalRun  # noqa: PLC0415
    from pprofplus_tui.sources.local.run_log import open_log  # noqa: PLC0415

    out = io.BytesIO()
    run = LocalRun(open_log(str(directory)))
    _, skipped = write_rows([run], 0, 1 << 50, out, form="jsonl", metrics=[metric])
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    values = [value for row in rows for name, value in row.items() if name.startswith(metric)]
    return values, skipped


def counted(directory):
    """Return the number of samples in the heads of pages, read one by one and in blocks."""
    from pprofplus_tui.sources.local.run_log import open_log  # noqa: PLC0415

    counts = []
    for in_blocks in (False, True):
        run = open_log(str(directory), in_blocks=in_blocks)
        assert run.problems == ()
        counts.append(run.samples)
    return counts


def assert_the_monitor_reads_the_same(run, metric="rss"):
    """Compare with the reference decoder's `run`: the export, and the heads."""
    if AVAILABLE:
        assert exported(run.directory, metric) == ([row[metric] for *_, row in run.samples], 0)
        assert counted(run.directory) == [len(run.samples)] * 2
