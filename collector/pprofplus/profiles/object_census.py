"""Takes profiles of the kind heap: objects by type and what holds them, or what has grown.

A profile's stack is a type with its holders up to a module, a class, a frame or C code. With a
window, or for a trigger after a base census, it is the difference of two censuses; otherwise it is
what there is now.
"""

from __future__ import annotations

import gc
import sys
import time

from pprofplus.profiles.capture import CaptureRequest, ProfilePart, ProfileRefusedError
from pprofplus.profiles.heap_growth import (
    Row,
    base_census,
    keep_base_census,
    names_that_grew,
    rows_of_all,
    rows_of_growth,
    take_base_census,
)
from pprofplus.profiles.holder_labels import Edge
from pprofplus.profiles.memory_headroom import headroom_bytes
from pprofplus.profiles.object_counts import (
    LONGEST_HOLD_S,
    ON_REQUEST,
    ON_TRIGGER,
    Census,
    Counting,
    Pace,
    frozen_note,
)
from pprofplus.profiles.object_holders import CYCLE, HolderSearch
from pprofplus.profiles.object_slices import Holds
from pprofplus.profiles.pprof_encoder import ProfileBuilder

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pprofplus.profiles.capture import Task

SAMPLE_TYPES = (("inuse_objects", "count"), ("inuse_space", "bytes"))
# this trigger's census is the base of the growth that later ones show
BASE_TRIGGER = "limit-75"
MAX_HOLD_S = 0.25  # above it, a request must be forced
_SEARCH_HOLD_S = 0.07  # of one call of gc.get_referrers, if one object does not take longer
_MOST_ROWS = 5_000
NOT_FOUND = "[holders not found]"  # all examples only replaced others

# before the first census: tracked objects per memory block, and seconds to list one
_FIRST_RATIO = 0.5
_LIST_ONE_S = 60e-9
_LIST_BYTES = 8  # per object: the list that exists within a call
# a slice, a sample, and results: so much per object, and not more than in total
_FIRST_BYTES, _SAMPLE_BYTES, _SLICE_BYTES = 2 << 20, 48, 20 << 20


class _Measured:
    """What the last census of this process measured."""

    __slots__ = ("list_one_s", "ratio")

    def __init__(self) -> None:
        self.ratio = _FIRST_RATIO
        self.list_one_s = _LIST_ONE_S


_measured = _Measured()


def expected_objects() -> int:
    """Return about how many objects the collector tracks, without counting them."""
    blocks = sys.getallocatedblocks()
    if not blocks:  # PYTHONMALLOC=malloc
        import psutil

        blocks = psutil.Process().memory_info().rss // 150
    return int(blocks * _measured.ratio)


def expected_hold_s() -> float:
    """Return about how long a census holds the GIL at a time, in seconds."""
    listing_s = expected_objects() * _measured.list_one_s
    return listing_s + max(LONGEST_HOLD_S - listing_s, LONGEST_HOLD_S / 6)


def expected_hold_ms(request: CaptureRequest) -> float:  # noqa: ARG001 - the same for all
    """Return about how long a census holds the GIL at a time, in milliseconds."""
    return 1000 * expected_hold_s()


def needed_bytes() -> int:
    """Return about how much memory a census needs."""
    objects = expected_objects()
    return objects * _LIST_BYTES + min(_FIRST_BYTES + objects * _SAMPLE_BYTES, _SLICE_BYTES)


def check(request: CaptureRequest) -> None:
    """Raise ProfileRefusedError if a census would stop the process for too long, or not fit."""
    room = headroom_bytes()
    need = needed_bytes()
    if room is not None and need > room / 2:
        raise ProfileRefusedError(
            f"a census needs about {need >> 20} MiB and only {room >> 20} MiB are free"
            " below the memory limit: raise the limit, or take it earlier"
        )
    hold_s = expected_hold_s()
    if hold_s > MAX_HOLD_S and not request.force:
        raise ProfileRefusedError(
            f"a census would stop all Python threads for about {hold_s * 1000:.0f} ms at a time,"
            f" more than {MAX_HOLD_S * 1000:.0f} ms: force it (--force, force=True) to take it"
        )


