"""Loads Python files that are in no package: the scripts that make golden and damaged logs."""

import importlib.util
from pathlib import Path

TESTS = Path(__file__).parents[1]
DAMAGED = TESTS / "collector" / "damaged"
GOLDEN = TESTS / "collector" / "golden"


def load_script(path):
    """Return the file as a module; its name contains the directory, as two are called make.py."""
    path = Path(path)
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
