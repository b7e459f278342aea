"""The local source: runs in log directories on this machine, for `sources.port`."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pprofplus.log import log_directory
from pprofplus_tui.model.runs import RunId
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.kernel_log import KernelLog
from pprofplus_tui.sources.local.local_run import LocalRun
from pprofplus_tui.sources.local.pins import set_pin, toggle_pin
from pprofplus_tui.sources.local.run_log import open_log
from pprofplus_tui.sources.local.sample_counts import counted
from pprofplus_tui.sources.port import Access, RunToPack, Selection
from pprofplus_tui.sources.run_info import RunInfo

_ALL = Selection()
_END_SLOTS = 32  # pages: more than a quarter of an hour at one sample a second


def run_id(path: str) -> RunId:
    """Return the id of the run in the run directory at `path`."""
    return RunId(os.path.abspath(path))  # noqa: PTH100 - keeps links, as the catalogue does


class LocalSource:
    """The runs in some log directories. See `sources.port.Source`."""

    def __init__(self, directories: Sequence[str]) -> None:
        """Make a source of the log directories; missing ones may appear later."""
        self._directories = tuple(directories)
        self._kernel = KernelLog()

    @property
    def where(self) -> str:
        """See the port."""
        return ", ".join(self._directories)

    def catalog(self, selection: Selection = _ALL, *, counting: bool = False) -> Catalog:
        """See the port."""
        return Catalog(
            self._directories,
            service=selection.service,
            pids=selection.pids,
            counting=counting,
        )

    def find_by_name(self, name: str) -> tuple[tuple[RunInfo, ...], tuple[str, ...]]:
        """See the port."""
        service, _, rest = name.strip("/").rpartition("/")
        # read only runs with this pid
        known = log_directory.parse_run_name(rest) or log_directory.parse_run_name(f"{rest}-0")
        pids = () if known is None else known[:1]
        catalog = Catalog(self._directories, service=service, pids=pids)
        catalog.refresh(())
        found = [info for info in catalog.runs if rest in {str(info.pid), Path(info.id).name}]
        return tuple(found), catalog.hiding_problems(service)

    def open(self, run: RunId, access: Access = Access.CHARTS) -> LocalRun:
        """See the port."""
        log = open_log(
            run,
            last_slots=_END_SLOTS if access is Access.END else None,
            in_blocks=access is Access.CHARTS,
        )
        return LocalRun(log, self._kernel)

    def name(self, run: RunId) -> str:
        """See the port."""
        return "/".join(Path(run).parts[-2:])

    def location(self, run: RunId) -> str:
        """See the port; here it is the path of the run directory."""
        return run

    def count(self, info: RunInfo) -> RunInfo:
        """See the port."""
        return counted(info)

    def set_pinned(self, run: RunId, *, pinned: bool) -> None:
        """See the port."""
        set_pin(run, pinned=pinned)

    def toggle_pinned(self, run: RunId) -> bool:
        """See the port."""
        return toggle_pin(run)

    def pack(self, runs: Iterable[RunToPack], path: str | Path) -> int:
        """See the port."""
        from pprofplus_tui.sources.local.bundle import pack  # noqa: PLC0415 - zipfile loads slowly

        return pack(runs, path)