def take(request: CaptureRequest, task: Task) -> Iterator[ProfilePart]:
    """Yield one profile. Raises ProfileRefusedError, ActionCancelledError."""
    check(request)
    pace = ON_TRIGGER if request.why else ON_REQUEST
    expected_s = expected_hold_s()
    task.report(0.0, f"each hold of the GIL takes about {expected_s * 1000:.0f} ms")
    before = None
    if request.window_s > 0:
        before = take_base_census(task, pace, why=request.why)
        _learn(before)
        end = time.monotonic() + request.window_s
        while (left_s := end - time.monotonic()) > 0 and not task.window_over:
            share = 0.4 * (1 - left_s / request.window_s)
            task.report(share, f"second census in {left_s:.0f} s")
            task.wait(min(left_s, 1.0))
        check(request)
    elif request.why and request.why != BASE_TRIGGER:
        before = base_census()
    yield _take(request, task, pace, before, expected_s)


def growth_since_base(request: CaptureRequest, task: Task) -> ProfilePart | None:
    """Return what has grown since the base census, or None if there is no base.

    Raises ProfileRefusedError, ActionCancelledError.
    """
    before = base_census()
    if before is None:
        return None
    check(request)
    pace = ON_TRIGGER if request.why else ON_REQUEST
    return _take(request, task, pace, before, expected_hold_s())


def _take(
    request: CaptureRequest, task: Task, pace: Pace, before: Census | None, expected_s: float
) -> ProfilePart:
    counting = Counting(pace, request.why)
    search = None
    try:
        task.report(0.5, "counting objects")
        counting.count(task)
        census = counting.census
        grew = names_that_grew(before, counting) if before is not None else []
        counting.sample(task, grew)
        if before is not None:
            counting.collect_grown(task, before)
        counting.measure_content(task)
        rows = rows_of_all(counting) if before is None else rows_of_growth(counting, before)
        then = (lambda _: None) if before is None else before.big_container
        search = HolderSearch(counting.types, counting.sizers, then)
        task.report(0.7, "searching the holders")
        searched = _add_examples(search, rows[: pace.rows])
        counting.clear()
        search.run(
            task,
            most_calls=pace.searches,
            longest_s=_SEARCH_HOLD_S,
            pause_s=pace.pause_s,
        )
        profile = ProfileBuilder(SAMPLE_TYPES)
        stacks = _stacks(rows, searched, search, growth=before is not None)
        garbage_bytes = 0.0
        if before is not None and gc.isenabled():
            # the collector will free it: it is no growth
            garbage_bytes = sum(one[0] for one in stacks if one[2][-1] == CYCLE)
            stacks = [one for one in stacks if one[2][-1] != CYCLE]
        first = _add_stacks(profile, stacks, growth=before is not None)
        held = Holds()
        for holds in (census.holds, search.holds, *((before.holds,) if before else ())):
            held.include(holds)
        note = (
            f"{first}; the GIL was held {held.count} times, at most {held.longest_s * 1000:.0f} ms"
        )
        _add_comments(profile, census, before, held, expected_s, first)
        if garbage_bytes:
            profile.comments.append(
                f"{garbage_bytes / (1 << 20):.1f} MiB more waits for the garbage collector,"
                " and is left out"
            )
        _learn(census)
        if request.why and before is None:
            keep_base_census(census)
    finally:
        if search is not None:
            search.clear()
        counting.clear()
    begin_ms = census.unix_ms if before is None else before.unix_ms
    profile.time_ns = begin_ms * 1_000_000
    if before is not None:
        profile.duration_ns = (census.unix_ms - before.unix_ms) * 1_000_000
    return ProfilePart("heap", profile, unix_ms=census.unix_ms, note=note)


def _learn(census: Census) -> None:
    """Use what a census measured for the next estimate."""
    blocks = sys.getallocatedblocks()
    if blocks:
        _measured.ratio = min(census.objects / blocks, 1.0)
    if census.objects > 100_000 and census.holds.shortest_s:
        _measured.list_one_s = census.holds.shortest_s / census.objects


def _add_examples(search: HolderSearch, rows: list[Row]) -> list[list[int]]:
    """Begin the search for the holders of rows; return the ids of the examples of each."""
    ids: list[list[int]] = [[] for _ in rows]
    # the first example of each row first, so that a search that ends early has one of each
    most = max((len(row.examples) for row in rows), default=0)
    for place in range(most):
        for numbers, row in zip(ids, rows, strict=True):
            if place < len(row.examples):
                numbers.append(search.add(row.examples[place]))
    for row in rows:
        del row.examples[:]
    return ids


