"""Captures of memray become pprof profiles; what is damaged becomes one line."""

import gzip
import importlib.util
import subprocess
import sys

import pytest

from kit.programs import TAKE_PROFILE
from pprofplus.profiles.pprof_decoder import decode_profile
from pprofplus_tui.profiles import memray_conversion
from pprofplus_tui.profiles.memray_conversion import MemrayConversionError, convert

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("memray") is None, reason="memray is not installed"
)

PROGRAM = (
    TAKE_PROFILE
    + """
import sys, threading, time
kept = []
def grow(): kept.append(bytearray(50_000))
def serve():
    for _ in range(200): grow(); time.sleep(0.002)
threading.Thread(target=serve).start()
open(sys.argv[1], "wb").write(take("native", 1.0).data)
"""
)


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    directory = tmp_path_factory.mktemp("capture")
    program, target = directory / "service.py", directory / "capture.memray.gz"
    program.write_text(PROGRAM)
    subprocess.run([sys.executable, str(program), str(target)], check=True, timeout=60)
    return target.read_bytes()


@pytest.fixture(scope="module")
def profile(capture):
    return decode_profile(convert(capture))


def names(profile, stack):
    return [profile.frames[index][0] for index in stack]


def test_a_capture_becomes_a_profile_of_objects_and_bytes_kept(profile):
    assert profile.sample_types == (("inuse_objects", "count"), ("inuse_space", "bytes"))
    found = [values for stack, values, _ in profile.samples if "grow" in names(profile, stack)]
    assert 100 <= sum(count for count, _ in found) <= 420
    assert sum(size for _, size in found) >= 100 * 50_000


def test_a_stack_has_frames_of_c_above_those_of_python(profile):
    stack = next(
        names(profile, stack)
        for stack, values, _ in profile.samples
        if values[1] > 1_000_000 and "grow" in names(profile, stack)
    )
    assert stack.index("serve") == stack.index("grow") + 1
    assert stack.index("grow") > 0  # the allocation itself is in C


def test_the_window_of_the_profile_is_that_of_the_capture(profile):
    assert 0.8e9 < profile.duration_ns < 30e9
    assert profile.time_ns > 1_700_000_000 * 10**9


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda data: b"", "incomplete"),
        (lambda data: b"no gzip", "damaged"),
        (lambda data: data[:-40], "incomplete"),
        (lambda data: gzip.compress(b"something else" * 100), "no capture of memray"),
    ],
)
def test_what_is_no_capture_is_one_line(capture, damage, text):
    with pytest.raises(MemrayConversionError, match=text) as caught:
        convert(damage(capture))
    assert "\n" not in str(caught.value)


def test_a_capture_that_ends_memray_does_not_end_the_caller(capture, monkeypatch):
    # as if it had crashed: the process that reads it is killed by a signal
    monkeypatch.setattr(memray_conversion, "_TIMEOUT_S", 0.01)
    with pytest.raises(MemrayConversionError, match="too long"):
        convert(capture)


@pytest.mark.slow
def test_any_single_changed_byte_gives_a_profile_or_an_error(capture):
    plain = bytearray(gzip.decompress(capture))
    for at in range(0, len(plain), max(len(plain) // 8, 1)):
        changed = bytes(plain[:at]) + bytes([plain[at] ^ 0xFF]) + bytes(plain[at + 1 :])
        try:
            assert convert(gzip.compress(changed))
        except MemrayConversionError as error:
            assert "\n" not in str(error)


@pytest.mark.slow
def test_a_bomb_is_refused(monkeypatch, capture):
    bomb = gzip.compress(bytes(300 << 20), compresslevel=1)
    with pytest.raises(MemrayConversionError, match="too large"):
        convert(bomb)


def test_the_command_converts_a_file(capture, tmp_path):
    source, target = tmp_path / "x.memray.gz", tmp_path / "x.pb.gz"
    source.write_bytes(capture)
    command = [sys.executable, "-m", "pprofplus_tui.profiles.memray_conversion"]
    subprocess.run([*command, str(source), str(target)], check=True, timeout=60)
    assert decode_profile(target.read_bytes()).samples
