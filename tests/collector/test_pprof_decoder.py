"""Decodes pprof profiles: strict, bounded, and with one error for anything malformed."""

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pprofplus.errors import ProfileFormatError
from pprofplus.profiles import pprof_decoder
from pprofplus.profiles.pprof_decoder import decode_profile
from pprofplus.profiles.pprof_encoder import ProfileBuilder, _message, _number


def example():
    profile = ProfileBuilder((("samples", "count"), ("cpu", "nanoseconds")))
    leaf, root = profile.location("f", "/f.py", 2, 1), profile.location("g", "/g.py", 200, 100)
    for i in range(20):
        profile.add([leaf] * (i % 3) + [root], [1, i], [("thread", f"t{i}")])
    return profile


def message(field, *parts):
    """Return a field with a message; parts are (field, number or bytes)."""
    body, outer = bytearray(), bytearray()
    for number, value in parts:
        if isinstance(value, int):
            _number(body, number, value)
        else:
            _message(body, number, value, empty=True)
    _message(outer, field, body, empty=True)
    return bytes(outer)


STRINGS = b"".join(
    bytes([0x32, len(text)]) + text for text in (b"", b"samples", b"count", b"f", b"f.py")
)
TYPE = message(1, (1, 1), (2, 2))
FUNCTION = message(5, (1, 7), (2, 3), (4, 4))
LOCATION = message(4, (1, 9), (4, bytes([8, 7, 16, 3])))
SAMPLE = message(2, (1, 9), (2, 5))
WHOLE = STRINGS + TYPE + FUNCTION + LOCATION + SAMPLE


def test_a_profile_with_unpacked_numbers_and_tables_in_any_order_is_read():
    for raw in (WHOLE, SAMPLE + LOCATION + FUNCTION + TYPE + STRINGS):
        found = decode_profile(raw)
        assert found.frames == [("f", "f.py", 3, 0)]
        assert found.samples == [((0,), (5,), ())]


def test_inlined_functions_are_frames_and_a_location_without_lines_is_its_address():
    inlined = message(4, (1, 10), (4, bytes([8, 7, 16, 3])), (4, bytes([8, 7, 16, 9])))
    address = message(4, (1, 11), (3, 0xABC))
    sample = message(2, (1, bytes([10, 11])), (2, 5))
    found = decode_profile(WHOLE + inlined + address + sample)
    names = [[found.frames[i] for i in stack] for stack, _, _ in found.samples]
    assert names[1] == [("f", "f.py", 3, 0), ("f", "f.py", 9, 0), ("0xabc", "", 0, 0)]


def test_unknown_fields_of_all_types_are_ignored():
    unknown = bytes(
        [0xF8, 0x01, 5, 0xF9, 0x01, *[0] * 8, 0xFA, 0x01, 2, 0, 0, 0xFD, 0x01, *[0] * 4]
    )
    assert decode_profile(WHOLE + unknown).samples == decode_profile(WHOLE).samples


def test_several_members_of_gzip_are_one_file():
    raw = example().encode_raw()
    half = len(raw) // 2
    packed = gzip.compress(raw[:half]) + gzip.compress(raw[half:])
    assert decode_profile(packed).samples == decode_profile(raw).samples


@pytest.mark.parametrize(
    "raw",
    {
        "nothing": b"",
        "no strings": TYPE,
        "no sample types": STRINGS,
        "the first string is not empty": b"\x32\x01x" + TYPE,
        "a string that is missing": STRINGS + message(1, (1, 99), (2, 2)),
        "a location that is missing": STRINGS + TYPE + SAMPLE,
        "a function that is missing": STRINGS + TYPE + LOCATION + SAMPLE,
        "an id that is not unique": WHOLE + LOCATION,
        "an id that is 0": STRINGS + TYPE + message(5, (2, 3)),
        "too many values": WHOLE + message(2, (1, 9), (2, 5), (2, 5)),
        "no value": WHOLE + message(2, (1, 9)),
        "a label without a key": WHOLE + message(2, (2, 5), (3, bytes([16, 3]))),
        "a number for a message": STRINGS + b"\x08\x01",
        "a message for a number": WHOLE + b"\x4a\x00",
        "a field without a number": WHOLE + b"\x00\x00",
        "a group": WHOLE + b"\x0b",
        "a message that is cut off": WHOLE[:-1],
        "a number that is cut off": WHOLE + b"\x48\xff",
        "a number of 11 bytes": WHOLE + b"\x48" + b"\xff" * 10 + b"\x01",
        "a number above 64 bits": WHOLE + b"\x48" + b"\xff" * 9 + b"\x02",
        "gzip that is cut off": gzip.compress(WHOLE)[:-3],
        "gzip with a wrong sum": gzip.compress(WHOLE)[:-8] + b"\0" * 8,
        "gzip with a tail": gzip.compress(WHOLE) + b"tail",
    }.items(),
    ids=lambda item: item[0],
)
def test_a_malformed_profile_is_refused(raw):
    with pytest.raises(ProfileFormatError):
        decode_profile(raw[1])


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused(monkeypatch):
    bomb = gzip.compress(b"\0" * 1_000_000)
    monkeypatch.setattr(pprof_decoder, "MAX_RAW_BYTES", 1000)
    with pytest.raises(ProfileFormatError, match="too long"):
        pprof_decoder.unpack_gzip(bomb, 1000)


def test_stacks_that_are_too_deep_or_too_many_are_refused(monkeypatch):
    deep = WHOLE + message(2, (1, bytes([9]) * 50), (2, 5))
    assert len(decode_profile(deep).samples) == 2
    monkeypatch.setattr(pprof_decoder, "MAX_DEPTH", 49)
    with pytest.raises(ProfileFormatError, match="deep"):
        decode_profile(deep)
    monkeypatch.setattr(pprof_decoder, "MAX_FRAMES", 50)
    with pytest.raises(ProfileFormatError):
        decode_profile(WHOLE + message(2, (1, bytes([9]) * 30), (2, 5)) * 2)


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused(data):
    for raw in (data, WHOLE + data, zlib.compress(data, wbits=31)):
        try:
            decode_profile(raw)
        except ProfileFormatError:
            continue


def test_a_damaged_profile_is_decoded_or_refused():
    raw, chance = example().encode_raw(), random.Random(1)
    refused = 0
    for _ in range(3000):
        damaged = bytearray(raw)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            found = decode_profile(bytes(damaged))
        except ProfileFormatError:
            refused += 1
            continue
        assert all(index < len(found.frames) for stack, _, _ in found.samples for index in stack)
    assert 300 < refused < 3000
