"""Encodes pprof profiles: what goes in comes out, equal input is equal bytes, sizes are bounded."""

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pprofplus.profiles import pprof_encoder
from pprofplus.profiles.pprof_decoder import decode_profile
from pprofplus.profiles.pprof_encoder import OTHER, ProfileBuilder

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
FRAME = st.tuples(TEXT.filter(bool), TEXT, st.integers(0, 1 << 40), st.integers(0, 1 << 40))
KEY = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,9}", fullmatch=True)
LABELS = st.dictionaries(KEY, TEXT.filter(bool) | INT64, max_size=3)
SAMPLES = st.lists(
    st.tuples(st.lists(FRAME, max_size=5), st.tuples(INT64, INT64), LABELS), max_size=8
)


def example():
    """Return a profile that uses all fields."""
    profile = ProfileBuilder(
        (("samples", "count"), ("cpu", "nanoseconds")), period=("cpu", "nanoseconds", 10_000_000)
    )
    profile.time_ns, profile.duration_ns, profile.service = (
        1_795_000_000_000_000_000,
        3 << 30,
        "api",
    )
    profile.comments = ["host: one", "service: api"]
    work = profile.location("shop.Cart.add", "/srv/shop.py", 12, 10)
    root = profile.location("__main__.<module>", "/srv/app.py", 300, 1)
    profile.add([work, root], [3, -7], [("thread", "worker"), ("thread_id", 300)])
    profile.add([root], [1, 1 << 40])
    return profile


@given(SAMPLES, TEXT, st.lists(TEXT, max_size=3), INT64.filter(lambda n: n >= 0), INT64)
def test_what_is_encoded_is_decoded(samples, service, comments, time_ns, period):
    profile = ProfileBuilder((("a", "count"), ("b", "bytes")), period=("c", "count", period))
    profile.time_ns, profile.duration_ns = time_ns, time_ns // 2
    profile.service, profile.comments = service, comments
    wanted = {}
    for frames, values, labels in samples:
        profile.add([profile.location(*frame) for frame in frames], values, labels.items())
        key = tuple(frames), tuple(sorted(labels.items()))
        before = wanted.get(key, (0, 0))
        wanted[key] = tuple(a + b for a, b in zip(before, values, strict=True))
    found = decode_profile(profile.encode())
    assert {
        (tuple(found.frames[i] for i in stack), labels): values
        for stack, values, labels in found.samples
    } == {key: tuple(map(as_int64, values)) for key, values in wanted.items()}
    assert (found.sample_types, found.default_type) == (profile.sample_types, "b")
    assert (found.time_ns, found.duration_ns) == (time_ns, time_ns // 2)
    assert (found.program, found.comments) == (service, comments)
    assert found.period == ("c", "count", period)


def as_int64(value):
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def test_the_bytes_of_a_profile_do_not_change():
    raw = example().encode_raw()
    assert zlib.decompress(example().encode(), 31) == raw
    assert (len(raw), hashlib.sha256(raw).hexdigest()[:16]) == (316, "3eff504b7bd0ed6d")


def test_equal_profiles_are_equal_bytes():
    assert example().encode() == example().encode()


def test_equal_stacks_with_equal_labels_are_summed():
    profile = ProfileBuilder((("a", "count"),))
    leaf = profile.location("f")
    for labels in ([("x", 1), ("y", 2)], [("y", 2), ("x", 1)], []):
        profile.add([leaf], [2], labels)
    assert len(profile) == 2
    assert profile.totals() == (6,)


@pytest.mark.parametrize("key", ["", "1x", "a b", "naïve", "a\n", ".a"])
def test_a_malformed_key_of_a_label_is_refused(key):
    profile = ProfileBuilder((("a", "count"),))
    with pytest.raises(ValueError, match="label"):
        profile.add([], [1], [(key, "x")])


def test_a_wrong_number_of_values_is_refused():
    with pytest.raises(ValueError, match="value"):
        ProfileBuilder((("a", "count"),)).add([], [1, 2])


def test_stacks_above_the_limit_are_summed_as_other(monkeypatch):
    monkeypatch.setattr(pprof_encoder, "MAX_STACKS", 3)
    profile = ProfileBuilder((("a", "count"),))
    for i in range(10):
        profile.add([profile.location(f"f{i}")], [1])
    profile.add([profile.location("f0")], [1])
    found = decode_profile(profile.encode())
    sums = {found.frames[stack[0]][0]: values for stack, values, _ in found.samples}
    assert sums == {"f0": (2,), "f1": (1,), "f2": (1,), OTHER: (7,)}
    assert profile.other == 7


def test_a_text_that_is_no_unicode_or_very_long_is_encoded():
    profile = ProfileBuilder((("a", "count"),))
    profile.add([profile.location("\udcff" * 3, "x" * 100_000)], [1])
    ((name, filename, _, _),) = decode_profile(profile.encode()).frames
    assert name == "\\udcff" * 3
    assert len(filename) == 4096


def test_the_lines_that_run_are_named_by_file_and_function():
    assert example().lines() == {"/srv/shop.py": {10: {12}}, "/srv/app.py": {1: {300}}}
