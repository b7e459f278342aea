"""`pprofplus.profile()`: profiles that a program takes of itself, with and without a collector."""

import gzip
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

import pprofplus
from kit import extra_kinds
from kit.processes import IMPORT_PATH
from pprofplus.errors import PprofplusError, ProfileRefusedError
from pprofplus.log.artefacts import parse_artefact_name
from pprofplus.profiles.kinds import KINDS
from pprofplus.profiles.pprof_decoder import decode_profile
from pprofplus.profiles.source_lines import parse_source_lines


@pytest.fixture(autouse=True)
def _extra_kinds(log_directory):
    extra_kinds.calls.clear()
    extra_kinds.undone.clear()
    remove = extra_kinds.install()
    yield
    pprofplus.stop()
    remove()


def names(directory):
    return sorted(os.listdir(directory))


def test_without_collector_and_path_the_profiles_are_bytes():
    found = pprofplus.profile("window", "moment", seconds=0.1).take()
    assert found.files == []
    assert list(found.data) == ["moment", "window"]
    profile = decode_profile(found.data["window"])
    assert profile.samples[0][1] == (100, 100_000_000)
    assert f"pid: {os.getpid()}" in profile.comments
    assert found.notes == ["moment: a note", "window: a note"]


def test_with_a_collector_they_are_artefacts_of_its_run():
    collector = pprofplus.start("api", interval_s=0.05)
    found = pprofplus.profile("moment").take()
    (path,) = found.files
    assert os.path.dirname(path) == collector.directory
    assert decode_profile(Path(path).read_bytes()).program == "api"
    assert found.data == {}
    source = path.replace(".pb.gz", ".src.gz")
    assert parse_source_lines(Path(source).read_bytes()).files


def test_no_source_lines_are_kept_if_the_setting_is_off(tmp_path, monkeypatch):
    collector = pprofplus.start("api", interval_s=0.05, profile_source=False)
    pprofplus.profile("moment").take()
    assert not list(Path(collector.directory).glob("*.src.gz"))
    pprofplus.stop()
    monkeypatch.setenv("PPROFPLUS_PROFILE_SOURCE", "0")
    pprofplus.profile("moment", path=tmp_path / "a.pb.gz").take()
    assert "a.src.gz" not in names(tmp_path)


@pytest.mark.parametrize("collector", [False, True])
def test_with_a_path_they_are_written_there(tmp_path, collector):
    if collector:
        pprofplus.start("api", interval_s=0.05)
    found = pprofplus.profile("moment", path=tmp_path / "a.pb.gz").take()
    assert found.files == [str(tmp_path / "a.pb.gz")]
    assert decode_profile((tmp_path / "a.pb.gz").read_bytes()).samples
    assert parse_source_lines((tmp_path / "a.src.gz").read_bytes()).files
    directory = tmp_path / "directory"
    found = pprofplus.profile("moment", "window", seconds=0.05, path=directory).take()
    assert [parse_artefact_name(os.path.basename(path)).kind for path in found.files] == [
        "moment",
        "window",
    ]
    assert len(names(directory)) == 4


def test_the_window_is_the_block():
    with pprofplus.profile("window") as found:
        assert extra_kinds.calls[-1] == ("take", "window")
        time.sleep(0.1)
        assert found.data == {}
    assert list(found.data) == ["window"]
    assert found.problems == []


def test_start_and_stop_may_be_called_by_different_threads():
    found = pprofplus.profile("window").start()
    thread = threading.Thread(target=found.stop)
    thread.start()
    thread.join()
    assert list(found.data) == ["window"]
    assert found.stop() is found


def test_moments_are_taken_before_the_block():
    with pprofplus.profile("window", "moment", "large") as found:
        assert list(found.data) == ["moment", "large"]
    assert list(found.data) == ["moment", "large", "window"]


def test_kinds_with_windows_of_their_own_cannot_share_a_block():
    with (
        pytest.raises(ValueError, match="one after another"),
        pprofplus.profile("window", "windowb"),
    ):
        pass
    assert list(pprofplus.profile("window", "windowb", seconds=0.02).take().data) == [
        "window",
        "windowb",
    ]


def test_it_may_be_used_again_with_new_results():
    found = pprofplus.profile("moment")
    first = found.take().data["moment"]
    assert found.take().data["moment"] is not first
    with found:
        pass
    assert list(found.data) == ["moment"]


def test_the_calling_thread_waits_and_another_one_takes():
    idents = []
    take = extra_kinds.profile_of
    extra_kinds.profile_of = lambda *_: idents.append(threading.get_ident()) or take(*_)
    try:
        pprofplus.profile("moment").take()
    finally:
        extra_kinds.profile_of = take
    assert threading.get_ident() not in idents


@pytest.mark.parametrize(
    ("kinds", "options"),
    [
        ((), {}),
        (("nope",), {}),
        ((3,), {}),
        (("moment",), {"seconds": -1}),
        (("moment",), {"seconds": "x"}),
        (("moment",), {"hz": 5000}),
        (("moment",), {"path": "a\0b"}),
    ],
)
def test_a_wrong_argument_is_refused_at_once(kinds, options):
    with pytest.raises(ValueError, match=r"."):
        pprofplus.profile(*kinds, **options)
    assert extra_kinds.calls == []


def test_a_refused_profile_is_one_line_and_is_taken_with_force():
    with pytest.raises(ProfileRefusedError, match="force it"):
        pprofplus.profile("refused").take()
    with pytest.raises(ProfileRefusedError), pprofplus.profile("refused"):
        pytest.fail("the block must not run")
    assert list(pprofplus.profile("refused", force=True).take().data) == ["refused"]


