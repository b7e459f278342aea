"""Results of parts of a benchmark, kept in a directory, so that it can be measured in pieces."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path


class KeptResults:
    """Measures each part once; when the time is over, it measures no more.

    Attributes:
        left_out: parts that were not measured because the time was over.
    """

    def __init__(self, directory: Path | None = None, stop_after_s: float | None = None) -> None:
        """Keep results in `directory` if it is given, and begin no part after `stop_after_s`."""
        self._directory = directory
        self._until = None if stop_after_s is None else time.monotonic() + stop_after_s
        self.left_out: list[str] = []

    def result(self, name: str, measure: Callable[[], dict]) -> dict | None:
        """Return what `measure` returns, or returned earlier; None if the time is over."""
        path = self._directory and self._directory / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)}.json"
        if path and path.exists():
            kept: dict = json.loads(path.read_text())
            return kept
        if self._until is not None and time.monotonic() > self._until:
            self.left_out.append(name)
            return None
        found = measure()
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found))
        return found
