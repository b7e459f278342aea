"""What has grown between two censuses: rows of types and of large containers.

The first census is kept as names and numbers. A trigger or a request takes it and a later one is
compared with it.
"""

from __future__ import annotations

from pprofplus.profiles.object_counts import Census, Counting, Pace, TypeCount
from pprofplus.profiles.object_sizes import CONTAINERS, content_of, is_container, length_of
from pprofplus.profiles.object_slices import Held
from pprofplus.profiles.type_names import type_name

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from pprofplus.profiles.capture import Task

_SAMPLES_PER_ROW = 5
_SAMPLES_OF_CONTAINERS = 12  # a program has lists and dicts in many places
# means of these say nothing about growth: each program has many different lists and dicts
_CONTAINER_NAMES = {type_name(cls) for cls in CONTAINERS}
_LEAST_BYTES = 1024  # smaller growth is no row
# If the first census missed more of the objects, large containers are not compared. It misses some
# that come and go while it counts.
_LEAST_SHARE = 0.9


class Row:
    """Objects of one type: all, those that were added, or the content of one large container.

    Attributes:
        name: of the type.
        count: of objects.
        size_bytes: of them and what is charged to them.
        examples: some of the objects, of which the holders are searched.
        container: the type of the container, if the row is about its content; else "".
        unreported_bytes: what a hash table took without more elements; it is no part of any row.
    """

    __slots__ = ("container", "count", "examples", "name", "size_bytes", "unreported_bytes")

    def __init__(
        self, name: str, count: float, size_bytes: float, examples: Held, container: str = ""
    ) -> None:
        self.name = name
        self.count = count
        self.size_bytes = size_bytes
        self.examples = examples
        self.container = container
        self.unreported_bytes = 0.0


class _Base:
    """The first census, kept for later ones."""

    __slots__ = ("census",)

    def __init__(self) -> None:
        self.census: Census | None = None


_base = _Base()


def take_base_census(task: Task, pace: Pace, *, why: str = "") -> Census:
    """Take a census and keep it as the base of later ones; return it.

    It is some hundred KB, 3 MB for a million objects. Raises ActionCancelledError.
    """
    counting = Counting(pace, why)
    try:
        counting.count(task)
        counting.sample(task)
        counting.measure_content(task)
        _base.census = counting.census
        return counting.census
    finally:
        counting.clear()


def base_census() -> Census | None:
    """Return the census that is kept as the base, or None."""
    return _base.census


def keep_base_census(census: Census) -> None:
    """Keep a census as the base of later ones."""
    _base.census = census


def drop_base_census() -> None:
    """Forget the base: the next growth needs a new one. A forked child calls it too."""
    _base.census = None


def rows_of_all(counting: Counting) -> list[Row]:
    """Return a row for each type and each large container, the largest first."""
    large = [row for one in counting.large for row in _rows_of_large(counting, one, None)]
    counts = {name: entry.count for name, entry in counting.by_name.items()}
    own = {name: entry.own_bytes for name, entry in counting.by_name.items()}
    return _largest_first(_rows(counting, counts, own, {}, None, large) + large)


def names_that_grew(before: Census, counting: Counting) -> list[str]:
    """Return the names of the types of which there are more, the largest growth first."""
    grown = []
    earlier = before.types()
    for name, entry in counting.by_name.items():
        then = earlier.get(name) or TypeCount()
        added = entry.own_bytes - then.own_bytes
        if entry.count > then.count or added > 0:
            grown.append((added, name))
    return [name for _, name in sorted(grown, reverse=True)[:60]]


def rows_of_growth(counting: Counting, before: Census) -> list[Row]:
    """Return a row for each type and each large container that grew, the largest first."""
    counts, own, drifts = {}, {}, {}
    earlier = before.types()
    for name, entry in counting.by_name.items():
        then = earlier.get(name) or TypeCount()
        counts[name] = entry.count - then.count
        own[name] = entry.own_bytes - then.own_bytes
        if name not in _CONTAINER_NAMES:
            drifts[name] = _drift(then, entry)
    large = []
    if before.share >= _LEAST_SHARE:
        large = [row for one in counting.large for row in _rows_of_large(counting, one, before)]
    rows = _rows(counting, counts, own, drifts, before, large) + large
    return _largest_first([row for row in rows if row.size_bytes >= _LEAST_BYTES])