def _stacks(
    rows: list[Row], searched: list[list[int]], search: HolderSearch, *, growth: bool
) -> list[tuple[float, float, list[str]]]:
    """Return (bytes, objects, names of the stack), the largest first."""
    found = []
    for index, row in enumerate(rows[:_MOST_ROWS]):
        numbers = searched[index] if index < len(searched) else []
        content_of = [f"{row.container}[*]"] if row.container else []
        for share, chain in _chains(search, numbers, row.count, growth=growth):
            names = [row.name, *content_of, *chain]
            found.append((row.size_bytes * share, row.count * share, names))
    return sorted(found, key=lambda one: -one[0])


def _add_stacks(
    profile: ProfileBuilder, stacks: list[tuple[float, float, list[str]]], *, growth: bool
) -> str:
    """Add the samples; return the largest as one line."""
    for size_bytes, count, names in stacks:
        stack = [profile.location(name) for name in names]
        profile.add(stack, (round(count), round(size_bytes)))
    if not stacks:
        return "nothing has grown" if growth else "no objects"
    size_bytes, count, names = stacks[0]
    sign = "+" if growth else ""
    return f"{sign}{size_bytes / (1 << 20):.1f} MiB, {sign}{count:.0f} objects: {' ← '.join(names)}"


def _chains(
    search: HolderSearch, numbers: list[int], count: float, *, growth: bool
) -> Iterator[tuple[float, list[str]]]:
    """Yield (share of the row, labels) for each different chain of holders of the examples.

    Where something has grown, examples in containers that did not grow do not count: objects that
    replace others are new too.
    """
    labels: dict[tuple[str, ...], list[tuple[Edge, ...]]] = {}
    added: dict[tuple[str, ...], int | None] = {}
    for number in numbers:
        chain = search.chain(number)
        if chain is None:
            continue
        group = tuple(edge.group for edge in chain)
        labels.setdefault(group, []).append(chain)
        more = search.elements_added(number, count / 10) if growth else None
        known = added.get(group)
        added[group] = known if more is None else more if known is None else max(more, known)
    if not labels:  # there are no examples, or all were freed meanwhile
        yield 1.0, []
        return
    examples = sum(map(len, labels.values()))
    shares = {group: len(chains) / examples for group, chains in labels.items()}
    weights = _weights(shares, added, count) if growth else shares
    total = sum(weights.values())
    if not total:
        yield 1.0, [NOT_FOUND]
    for group, weight in weights.items():
        if weight:
            yield weight / total, _texts(labels[group])


def _weights(
    shares: dict[tuple[str, ...], float], added: dict[tuple[str, ...], int | None], count: float
) -> dict[tuple[str, ...], float]:
    """Weight the shares of examples by what is known about the growth of their containers."""
    any_grew = any(added.values())
    weights = {}
    for group, share in shares.items():
        more = added[group]
        if more is None:
            weights[group] = share * (0.5 if any_grew else 1.0)
        elif more:
            weights[group] = max(share, more / count if count else 0.0)
        else:
            weights[group] = 0.0
    return weights


def _texts(chains: list[tuple[Edge, ...]]) -> list[str]:
    """Return the labels of equal chains: a key only where all have the same."""
    return [
        edges[0].text if all(edge.text == edges[0].text for edge in edges) else edges[0].group
        for edges in zip(*chains, strict=True)
    ]


def _add_comments(
    profile: ProfileBuilder,
    census: Census,
    before: Census | None,
    held: Holds,
    expected_s: float,
    first: str,
) -> None:
    comments = profile.comments
    comments.append(f"largest: {first}")
    comments.append(
        f"GIL held {held.count} times, {held.total_s * 1000:.0f} ms in total, at most"
        f" {held.longest_s * 1000:.0f} ms at a time; expected about {expected_s * 1000:.0f} ms"
    )
    counted = f"{census.objects} objects tracked by the garbage collector"
    if census.share < 1:
        counted += f", {census.share * 100:.1f} % of them counted and the rest extrapolated"
    comments.append(counted)
    if before is not None:
        seconds = (census.unix_ms - before.unix_ms) / 1000
        comments.append(
            f"growth within {seconds:.1f} s; what became less is left out"
            + (f"; the first census was taken for {before.why}" if before.why else "")
        )
    comments.append(
        "str, bytes, int, ndarray and the like are charged to what holds them;"
        " sizes of what objects hold are estimated from samples"
    )
    if frozen := frozen_note():
        comments.append(frozen)
