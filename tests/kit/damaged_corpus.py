"""Unpacks the corpus of damaged logs and loads the script that made it."""

import json
import tarfile
from pathlib import Path

from kit.scripts import DAMAGED, load_script

make = load_script(DAMAGED / "make.py")
CASES = json.loads((DAMAGED / "corpus.json").read_text())


def unpack(directory):
    """Write every case below `directory`; each is a log directory with one run."""
    with tarfile.open(DAMAGED / "corpus.tar.xz") as tar:
        for entry in tar:
            path = Path(directory, entry.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tar.extractfile(entry).read())


def log_directory_of(directory, case):
    """Return the log directory of a case that was unpacked below `directory`."""
    return Path(directory, CASES[case]["directory"])


def resealed(page):
    """Return a page with correct CRCs, as far as its lengths allow."""
    return make.sealed(page)