def test_only_one_is_taken_at_a_time():
    with pprofplus.profile("window") as found:
        with pytest.raises(ProfileRefusedError, match="being taken"):
            pprofplus.profile("moment").take()
        with pytest.raises(ValueError, match="being taken already"):
            found.take()
    assert list(found.data) == ["window"]


def test_a_failure_is_raised_by_take_but_not_by_the_end_of_a_block(caplog):
    with pytest.raises(PprofplusError, match="broken: it failed"):
        pprofplus.profile("broken", seconds=0.01).take()
    with pprofplus.profile("broken") as found:
        pass
    assert found.problems == ["broken: it failed: RuntimeError('a bug')"]
    assert "a profile was not taken" in caplog.text


def test_an_error_of_the_block_is_not_replaced():
    with pytest.raises(ZeroDivisionError), pprofplus.profile("broken"):
        _ = 1 / 0


def test_a_place_that_cannot_be_written_is_reported(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        pprofplus.profile("moment", path=tmp_path / "missing" / "a.pb.gz").take()
    assert extra_kinds.calls == []


PROGRAM = """
import os, signal, sys, threading, time
from kit import extra_kinds
extra_kinds.install()
import pprofplus
"""


def test_a_signal_is_handled_by_the_main_thread_and_ends_the_profile(spawn, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", IMPORT_PATH)
    process = spawn(
        PROGRAM
        + """
def stop(*_):
    assert threading.current_thread() is threading.main_thread()
    raise KeyboardInterrupt
signal.signal(signal.SIGTERM, stop)
threading.Thread(target=lambda: (time.sleep(0.3), print("up", flush=True))).start()
try:
    pprofplus.profile("window", seconds=600).take()
except KeyboardInterrupt:
    assert extra_kinds.undone == [("window",)]
    print(pprofplus.profile("moment").take().data.keys())
"""
    )
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "dict_keys(['moment'])\n", "")


@pytest.mark.parametrize("collector", ["", "pprofplus.start('api', interval_s=0.05)"])
def test_a_fork_in_a_block_leaves_the_profile_to_the_parent(run, monkeypatch, collector):
    monkeypatch.setenv("PYTHONPATH", IMPORT_PATH)
    program = f"""
{collector}
with pprofplus.profile("window", path="all.pb.gz") as found:
    child = os.fork()
    if child == 0:
        found.stop()
        with pprofplus.profile("moment", path=f"child.pb.gz") as own:
            pass
        assert own.files == ["child.pb.gz"], own.problems
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print(*found.files, *sorted(os.listdir()))
"""
    words = run(f"{PROGRAM}import tempfile; os.chdir(tempfile.mkdtemp())\n{program}")
    assert words[0] == "all.pb.gz"
    assert {"all.pb.gz", "all.src.gz", "child.pb.gz"} <= set(words[1:])
    assert not [word for word in words if word.endswith(".new")]


def test_the_end_of_the_program_does_not_wait_for_a_profile(spawn, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", IMPORT_PATH)
    process = spawn(PROGRAM + "pprofplus.profile('window').start()\n")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


BLOCK = """
import sys, threading, time
import pprofplus
KEPT = []
def work():
    KEPT.extend(bytearray(100) for _ in range(100))
    thread = threading.Thread(target=time.sleep, args=(0.01,))
    thread.start()
    thread.join()
profile = pprofplus.profile(sys.argv[1], path=sys.argv[2])
interval = sys.getswitchinterval()
with profile:
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        work()
assert sys.getswitchinterval() == interval
assert threading.active_count() == 1
print(*profile.files, *profile.problems)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_taken_of_a_block(spawn, tmp_path, kind):
    process = spawn(BLOCK, kind, f"{tmp_path}/profile")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out == f"{tmp_path}/profile\n"
    data = (tmp_path / "profile").read_bytes()
    assert gzip.decompress(data)
    if KINDS[kind].sample_types and kind != "native":
        profile = decode_profile(data)
        assert profile.samples
        if profile.duration_ns:
            assert 0.25 < profile.duration_ns / 1e9 < 60


def test_the_package_is_imported_without_it(run):
    words = run(
        "import sys, pprofplus\n"
        "print(*[name for name in sys.modules if 'profile' in name and 'pprofplus' in name])\n"
        "pprofplus.start('api'); pprofplus.mark('x'); pprofplus.stop()\n"
        "print(*[name for name in sys.modules if name.startswith('pprofplus.profiles')])"
    )
    assert words == []


def test_profiles_of_another_release_are_not_mixed_with_the_loaded_one(spawn, tmp_path):
    package = tmp_path / "library" / "pprofplus"
    shutil.copytree(os.path.dirname(pprofplus.__file__), package)
    process = spawn(
        f"""
import os, sys
sys.path.insert(0, {str(package.parent)!r})
from pprofplus.recording import needed_modules
needed_modules._others_reach = lambda directory: True
import pprofplus
assert pprofplus.__file__.startswith({str(package.parent)!r})
version = pprofplus.__version__
path = os.path.join(os.path.dirname(pprofplus.__file__), "version.py")
with open(path, "w") as file:
    file.write('__version__ = "99.1"')
try:
    pprofplus.profile("threads")
except ValueError as error:
    print(error)
"""
    )
    out, err = process.communicate(timeout=60)
    assert err == ""
    assert "was replaced by release 99.1" in out
    assert "restart the service" in out
