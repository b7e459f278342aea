"""Takes any set of kinds: all checks first, one request at a time, each part stored at once."""

import os
import sys
import threading

import pytest

from kit import extra_kinds
from kit.waiting import wait_until
from pprofplus.control.long_actions import ActionCancelledError
from pprofplus.log.artefacts import artefact_name
from pprofplus.profiles import taking
from pprofplus.profiles.capture import MAX_HZ, ProfileRefusedError
from pprofplus.profiles.kinds import KINDS
from pprofplus.profiles.pprof_decoder import decode_profile
from pprofplus.profiles.pprof_encoder import ProfileBuilder
from pprofplus.profiles.source_lines import parse_source_lines
from pprofplus.profiles.taking import check_hz, check_kinds, check_seconds, take_profiles
from pprofplus.version import __version__

UNIX_MS = 1_795_000_000_000


class Task:
    """A task that a test cancels, and its reports."""

    window_over = False

    def __init__(self):
        self.cancelled = threading.Event()
        self.reports = []

    def check(self):
        if self.cancelled.is_set():
            raise ActionCancelledError

    def wait(self, timeout_s):
        self.cancelled.wait(timeout_s)
        self.check()

    def report(self, share, text=""):
        self.reports.append((share, text))


class Files:
    """A store in memory, by name."""

    def __init__(self, fails=()):
        self.content = {}
        self.fails = fails

    def store(self, kind, data, why, suffix, unix_ms):
        if kind in self.fails:
            raise OSError(28, "No space left on device")
        if suffix == "pb.gz":  # as if the name that it asks for were in use
            unix_ms = UNIX_MS + len(self.content)
        name = artefact_name(unix_ms, kind, why, suffix)
        self.content[name] = data
        return name

    def kinds(self):
        return [name.split("-")[1].split(".")[0] for name in self.content if "src" not in name]


@pytest.fixture(autouse=True)
def calls():
    extra_kinds.calls.clear()
    extra_kinds.undone.clear()
    remove = extra_kinds.install()
    yield extra_kinds.calls
    remove()


def take(*kinds, task=None, files=None, **options):
    files = Files() if files is None else files
    found = take_profiles(kinds, task or Task(), files.store, service="api", **options)
    return found, files


def test_all_kinds_are_checked_before_the_first_is_taken(calls):
    with pytest.raises(ProfileRefusedError, match="force it"):
        take("window", "refused")
    assert [call[0] for call in calls] == ["check"]
    with pytest.raises(ProfileRefusedError):
        take("windowb", "refused", "window")
    assert {call[0] for call in calls} == {"check"}
    take("window", "refused", force=True)
    assert ("take", "refused") in calls


def test_kinds_of_one_module_share_a_window_and_moments_come_first(calls):
    _, files = take("windowb", "moment", "window")
    assert [call for call in calls if call[0] == "take"] == [
        ("take", "moment", "window"),
        ("take", "windowb"),
    ]
    assert files.kinds() == ["moment", "window", "windowb"]


def test_a_kind_that_is_named_twice_is_taken_once_and_an_unknown_one_is_refused():
    assert check_kinds(["window", "moment", "window"]) == ("moment", "window")
    for kinds in ([], ["window", "nope"], ["window", 3], [["window"]], ["\x1b[31m"]):
        with pytest.raises(ValueError, match="use cpu, wall") as error:
            check_kinds(kinds)
        assert error.match("kind of profile")
        assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("value", [-1, MAX_HZ + 1, "x", None, float("nan"), float("inf")])
def test_a_rate_out_of_its_range_is_refused(value):
    with pytest.raises(ValueError, match="hz"):
        check_hz(value)


@pytest.mark.parametrize("value", [-1, 3601, "x", None, float("nan"), float("inf")])
def test_a_window_out_of_its_range_is_refused(value):
    with pytest.raises(ValueError, match="seconds"):
        check_seconds(value)


def test_a_profile_says_what_was_profiled_where_and_why():
    taken, files = take("moment", "window", why="limit-75", seconds=0.1, hz=50)
    profile = decode_profile(files.content[taken.profiles[0].name])
    assert profile.program == "api"
    assert profile.comments == [
        f"host: {os.uname().nodename}",
        f"pid: {os.getpid()}",
        "service: api",
        f"python: CPython {'.'.join(map(str, sys.version_info[:3]))}",
        "platform: linux",
        f"collector: pprofplus {__version__}",
        "why: limit-75",
        "longest hold of the GIL: 2.5 ms",
    ]
    assert profile.samples[0][1] == (50, 100_000_000)
    assert [(each.kind, each.note, each.hold_ms) for each in taken.profiles] == [
        ("moment", "a note", 2.5),
        ("window", "a note", 2.5),
    ]
    assert all(each.size_bytes == len(files.content[each.name]) for each in taken.profiles)


