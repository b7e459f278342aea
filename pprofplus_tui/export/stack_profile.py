"""A pprof profile of the stacks of a window, for `go tool pprof` and other viewers."""

from pprofplus.profiles.pprof_encoder import ProfileBuilder
from pprofplus_tui.model.text import clean
from pprofplus_tui.sources.port import StackWindow

# CPU time that was used between two ticks, or a stack that could not be stored
NOT_SAMPLED = "[not sampled]"
_NS_PER_MS = 1_000_000
_TYPES = (("samples", "count"), ("wall", "nanoseconds"), ("cpu", "nanoseconds"))


def stack_profile(window: StackWindow, service: str, begin_ms: int) -> bytes:
    """Return the profile, compressed with gzip, of a window that begins at `begin_ms`, unix ms.

    Its labels are the thread and the state; its values are those of the window.
    """
    profile = ProfileBuilder(_TYPES)
    profile.service = clean(service)
    profile.time_ns = begin_ms * _NS_PER_MS
    profile.duration_ns = window.covered_ms * _NS_PER_MS
    profile.comments.append(
        f"ticks: {window.total_ticks} at random moments, {window.total_biased_ticks} biased,"
        f" {window.lost_ticks} lost, {window.missed_ticks} not taken"
    )
    profile.comments += map(clean, window.problems)
    if window.biased and window.total_biased_ticks:
        profile.comments.append("all ticks are biased: shares of running threads are unreliable")
    locations = [
        profile.location(clean(frame.name), clean(frame.file), frame.line, frame.first_line)
        for frame in window.frames
    ]
    unknown = profile.location(NOT_SAMPLED)
    counts = window.biased_ticks if window.biased else window.ticks
    for row in range(len(window.thread)):
        stack, at = [], int(window.stack[row])
        while at >= 0:
            stack.append(locations[window.frame_of[at]])
            at = int(window.parent_of[at])
        values = (
            int(counts[row]),
            round(window.wall_ms[row] * _NS_PER_MS),
            round(window.cpu_ms[row] * _NS_PER_MS),
        )
        if any(values):
            thread = window.threads[window.thread[row]]
            profile.add(
                stack or [unknown],
                values,
                [
                    ("thread", clean(thread.name)),
                    ("thread_id", thread.native_id),
                    ("state", window.states[window.state[row]]),
                ],
            )
    return profile.encode()
