"""The kind `native`: memray tracks a window; its file is the artefact."""

import importlib.util
import json
import zlib

import pytest

from kit.programs import TAKE_PROFILE, WAITING
from pprofplus.log.artefacts import artefact_name, parse_artefact_name

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("memray") is None, reason="memray is not installed"
    ),
]

TRACKED = (
    TAKE_PROFILE
    + WAITING
    + """
import base64, json, os, sys, threading, time
kept = []
def grow(): kept.append(bytearray(50_000))
def serve():
    while not ending.is_set(): grow(); time.sleep(0.002)
ending = threading.Event()
thread = threading.Thread(target=serve)
thread.start()
def done(value):
    ending.set()
    thread.join()
    print(json.dumps(value))
def refused(**options):
    try: take("native", 0.3, **options)
    except ProfileRefusedError as error: return str(error)
"""
)


@pytest.fixture
def dump(run):
    """Run a program, and return what it prints as JSON."""

    def finish(program, *arguments):
        return json.loads(" ".join(run(TRACKED + program, *arguments)))

    return finish


def test_the_artefact_is_memrays_file_and_nothing_is_left_on_the_disk(dump, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    head, suffix, note = dump(
        """
import zlib
part = take("native", 0.5)
done([base64.b64encode(zlib.decompress(part.data, 31)[:6]).decode(), part.suffix, part.note])
"""
    )
    assert head == "bWVtcmF5"  # memray
    assert note == "0.5 s were tracked"
    name = artefact_name(1_795_000_000_000, "native", "", suffix)
    assert parse_artefact_name(name).suffix == "memray.gz"
    assert not list((tmp_path / "temporary").iterdir())


def test_a_host_that_runs_memray_is_refused_and_keeps_it(dump, tmp_path):
    text, size = dump(
        """
import memray
path = sys.argv[1]
with memray.Tracker(path):
    text = refused()
    more = [bytearray(10_000) for _ in range(100)]
done([text, memray.FileReader(path).metadata.total_allocations])
""",
        str(tmp_path / "own.bin"),
    )
    assert text.startswith("the program runs memray already")
    assert size > 100


def test_a_host_with_a_profile_function_is_refused_unless_it_is_forced(dump):
    text, forced = dump(
        """
threading.setprofile(lambda *_: None)
text = refused()
done([text, refused(force=True)])
"""
    )
    assert "has set a profile function" in text
    assert forced is None


def test_a_host_with_greenlets_is_refused(dump):
    pytest.importorskip("greenlet")
    text = dump("import greenlet; main = greenlet.getcurrent(); done(refused())")
    assert "the program uses greenlets" in text


def test_a_cancelled_window_ends_tracking(dump):
    again = dump(
        """
class Cancelled(FreeTask):
    def wait(self, timeout_s): raise KeyError
try: take("native", 5.0, task=Cancelled())
except KeyError: pass
done(refused())
"""
    )
    assert again is None


def test_a_child_that_is_forked_in_the_window_is_not_tracked(dump):
    code, note = dump(
        """
found = []
_start_thread(lambda: found.append(parts_of("native", 1.0)), ())
wait_until(lambda: "memray" in sys.modules)
time.sleep(0.5)
pid = os.fork()
if not pid:
    memory = [bytearray(10_000) for _ in range(1000)]
    os._exit(7)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
wait_until(lambda: found)
done([code, found[0][0].note])
"""
    )
    assert code == 7
    assert note == "1.0 s were tracked"


def test_a_process_may_end_in_the_window(spawn):
    program = (
        TRACKED
        + """
_start_thread(lambda: parts_of("native", 30.0), ())
wait_until(lambda: "memray" in sys.modules)
time.sleep(0.3)
ending.set()
thread.join()
sys.exit(3)
"""
    )
    process = spawn(program)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 3


def test_a_process_that_grows_much_ends_the_window(dump):
    note = dump(
        """
from pprofplus.profiles import native_allocations
native_allocations._MAX_GROWTH_BYTES = 20 << 20
def flood(): kept.append(bytearray(b"x" * (60 << 20)))
threading.Timer(0.8, flood).start()
done(take("native", 30.0).note)
"""
    )
    assert "ended early: RSS grew by" in note


def test_a_file_that_is_too_large_is_not_stored(dump):
    text = dump(
        """
from pprofplus.profiles import native_allocations
native_allocations._MAX_STORED_BYTES = 100
done(refused())
"""
    )
    assert "more than can be stored" in text


def test_without_memray_one_line_says_how_to_get_it(dump):
    text = dump("sys.modules['memray'] = None; done(refused())")
    assert text == "native profiles need memray: pip install memray"


def test_a_file_of_the_capture_is_complete(dump):
    data = dump("done(base64.b64encode(take('native', 0.3).data).decode())")
    import base64

    unpacker = zlib.decompressobj(31)
    unpacker.decompress(base64.b64decode(data))
    assert unpacker.eof