def test_the_progress_announces_the_expected_pause_and_only_grows():
    task = Task()
    take("moment", "windowb", task=task)
    assert "a pause of about 7 ms" in task.reports[0][1]
    shares = [share for share, _ in task.reports]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_source_lines_have_the_name_of_their_profile():
    taken, files = take("moment")
    (profile,) = taken.profiles
    packed = files.content[f"{profile.name.removesuffix('pb.gz')}src.gz"]
    ((name, lines),) = parse_source_lines(packed).files.items()
    assert name == extra_kinds.__file__
    first = extra_kinds.take.__code__.co_firstlineno
    assert lines[first] == "def take(request, task):"
    assert list(take("moment", with_source=False)[1].content) == [profile.name]


def test_each_part_is_stored_before_the_next_kind_is_taken(calls):
    stored = []

    def store(kind, data, why, suffix, unix_ms):
        stored.append((kind, suffix, list(calls)))
        return kind

    take_profiles(("moment", "windowb"), Task(), store, service="api")
    assert [(kind, suffix) for kind, suffix, _ in stored] == [
        ("moment", "pb.gz"),
        ("windowb", "pb.gz"),
        ("moment", "src.gz"),
        ("windowb", "src.gz"),
    ]
    assert ("take", "windowb") not in stored[0][2]


def test_a_kind_that_fails_does_not_prevent_the_others():
    taken, files = take("broken", "moment", "windowb")
    assert taken.problems == ["windowb, broken: it failed: RuntimeError('a bug')"]
    assert files.kinds() == ["moment", "windowb"]


def test_a_profile_that_cannot_be_stored_does_not_prevent_the_others():
    taken, files = take("moment", "windowb", files=Files(fails=["moment"]))
    assert taken.problems == ["moment: it cannot be stored: No space left on device"]
    assert files.kinds() == ["windowb"]


def test_a_cancelled_request_undoes_its_changes_and_frees_the_process():
    task = Task()
    thread = threading.Thread(target=take_until_cancelled, args=(task,))
    thread.start()
    wait_until(lambda: ("take", "window") in extra_kinds.calls)
    with pytest.raises(ProfileRefusedError, match=r"a profile \(window\) is being taken"):
        take("moment")
    task.cancelled.set()
    thread.join()
    assert extra_kinds.undone == [("window",)]
    assert take("moment")[1].kinds() == ["moment"]


def take_until_cancelled(task):
    with pytest.raises(ActionCancelledError):
        take("window", task=task, seconds=600)


def test_a_forked_child_can_take_a_profile_while_its_parent_takes_one():
    task = Task()
    thread = threading.Thread(target=take_until_cancelled, args=(task,))
    thread.start()
    wait_until(lambda: ("take", "window") in extra_kinds.calls)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if take("moment")[1].kinds() == ["moment"] else 1)
        finally:
            os._exit(2)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        task.cancelled.set()
        thread.join()


def test_the_expected_duration_is_that_of_all_windows():
    assert taking.duration_s(("moment",)) == 0.5
    assert taking.duration_s(("cpu", "wall", "allocs")) == 40
    assert taking.duration_s(("cpu", "wall", "allocs"), 5.0) == 10


def test_every_kind_has_a_meaning_and_a_module():
    for name, kind in KINDS.items():
        assert kind.name == name
        assert kind.meaning
        assert kind.cost in {"low", "pauses", "high"}
        assert bool(kind.warning) == (kind.cost == "high") or kind.module_name.endswith(
            ("_a", "_b")
        )


def test_the_interpreter_switches_fast_while_a_profile_is_encoded_and_then_as_before(monkeypatch):
    before, during = sys.getswitchinterval(), []
    encode = ProfileBuilder.encode
    monkeypatch.setattr(
        ProfileBuilder,
        "encode",
        lambda self: during.append(sys.getswitchinterval()) or encode(self),
    )
    take("moment")
    assert len(during) == 1
    assert during[0] < before / 10
    assert sys.getswitchinterval() == before
