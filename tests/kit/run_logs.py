"""Opens logs with the monitor's code. It needs the monitor and numpy."""

from kit.waiting import wait_until
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.run_log import open_log


def open_run(path, **options):
    """Return the log of a run after one read; `path` may also be a writer."""
    return open_log(str(getattr(path, "path", path)), **options)


def open_catalog(log_directory):
    """Return the catalogue of a log directory after one refresh."""
    catalog = Catalog([str(log_directory)])
    catalog.refresh()
    return catalog


def wait_for_runs(catalog, count=1, within_s=60):
    """Refresh a catalogue until it has `count` runs."""

    def has_enough():
        catalog.refresh()
        return len(catalog.runs) >= count

    wait_until(has_enough, within_s, pause_s=0.05, describe=lambda: catalog.runs)
