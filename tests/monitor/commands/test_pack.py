"""`pack` and `--dir FILE`: runs in one file, which can be hostile."""

import json
import os
import signal
import stat
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from kit.waiting import wait_until
from pprofplus_tui.sources.local.artefacts import run_artefacts
from pprofplus_tui.sources.local.bundle import BundleError, unpacked

BEGIN_MS = 1_800_000_000_000
MANIFEST = json.dumps({"format": 1, "runs": []})
NAME = "api/7-1800000000000/000001.pplog"


@pytest.fixture
def packed(home, command, tmp_path):
    home.run("api", 1, count=4000, marks=((10, "deploy"),))
    home.run("web", 2, count=30, state="exited")
    out = tmp_path / "run.pplogs"
    done = command("pack", "api/1", "web/2", "-o", out)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"{out}: api 1, web 2, ")
    return out


@pytest.fixture
def spool(tmp_path):
    """The directory of the files that the command unpacks."""
    spool_path = tmp_path / "spool"
    spool_path.mkdir()
    return spool_path


@pytest.mark.parametrize(
    "words",
    [["list"], ["export"], ["export", "web/2"], ["plot", "api/1"], ["export", "--every", "5m"]],
    ids=" ".join,
)
def test_a_bundle_has_the_same_output_as_the_logs_and_leaves_no_files(
    command, packed, spool, words
):
    env = {"TMPDIR": str(spool)}
    there = command(*words, directory=packed, env=env)
    here = command(*words)
    assert (there.returncode, there.stdout, there.stderr) == (0, here.stdout, here.stderr)
    assert list(spool.iterdir()) == []


def test_a_bundle_is_private_and_never_replaces_a_file(command, packed):
    assert stat.S_IMODE(packed.stat().st_mode) == 0o600
    before = packed.read_bytes()
    done = command("pack", "web/2", "-o", packed)
    assert done.returncode == 2
    assert "already exists" in done.stderr
    assert packed.read_bytes() == before
    assert [path.name for path in packed.parent.iterdir()] == ["logs", "run.pplogs"]


def test_a_live_run_is_shown_as_live_when_packed(command, home, tmp_path):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 30_000, count=30, state="live")
    (live,) = json.loads(command("list", "--json").stdout)
    out = tmp_path / "run.pplogs"
    assert command("pack", "api/1", "-o", out).returncode == 0
    (run,) = json.loads(command("list", "--json", directory=out).stdout)
    assert (live["state"], run["state"]) == ("live", "packed")
    assert "live when packed" in command("plot", directory=out).stdout.splitlines()[0]
    assert (run["samples"], run["damaged_pages"]) == (30, 0)


def test_a_run_that_died_is_shown_as_died(command, packed):
    runs = json.loads(command("list", "--json", directory=packed).stdout)
    assert [run["state"] for run in runs] == ["died", "exited"]


def test_a_bundle_keeps_the_cause_of_a_death(home, command, tmp_path):
    path = home.run("api", 1, count=30)
    Path(path, "outcome").write_text(json.dumps({"by": "systemd", "signal": 15}))
    other = home.run("web", 2, count=30)
    Path(other, "outcome").write_text(json.dumps({"by": "systemd", "oom_killed": True}))
    out, again = tmp_path / "run.pplogs", tmp_path / "again.pplogs"
    assert command("pack", "api/1", "web/2", "-o", out).returncode == 0
    assert command("pack", "api/1", "web/2", "-o", again, directory=out).returncode == 0
    for bundle in (out, again):
        runs = json.loads(command("list", "--json", directory=bundle).stdout)
        assert [run["state"] for run in runs] == ["exited", "died"]
        output = command("plot", "web/2", directory=bundle).stdout
        assert output.startswith("web 2  died: out of memory")


@pytest.mark.parametrize(
    "cause",
    [None, 7, "oom", [1], {"kind": "murder"}, {"kind": "oom", "short": "\x1b[31m" * 9999}],
)
def test_a_forged_cause_in_a_bundle_is_ignored(home, command, tmp_path, cause):
    path = Path(home.run("api", 1, count=30))
    manifest = {
        "format": 1,
        "runs": [{"path": f"api/{path.name}", "state": "died", "cause": cause}],
    }
    out = tmp_path / "run.pplogs"
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.write(path / "000001.pplog", f"api/{path.name}/000001.pplog")
    done = command("plot", directory=out)
    assert (done.returncode, done.stdout[:12]) == (0, "api 1  died ")
    assert "\x1b" not in done.stdout


def test_a_bundle_of_an_earlier_version_opens_without_causes(home, command, tmp_path):
    path = Path(home.run("api", 1, count=30))
    runs = [{"path": f"api/{path.name}", "state": "stalled"}]
    out = tmp_path / "run.pplogs"
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("manifest.json", json.dumps({"format": 1, "runs": runs}))
        archive.write(path / "000001.pplog", f"api/{path.name}/000001.pplog")
    (run,) = json.loads(command("list", "--json", directory=out).stdout)
    assert run["state"] == "packed"


