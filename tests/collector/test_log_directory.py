"""The log directory: nothing is written where other users could write."""

import os
from pathlib import Path

import pytest

from kit.environment import needs_root
from pprofplus.errors import UnsafeDirectoryError
from pprofplus.log.log_directory import (
    default_log_directory,
    open_log_directory,
    open_private,
    parse_run_name,
    parse_segment_name,
    run_name,
    segment_name,
    valid_service,
)


def test_the_log_directory_is_the_given_one_else_systemds_else_the_users(monkeypatch):
    monkeypatch.setenv("PPROFPLUS_DIR", "/srv/logs")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/api:/var/lib/other")
    assert default_log_directory() == "/srv/logs"
    monkeypatch.delenv("PPROFPLUS_DIR")
    assert default_log_directory() == "/var/lib/api/pprofplus"
    monkeypatch.delenv("STATE_DIRECTORY")
    assert default_log_directory() == f"/var/tmp/pprofplus-{os.getuid()}"


def test_the_log_directory_is_created_with_its_parents(tmp_path):
    os.close(open_log_directory(str(tmp_path / "a" / "b" / "logs")))
    assert (tmp_path / "a" / "b" / "logs").stat().st_mode & 0o777 == 0o700


def test_under_any_umask_other_users_cannot_write_to_created_parents(tmp_path):
    before = os.umask(0)
    try:
        os.close(open_log_directory(str(tmp_path / "a" / "b" / "logs")))
    finally:
        os.umask(before)
    for made in (tmp_path / "a", tmp_path / "a" / "b"):
        assert made.stat().st_mode & 0o777 == 0o755


def test_a_parent_that_is_not_a_directory_is_an_error(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b").write_text("")
    for name in ("a", "b"):
        with pytest.raises(OSError, match="File exists"):
            open_log_directory(str(tmp_path / name / "logs"))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_directory_that_other_users_can_write_to_is_refused(tmp_path, mode):
    directory = tmp_path / "logs"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(UnsafeDirectoryError, match="chmod go-w"):
        open_private(str(directory))


def test_a_directory_that_other_users_can_only_read_is_accepted(tmp_path):
    directory = tmp_path / "logs"
    directory.mkdir()
    directory.chmod(0o755)
    os.close(open_private(str(directory)))


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_link_is_never_followed(tmp_path, target):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "logs").symlink_to(tmp_path / target)
    with pytest.raises(UnsafeDirectoryError, match="link"):
        open_private(str(tmp_path / "logs"))
    assert not (tmp_path / "nowhere").exists()


def test_a_file_or_a_pipe_instead_of_the_directory_is_refused_without_hanging(tmp_path):
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for name in ("file", "pipe"):
        with pytest.raises(UnsafeDirectoryError, match="not a directory"):
            open_private(str(tmp_path / name))


@needs_root("only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path):
    directory = tmp_path / "logs"
    directory.mkdir(mode=0o700)
    os.chown(directory, 12345, 12345)
    with pytest.raises(UnsafeDirectoryError, match="belongs to uid 12345"):
        open_private(str(directory))


def test_refusing_a_directory_leaks_no_descriptor(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs").chmod(0o777)
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(10):
        with pytest.raises(UnsafeDirectoryError):
            open_private(str(tmp_path / "logs"))
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_names_of_runs_and_segments_are_parsed_as_written():
    assert parse_run_name(run_name(4711, 1_795_000_000_000)) == (4711, 1_795_000_000_000)
    assert parse_segment_name(segment_name(1)) == 1
    assert parse_segment_name(segment_name(1_234_567)) == 1_234_567
    for name in ("000001.pplog.new", ".000001.pplog.new", "1.pplog", "0000a1.pplog", "000001.log"):
        assert parse_segment_name(name) is None
    for name in ("4711", "4711-", "-5", "4711-1-1", "a-1", "4711-1\n"):
        assert parse_run_name(name) is None


def test_a_service_name_has_only_the_allowed_characters():
    assert all(map(valid_service, ("api", "a", "x" * 64, "web-1.2_b", "...")))
    assert not any(
        map(valid_service, ("", ".", "..", "a/b", "x" * 65, "a b", "é", "a\n", "\x1b[1m"))
    )


@needs_root("only root can give a directory away")
@pytest.mark.parametrize("readable", [True, False])
def test_files_inherit_the_group_of_a_volume_if_the_group_may_read(tmp_path, run, readable):
    # like a Kubernetes volume with fsGroup
    volume = tmp_path / "volume"
    volume.mkdir()
    os.chown(volume, -1, 4242)
    volume.chmod(0o2755)
    run(
        f"""
import pprofplus, sys
pprofplus.start("api", directory=sys.argv[1], group_readable={readable}, interval_s=0.05)
""",
        str(volume / "logs"),
    )
    made = [path for path in (volume / "logs").rglob("*") if path.name != ".ledger"]
    assert len(made) == 3
    if readable:
        assert {path.stat().st_gid for path in made} == {4242}
    wanted = ({0o640}, {0o2750}) if readable else ({0o600}, {0o700})
    assert {path.stat().st_mode & 0o7777 for path in made if path.is_file()} == wanted[0]
    assert {path.stat().st_mode & 0o7777 for path in made if path.is_dir()} == wanted[1]
