"""What the modules of profiles cost a service that never takes one: import time and memory."""

import shutil
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

from tables import Column, Row, Table
from timing import REPOSITORY, Effort, run_script

_COLUMNS = (
    Column("import", "ms"),
    Column("CPU", "ms"),
    Column("start", "ms"),
    Column("memory (RSS)", "MB"),
    Column("unique (USS)", "MB"),
    Column("modules"),
    Column("of them for profiles", compared=False),
)
_NOTES = (
    "In turns, medians; import and memory in addition to threading, socket and json, memory after",
    "two samples. The compared tree: --baseline, or a copy without the modules of profiles.",
)


def _measured(python: str, trees: dict[str, tuple[Path, bool]], effort: Effort) -> dict:
    found: dict[str, list[dict] | str] = {name: [] for name in trees}
    for number in range(effort.count(11, 5, 1) + 1):
        for name, (tree, stacks) in trees.items():
            of_tree = found[name]
            if isinstance(of_tree, str):
                continue
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
                words = ("unused_child.py", directory, int(stacks))
                try:
                    one = run_script(python, *words, collector=tree)
                except RuntimeError as error:
                    found[name] = f"does not run: {error}"
                    continue
            if number:  # the first compiles modules that are not compiled yet
                of_tree.append(one)
    return found


def _row(name: str, found: list[dict] | str) -> Row:
    if isinstance(found, str):
        return Row(name, note=found)

    def median(key: str, scale: float = 1.0) -> float:
        return statistics.median(one[key] / scale for one in found)

    figures = (
        *(median(key) for key in ("import_ms", "import_cpu_ms", "start_ms")),
        *(median(key, 1e6) for key in ("rss", "uss")),
        median("modules"),
        statistics.median(len(one["profile_modules"]) for one in found),
    )
    return Row(name, figures)


def measure(effort: Effort) -> list[Table]:
    """Measure this tree without and with stored stacks, and the tree that it is compared with."""
    own = REPOSITORY / "collector"
    with tempfile.TemporaryDirectory() as scratch:
        if effort.baseline is None:
            # of a library that others cannot read, root loads all modules at the import
            Path(scratch).chmod(0o755)
            compared, name = Path(scratch) / "collector", "the same tree without these modules"
            shutil.copytree(own, compared, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.rmtree(compared / "pprofplus" / "profiles")
        else:
            compared, name = effort.baseline, "the compared tree"
        trees = {
            "no profile, no stacks": (own, False),
            name: (compared, False),
            "with stacks of all threads": (own, True),
        }
        sys.stderr.write("  unused\n")
        version = effort.version(effort.python)
        found = effort.kept.result(
            f"unused {version}", partial(_measured, effort.python, trees, effort)
        )
    if found is None:
        return []
    rows = tuple(_row(*item) for item in found.items())
    return [
        Table(f"A service that never takes a profile, CPython {version}", _COLUMNS, rows, _NOTES)
    ]