def test_a_run_being_written_is_packed_without_damage(home, command, tmp_path):
    program = (
        "import pprofplus, sys; "
        f"pprofplus.start('busy', directory={str(home.path)!r}, interval_s=0.05); "
        "sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as service:
        try:
            wait_until(lambda: list(home.path.glob("busy/*/*.pplog")))
            for i in range(5):
                out = tmp_path / f"{i}.pplogs"
                done = command("pack", f"busy/{service.pid}", "-o", out)
                assert done.returncode == 0, done.stderr
                (run,) = json.loads(command("list", "--json", directory=out).stdout)
                assert run["damaged_pages"] == 0
        finally:
            service.stdin.close()


def test_a_bundle_and_a_directory_are_one_list(command, home, packed, tmp_path):
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    home.path = other
    home.run("zebra", 9, count=3)
    done = command("list", "--json", "--dir", packed)
    assert [run["service"] for run in json.loads(done.stdout)] == ["api", "web", "zebra"]


def test_a_run_that_does_not_exist_leaves_no_file(command, home, tmp_path):
    home.run("api", 1, count=3)
    done = command("pack", "api/2", "-o", tmp_path / "run.pplogs")
    assert done.returncode == 1
    assert not (tmp_path / "run.pplogs").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_unpacked_files_are_removed_after_a_signal(packed, spool, number):
    reading, writing = os.pipe()
    words = [sys.executable, "-m", "pprofplus_tui", "export", "--dir", str(packed)]
    environment = {**os.environ, "TMPDIR": str(spool)}
    with subprocess.Popen(words, stdout=writing, env=environment) as process:
        os.close(writing)
        assert os.read(reading, 100)  # the rest does not fit into a pipe: it waits
        assert len(list(spool.iterdir())) == 1
        process.send_signal(number)
        assert process.wait(60) in {128 + number, -number}
    os.close(reading)
    assert list(spool.iterdir()) == []


# -- hostile archives


def archive(path, *entries, manifest=MANIFEST):
    """Write a zip archive of (name or ZipInfo, bytes)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        if manifest is not None:
            out.writestr("manifest.json", manifest)
        for name, data in entries:
            out.writestr(name, data)
    return path


def link():
    entry = zipfile.ZipInfo(NAME)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def other_method():
    entry = zipfile.ZipInfo(NAME)
    entry.compress_type = zipfile.ZIP_LZMA
    return entry


HOSTILE = {
    "above": [("../../etc/000001.pplog", b"x")],
    "absolute": [("/etc/7-1/000001.pplog", b"x")],
    "dots": [("../7-1/000001.pplog", b"x")],
    "here": [("./7-1/000001.pplog", b"x")],
    "backslash": [("api\\7-1\\000001.pplog", b"x")],
    "other file": [("api/7-1/pinned", b"x")],
    "other number": [("api/7-1/0000001.pplog", b"x")],
    "deeper": [("api/7-1/x/000001.pplog", b"x")],
    "line break": [("api/7-1/000001.pplog\n", b"x")],
    "escape": [("\x1b]0;x\x07", b"x")],
    "directory": [("api/7-1/", b"")],
    "link": [(link(), b"/etc/passwd")],
    "method": [(other_method(), b"x")],
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE)
def test_an_archive_with_anything_but_segments_is_refused(tmp_path, spool, command, entries):
    path = archive(tmp_path / "x.pplogs", *entries)
    done = command("list", directory=path, env={"TMPDIR": str(spool)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "refused" in done.stderr
    assert done.stderr[:-1].isprintable()
    assert list(spool.iterdir()) == []


def test_two_files_of_one_name_are_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        path = archive(tmp_path / "x", (NAME, b"a"), (NAME, b"b"))
    with pytest.raises(BundleError, match="two files of one name"), unpacked(str(path)):
        pass


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, spool, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(spool))
    path = archive(tmp_path / "x", (NAME, b"\0" * ((1 << 26) + 1)))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(BundleError, match="larger than a segment may be"), unpacked(str(path)):
        pass
    assert list(spool.iterdir()) == []


def test_many_files_are_refused_before_the_index_is_read(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\0" * 100 + b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 60000, 60000, 9, 0, 0))
    with pytest.raises(BundleError, match="more files"), unpacked(str(path)):
        pass
    end = struct.pack("<4H2LH", 0, 0, 1, 1, 9, 0, 0)
    path.write_bytes(b"PK\6\7" + b"\0" * 16 + b"PK\5\6" + end)
    with pytest.raises(BundleError, match="more files"), unpacked(str(path)):
        pass


@pytest.mark.parametrize(
    "manifest",
    [
        None,
        "",
        "[]",
        "[" * 100_000,
        '{"format": 2, "runs": []}',
        '{"format": 1, "runs": 7}',
        '{"format": 1, "runs": [{"path": 1}]}',
        " " * (1 << 23),
    ],
    ids=["none", "empty", "list", "deep", "later", "number", "half", "large"],
)
def test_an_invalid_manifest_is_refused(tmp_path, manifest):
    path = archive(tmp_path / "x", (NAME, b"x"), manifest=manifest)
    with pytest.raises(BundleError, match="refused"), unpacked(str(path)):
        pass


def test_paths_in_the_manifest_are_ignored(tmp_path):
    target = tmp_path / "precious"
    target.mkdir()
    runs = [{"path": path, "state": "live"} for path in (str(target), "../precious", 7, None, "")]
    path = archive(tmp_path / "x", (NAME, b"x"), manifest=json.dumps({"format": 1, "runs": runs}))
    with unpacked(str(path)) as directory:
        assert [p.name for p in directory.rglob("*") if p.is_file()] == ["000001.pplog"]
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert list(target.iterdir()) == []
    assert not directory.exists()


@pytest.mark.parametrize("data", [b"", b"x", b"PK\5\6", b"\0" * 5000, b"PK\3\4" * 50])
def test_a_file_that_is_no_archive_is_a_one_line_error(tmp_path, command, data):
    path = tmp_path / "x.pplogs"
    path.write_bytes(data)
    done = command("list", directory=path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "not a bundle" in done.stderr


def test_any_damage_is_a_one_line_error_or_a_readable_log(packed, tmp_path):
    whole = packed.read_bytes()
    index = range(len(whole) - 250, len(whole))
    for at in (*range(0, len(whole), max(len(whole) // 97, 1)), *index):
        path = tmp_path / "damaged"
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            with unpacked(str(path)) as directory:
                assert isinstance(directory, Path)
        except BundleError as error:
            assert str(error).isprintable()  # noqa: PT017 - either is right


def test_a_pipe_instead_of_a_file_does_not_hang(tmp_path, command):
    os.mkfifo(tmp_path / "pipe")
    done = command("list", directory=tmp_path / "pipe")
    assert done.returncode == 2


# -- artefacts


PROFILE = "1800000000500-heap-limit-75.pb.gz"


def test_a_bundle_carries_the_artefacts_of_its_runs_and_packing_it_again_does_too(
    home, command, tmp_path
):
    run = Path(home.run("api", 1, count=30))
    data = os.urandom(100_000)
    (run / PROFILE).write_bytes(data)
    (run / f".{PROFILE}.new").write_bytes(b"half")
    (run / "notes.txt").write_text("mine")
    out, again = tmp_path / "run.pplogs", tmp_path / "again.pplogs"
    assert command("pack", "api/1", "-o", out).returncode == 0
    assert command("pack", "api/1", "-o", again, directory=out).returncode == 0
    for bundle in (out, again):
        with unpacked(str(bundle)) as directory:
            (found,) = directory.glob("api/*")
            (artefact,) = run_artefacts(str(found))
            assert (artefact.kind, artefact.why, artefact.size_bytes) == (
                "heap",
                "limit-75",
                100_000,
            )
            assert (found / PROFILE).read_bytes() == data
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        with zipfile.ZipFile(bundle) as archive:
            (packed_run,) = json.loads(archive.read("manifest.json"))["runs"]
            assert packed_run["artefacts"] == {PROFILE: 100_000}
            assert not [name for name in archive.namelist() if "notes" in name or ".new" in name]


def test_links_and_huge_files_under_an_artefacts_name_are_not_packed(home, command, tmp_path):
    run = Path(home.run("api", 1, count=30))
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (run / "1-heap.pb.gz").symlink_to(secret)
    with (run / "2-heap.pb.gz").open("wb") as file:
        file.truncate((16 << 20) + 1)
    out = tmp_path / "run.pplogs"
    assert command("pack", "api/1", "-o", out).returncode == 0
    with zipfile.ZipFile(out) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".gz")]


@pytest.mark.parametrize(
    "name",
    [
        "api/7-1800000000000/../1-heap.pb.gz",
        "api/7-1800000000000/heap.pb.gz",
        "api/7-1800000000000/1-heap.sh.gz",
        "api/7-1800000000000/1-heap-\x1b[31m.pb.gz",
        "api/7-1800000000000/.1-heap.pb.gz.new",
        "api/x/1-heap.pb.gz",
        "../7-1800000000000/1-heap.pb.gz",
        "/etc/1-heap.pb.gz",
        "1-heap.pb.gz",
    ],
)
def test_a_bundle_with_an_artefact_under_another_name_is_refused(tmp_path, name):
    out = tmp_path / "run.pplogs"
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("manifest.json", MANIFEST)
        archive.writestr(NAME, b"x")
        archive.writestr(name, b"x")
    with pytest.raises(BundleError, match="refused") as refused, unpacked(str(out)):
        pass
    assert "\x1b" not in str(refused.value)


def test_an_artefact_that_unpacks_to_more_than_the_limit_is_refused(tmp_path):
    out = tmp_path / "run.pplogs"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", MANIFEST)
        archive.writestr("api/7-1800000000000/1-heap.pb.gz", bytes((16 << 20) + 1))
    with pytest.raises(BundleError, match="larger than an artefact may be"), unpacked(str(out)):
        pass
