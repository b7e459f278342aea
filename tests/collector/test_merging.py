"""Merges profiles of several processes: nothing is lost, and each sample names its process."""

import gzip
import json

import pytest

from pprofplus.errors import ProfileFormatError
from pprofplus.profiles.merging import merge_profiles, merge_source_lines, merge_traces
from pprofplus.profiles.pprof_decoder import decode_profile
from pprofplus.profiles.pprof_encoder import ProfileBuilder
from pprofplus.profiles.source_lines import SourceLines

SECOND = 1_000_000_000


def one(pid, *, types=(("samples", "count"),), begin_s=100, window_s=30, name="f", period=10):
    profile = ProfileBuilder(types, period=("cpu", "nanoseconds", period))
    profile.time_ns, profile.duration_ns = begin_s * SECOND, window_s * SECOND
    profile.comments = ["host: one", f"pid: {pid}"]
    profile.service = "api"
    place = profile.location(name, "/f.py", 2, 1)
    profile.add([place], [pid] * len(types), [("thread", "main"), ("thread_id", pid)])
    return pid, decode_profile(profile.encode())


def merged(*profiles):
    return decode_profile(merge_profiles(profiles).encode())


def test_each_sample_has_the_label_pid_besides_its_own():
    found = merged(one(7), one(8))
    assert [(values, labels) for _, values, labels in found.samples] == [
        ((7,), (("pid", "7"), ("thread", "main"), ("thread_id", 7))),
        ((8,), (("pid", "8"), ("thread", "main"), ("thread_id", 8))),
    ]
    assert found.frames == [("f", "/f.py", 2, 1)]


def test_equal_samples_of_one_process_stay_one_and_a_merge_can_be_merged_again():
    first = merged(one(7), one(8))
    again = merge_profiles([(9, first)])
    assert {
        label for _, _, labels in decode_profile(again.encode()).samples for label in labels
    } >= {("pid", "9")}
    assert again.totals() == (15,)


def test_the_window_is_from_the_first_begin_to_the_last_end():
    found = merged(one(1, begin_s=100, window_s=30), one(2, begin_s=90, window_s=15))
    assert (found.time_ns, found.duration_ns) == (90 * SECOND, 40 * SECOND)
    found = merged(one(1, window_s=0), one(2, begin_s=90, window_s=0))
    assert (found.time_ns, found.duration_ns) == (90 * SECOND, 0)


def test_common_comments_come_once_and_others_with_their_process():
    assert merged(one(7), one(8)).comments == ["host: one", "pid: 7 (pid 7)", "pid: 8 (pid 8)"]


def test_service_and_period_are_kept_if_they_are_equal():
    found = merged(one(7), one(8))
    assert (found.program, found.period) == ("api", ("cpu", "nanoseconds", 10))
    assert merged(one(7), one(8, period=20)).period is None


def test_profiles_of_different_types_are_refused():
    with pytest.raises(ProfileFormatError, match="sample types"):
        merge_profiles([one(7), one(8, types=(("waits", "count"),))])


def test_source_lines_of_all_are_kept():
    first, second = SourceLines(), SourceLines()
    first.files = {"a": {1: "one"}, "b": {1: "b"}}
    second.files = {"a": {1: "other", 2: "two"}}
    second.changed = {"a"}
    found = merge_source_lines([first, second])
    assert found.files == {"a": {1: "one", 2: "two"}, "b": {1: "b"}}
    assert found.changed == {"a"}


def test_traces_have_the_events_of_all():
    traces = [
        gzip.compress(json.dumps({"traceEvents": [{"pid": pid}], "unit": pid}).encode())
        for pid in (1, 2)
    ]
    assert json.loads(gzip.decompress(merge_traces(traces))) == {
        "traceEvents": [{"pid": 1}, {"pid": 2}],
        "unit": 1,
    }
    for bad in (b"", gzip.compress(b"[]"), gzip.compress(b"{}"), gzip.compress(b"[" * 100_000)):
        with pytest.raises(ProfileFormatError):
            merge_traces([bad])