def _drift(then: TypeCount, now: TypeCount) -> float:
    """Return by how many bytes the content of the earlier objects has grown, 0 if not surely."""
    (mean_then, error_then), (mean, error) = then.content, now.content
    difference = mean - mean_then
    if not then.content[0] or difference <= 4 * (error + error_then) ** 0.5 + 8:
        return 0.0
    return difference * min(then.count, now.count)


def _largest_first(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row.size_bytes)


def _rows(
    counting: Counting,
    counts: dict[str, float],
    own: dict[str, float],
    drifts: dict[str, float],
    before: Census | None,
    apart: list[Row],
) -> list[Row]:
    """Return a row for each type, without the containers that have rows of their own."""
    types = counting.by_name
    charged: dict[str, list[float]] = {}
    for name, count in counts.items():
        for part, (objects, size_bytes) in types[name].absorbed.items():
            total = charged.setdefault(part, [0.0, 0.0])
            total[0] += count * objects
            total[1] += count * size_bytes
    for row in apart:
        if not row.container:
            total = charged.setdefault(row.name, [0.0, 0.0])
            total[0] += row.count
            total[1] += row.size_bytes + row.unreported_bytes
    examples = _examples(counting, before)
    rows = []
    for name, count in counts.items():
        objects, size_bytes = charged.get(name, (0.0, 0.0))
        left = count - objects
        # what is charged to others is counted there; the estimate may be above the count
        own_bytes = own[name] - size_bytes if left > 0 or own[name] > size_bytes else 0.0
        content = types[name].content[0] * max(left, 0.0) + drifts.get(name, 0.0)
        chosen = examples.get(name)
        rows.append(
            Row(name, max(left, 0.0), own_bytes + content, Held() if chosen is None else chosen)
        )
    return rows


def _examples(counting: Counting, before: Census | None) -> dict[str, Held]:
    """Return some objects of each sampled type, if possible such that are new."""
    found: dict[str, Held] = {}
    for number, objects in counting.samples.items():
        new = Held()
        unsure = Held()
        for one in objects:
            is_new = before.may_be_new(id(one)) if before is not None else None
            if is_new:
                new.append(one)
            elif is_new is None:
                unsure.append(one)
        pool = new if len(new) >= 3 else unsure if len(unsure) >= 3 else objects
        chosen = found.setdefault(counting.names[number], Held())
        builtin = is_container(counting.types[number])
        most = _SAMPLES_OF_CONTAINERS if builtin else _SAMPLES_PER_ROW
        step = max(len(pool) // most, 1)
        chosen.extend(pool[::step][:most])
        del new[:], unsure[:]
    return found


def _rows_of_large(counting: Counting, one: object, before: Census | None) -> list[Row]:
    """Return rows for the memory of a large container and for what it holds."""
    size_bytes = counting.sizers.size(one)
    share, grown, count = 1.0, size_bytes, 1
    then = None if before is None else before.big_container(id(one))
    if before is not None and then is None and before.share < 1 and not before.may_be_new(id(one)):
        return []  # the first census may have missed it
    if then is not None:
        grown = max(size_bytes - counting.sizers.overhead(id(type(one))) - then[0], 0)
        share = max(1 - then[1] / max(length_of(one), 1), 0.0)
        count = 0
    if not grown and not share:
        return []
    name = counting.name_of(one)
    # a dict of constant length may double its table, once
    reported = min(grown, 2 * share * size_bytes)
    rows = [Row(name, count, reported, Held([one]))]
    rows[0].unreported_bytes = grown - reported
    content = content_of(one, counting.sizers)
    for number, (leaves, leaf_bytes) in content.leaves.items():
        leaf = counting.names.get(number)
        if leaf is None:
            leaf = type_name(content.types[number])
        rows.append(Row(leaf, leaves * share, leaf_bytes * share, Held([one]), name))
    return rows
