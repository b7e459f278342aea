"""Lists the run directories of a log directory when they change; follows no links."""

import os
from collections.abc import Callable, Collection, Iterator

from pprofplus.log import log_directory
from pprofplus_tui.sources.local.safe_files import DirectoryWatch


def by_priority(paths: list[str]) -> list[str]:
    """Return the run directories by priority, the highest last: the newest, and those that may run.

    The pid of a run may be reused, or belong to another container; a pid in use only raises the
    priority.
    """
    if len(paths) == 1:
        return paths
    try:
        pids = set(os.listdir("/proc"))  # noqa: PTH208 - only names are needed
    except OSError:
        pids = set()

    def start(path: str) -> tuple[int, str]:
        return int(path.rpartition("-")[2]), path

    paths = sorted(paths, key=start)
    likely = [path for path in paths if path.rpartition("/")[2].partition("-")[0] in pids]
    chosen = set(likely)
    others = [path for path in paths if path not in chosen]
    # alternate between both, from the end
    turns = [
        path for pair in zip(reversed(likely), reversed(others), strict=False) for path in pair
    ]
    turns.reverse()
    longer = likely if len(likely) > len(others) else others
    return longer[: len(longer) - len(turns) // 2] + turns


class RunDirectories:
    """A log directory: its services, listed when it changes."""

    def __init__(self, path: str, service: str | None, pids: frozenset[int]) -> None:
        self._service = service
        self._pids = pids
        self._listed = _Listed(path, log_directory.valid_service)
        self._services: dict[str, _Listed] = {}  # by path

    def services(self) -> list[str]:
        """Return the names of the services that have run directories."""
        return [
            path.rpartition("/")[2]
            for path in self._listed.paths
            if (self._services.get(path) or _Listed(path, _is_run)).has_any()
        ]

    def hiding_problems(self, service: str | None) -> list[str]:
        """Return why directories of a service, or of any if None, could not be listed."""
        found = [self._listed.problem]
        found += [
            listed.problem
            for path, listed in self._services.items()
            if service in {None, path.rpartition("/")[2]}
        ]
        return [line for line in found if line]

    def refresh(self, now_ns: int, new: list[str], gone: list[str], problems: list[str]) -> None:
        """Append the paths of new runs and of removed runs, and the problems."""
        appeared, left = self._listed.refresh(now_ns, problems)
        for path in left:
            service = self._services.pop(path, None)
            if service is not None:
                gone += service.paths
        for path in appeared:
            if self._service in {None, path.rpartition("/")[2]}:
                self._services[path] = _Listed(path, _is_run)
        for service in self._services.values():
            appeared, left = service.refresh(now_ns, problems)
            gone += left
            new += [path for path in appeared if self._wants(path)]

    def _wants(self, path: str) -> bool:
        return not self._pids or int(path.rpartition("/")[2].partition("-")[0]) in self._pids


def _is_run(name: str) -> bool:
    return log_directory.parse_run_name(name) is not None


class _Listed:
    """A directory, and its subdirectories with valid names.

    Attributes:
        paths: of the subdirectories; links are ignored.
        problem: why it cannot be listed, or "".
    """

    def __init__(self, path: str, is_valid: Callable[[str], bool]) -> None:
        self.paths: set[str] = set()
        self._path = path
        self._is_valid = is_valid
        self._watch = DirectoryWatch(path)
        self.problem = ""

    def has_any(self) -> bool:
        """Return whether there is any such subdirectory."""
        try:
            return bool(self.paths) or any(True for _ in self._found())
        except OSError:
            return False

    def refresh(self, now_ns: int, problems: list[str]) -> tuple[Collection[str], Collection[str]]:
        """Return the (new, removed) paths since the last call."""
        before = self.paths
        try:
            if self._watch.changed(now_ns):
                # known paths keep their string objects, which other data of a run shares
                found = set(self._found())
                gone = before - found
                new = found - before
                self.paths = (before - gone) | new if gone else before | new if new else before
                self.problem = ""
        except FileNotFoundError:
            self.paths, self.problem = set(), ""
        except OSError as error:
            self._watch.invalidate()
            self.paths, self.problem = set(), f"{self._path}: {error.strerror}"
        if self.problem:
            problems.append(self.problem)
        if self.paths is before:
            return (), ()
        return self.paths - before, before - self.paths

    def _found(self) -> Iterator[str]:
        """Yield the paths of the subdirectories with valid names. Raises OSError."""
        known = self.paths
        with os.scandir(self._path) as entries:
            for entry in entries:
                path = f"{self._path}/{entry.name}"
                valid = path in known or self._is_valid(entry.name)
                if valid and entry.is_dir(follow_symlinks=False):
                    yield path
