"""Merges profiles of several processes into one that says of which process each sample is."""

from __future__ import annotations

import json

from pprofplus.errors import ProfileFormatError
from pprofplus.profiles.pprof_decoder import unpack_gzip
from pprofplus.profiles.pprof_encoder import ProfileBuilder, pack_gzip
from pprofplus.profiles.source_lines import SourceLines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pprofplus.profiles.pprof_decoder import DecodedProfile

PID = "pid"


def merge_profiles(profiles: Sequence[tuple[int, DecodedProfile]]) -> ProfileBuilder:
    """Return one profile of all samples of (pid, profile), each with the label `pid`.

    The window is from the first begin to the last end. Comments that all have come once, and others
    with the pid. Raises ProfileFormatError unless all have the same sample types.
    """
    types = {profile.sample_types for _, profile in profiles}
    if len(types) != 1:
        raise ProfileFormatError("profiles with different sample types cannot be merged")
    periods = {profile.period for _, profile in profiles}
    merged = ProfileBuilder(types.pop(), period=next(iter(periods)) if len(periods) == 1 else None)
    merged.time_ns = min(profile.time_ns for _, profile in profiles)
    merged.duration_ns = _end_ns(profiles) - merged.time_ns if _have_window(profiles) else 0
    programs = {profile.program for _, profile in profiles}
    merged.service = programs.pop() if len(programs) == 1 else ""
    merged.comments = _comments(profiles)
    for pid, profile in profiles:
        locations = [merged.location(*frame) for frame in profile.frames]
        for stack, values, labels in profile.samples:
            kept = [label for label in labels if label[0] != PID]
            merged.add([locations[index] for index in stack], values, [*kept, (PID, str(pid))])
    if merged.other:
        merged.comments.append(f"{merged.other} samples are summed as [other]")
    return merged


def merge_source_lines(sources: Sequence[SourceLines]) -> SourceLines:
    """Return the lines of all; where two differ, those of the first."""
    merged = SourceLines()
    for source in sources:
        for name, lines in source.files.items():
            merged.files[name] = {**lines, **merged.files.get(name, {})}
        merged.changed |= source.changed
    return merged


def merge_traces(traces: Sequence[bytes]) -> bytes:
    """Return one trace with the events of all; each event names its process already.

    Raises ProfileFormatError.
    """
    events: list[object] = []
    other: dict[str, object] = {}
    for trace in traces:
        try:
            found = json.loads(unpack_gzip(trace))
            events += found["traceEvents"]
            other = {**found, **other}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ProfileFormatError("a trace that is malformed") from error
    return pack_gzip(json.dumps({**other, "traceEvents": events}).encode("ascii"))


def _have_window(profiles: Sequence[tuple[int, DecodedProfile]]) -> bool:
    return any(profile.duration_ns for _, profile in profiles)


def _end_ns(profiles: Sequence[tuple[int, DecodedProfile]]) -> int:
    return max(profile.time_ns + profile.duration_ns for _, profile in profiles)


def _comments(profiles: Sequence[tuple[int, DecodedProfile]]) -> list[str]:
    """Return the comments of all, in their order."""
    pids: dict[str, list[int]] = {}
    for pid, profile in profiles:
        for comment in dict.fromkeys(profile.comments):
            pids.setdefault(comment, []).append(pid)
    return [
        comment if len(found) == len(profiles) else f"{comment} (pid {', '.join(map(str, found))})"
        for comment, found in pids.items()
    ]
