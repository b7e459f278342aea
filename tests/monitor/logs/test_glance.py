"""A glance at an ended run tells what a look at it tells, or leaves it to the look."""

import fcntl
import importlib.util
import os
import time
import zipfile
from pathlib import Path

import pytest

from pprofplus_tui.logs.catalog import Catalog

COLLECTOR = Path(__file__).parents[2] / "collector"
_spec = importlib.util.spec_from_file_location(
    "glanced_corpus", COLLECTOR / "damaged" / "corpus.py"
)
corpus = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(corpus)

AGO_S = 3600


def age(root):
    """Make everything below `root` as old as it would be an hour after its end."""
    then = time.time() - AGO_S
    for path in Path(root).rglob("*.pplog"):
        os.utime(path, (then, then))


def told(info):
    return (
        *(info.path, info.service, info.pid, info.state, info.begin_ms, info.end_ms),
        *(info.interval_ms, info.size_bytes, info.last.get("rss"), info.pinned, info.metrics),
    )


def both(root):
    """Return (what a glance told, what a look told) of the runs below `root`."""
    glanced, looked = Catalog([str(root)]), Catalog([str(root)])
    glanced.refresh(())
    looked.refresh()
    return glanced.runs, looked.runs


@pytest.fixture
def ended(home):
    home.run("api", 1, count=900)
    home.run("api", 2, count=500, state="exited")
    home.run("batch", 3, count=1)
    home.run("batch", 4, count=9, own=(("depth", "jobs", "gauge", lambda i: i),))
    age(home.path)
    return home


def test_a_glance_tells_what_a_look_tells(ended):
    glanced, looked = both(ended.path)
    assert [told(info) for info in glanced] == [told(info) for info in looked]
    assert [info.whole for info in glanced] == [False] * 4
    assert [info.whole for info in looked] == [True] * 4


def test_of_golden_runs_a_glance_tells_what_a_look_tells(tmp_path):
    with zipfile.ZipFile(COLLECTOR / "golden" / "runs-1.0.zip") as archive:
        archive.extractall(tmp_path)
    age(tmp_path)
    glanced, looked = both(tmp_path)
    assert [told(info) for info in glanced] == [told(info) for info in looked]


def test_of_damaged_runs_too(tmp_path):
    corpus.unpack(tmp_path)
    age(tmp_path)
    for case in corpus.CASES:
        glanced, looked = both(corpus.home_of(tmp_path, case))
        assert [told(info) for info in glanced] == [told(info) for info in looked], case


def test_a_run_that_may_go_on_is_read(home):
    path = Path(home.run("api", 1, count=20))
    assert both(home.path)[0][0].whole  # written to a moment ago
    age(home.path)
    with max(path.glob("*.pplog")).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert both(home.path)[0][0].whole


def test_what_a_glance_left_out_is_read_when_it_is_wanted(ended):
    catalog = Catalog([str(ended.path)])
    catalog.refresh(())
    first, *others = [info.path for info in catalog.runs]
    assert catalog.lacking([first, "/gone"]) == [first]
    assert catalog.complete([first], time.monotonic() + 60)
    assert [info.whole for info in catalog.runs] == [True, False, False, False]
    assert len(catalog.runs[0].recent)
    assert not catalog.complete([first], time.monotonic() + 60)
    assert catalog.complete(others, time.monotonic())  # one at a time if there is no time
    assert sum(info.whole for info in catalog.runs) == 2
    catalog.refresh(())
    assert sum(info.whole for info in catalog.runs) == 2


def test_a_pin_is_seen_after_a_glance(ended):
    catalog = Catalog([str(ended.path)])
    catalog.refresh(())
    time.sleep(0.2)  # past the tick of the clock that files are stamped with
    Path(catalog.runs[0].path, "pinned").touch()
    assert catalog.refresh({catalog.runs[0].path})
    assert [info.pinned for info in catalog.runs] == [True, False, False, False]
