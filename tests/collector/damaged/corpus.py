"""Unpacks the corpus of damaged logs, and imports the script that made it."""

import importlib.util
import json
import tarfile
from pathlib import Path

HERE = Path(__file__).parent


def load(name, path):
    """Return a script as a module."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = load("damaged_make", HERE / "make.py")
CASES = json.loads((HERE / "corpus.json").read_text())


def unpack(directory):
    """Write every case below `directory`; each is a log directory with one run."""
    with tarfile.open(HERE / "corpus.tar.xz") as tar:
        for entry in tar:
            path = Path(directory, entry.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tar.extractfile(entry).read())


def home_of(directory, case):
    """Return the log directory of a case that was unpacked below `directory`."""
    return Path(directory, CASES[case]["directory"])


def resealed(page):
    """Return a page with corrected CRCs, as far as its lengths allow."""
    return make.sealed(page)
