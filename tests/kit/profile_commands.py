"""Takes profiles as a user does, with `pprofplus ctl profile`, and reads what it stored."""

import re
import subprocess
import sys
from pathlib import Path

from pprofplus.profiles.pprof_decoder import decode_profile


def ctl_profile(*arguments, service="api", timeout_s=110, **options):
    """Run `pprofplus ctl profile …` to its end; return the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "pprofplus", "ctl", "profile", *arguments, "--service", service],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        **options,
    )


def begin_profile(start_process, *arguments, service="api"):
    """Start `pprofplus ctl profile …`, which a test can interrupt; return the process."""
    return start_process(
        [sys.executable, "-m", "pprofplus", "ctl", "profile", *arguments, "--service", service],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_profile(path):
    """Return the decoded profile in a file."""
    return decode_profile(Path(path).read_bytes())


def artefacts(log_directory, kind=""):
    """Return the paths of the profiles of a kind, or all, in all runs of a log directory."""
    return sorted(Path(log_directory).glob(f"*/*/[0-9]*-{kind}*.pb.gz"))


def unfinished(log_directory):
    """Return the paths of artefacts, answers and requests that are not complete."""
    return [
        path
        for path in Path(log_directory).rglob("*")
        if path.name.endswith((".new", ".request", ".progress", ".cancel"))
    ]


def functions(profile):
    """Return the names of all functions in a profile."""
    return {name for name, *_ in profile.frames}


def share(profile, pattern, value=0):
    """Return which share of a value a function is on the stack for; a pattern for its name."""
    matching = {
        index for index, (name, *_) in enumerate(profile.frames) if re.search(pattern, name)
    }
    total = sum(values[value] for _, values, _ in profile.samples)
    found = sum(values[value] for stack, values, _ in profile.samples if matching & set(stack))
    return found / total if total else 0.0


def label_values(profile, key):
    """Return the values of a label."""
    return {content for _, _, labels in profile.samples for name, content in labels if name == key}
