"""Counts all objects by type, in slices, with the sizes of what they hold."""

from __future__ import annotations

import gc
import heapq
import marshal
from array import array
from bisect import bisect_left
from collections import Counter
from time import time_ns

from pprofplus.profiles.object_sizes import (
    Content,
    Sizers,
    content_of,
    is_container,
)
from pprofplus.profiles.object_slices import (
    LARGE_BYTES,
    Held,
    Holds,
    ObjectSample,
    ObjectSlice,
    OwnArray,
    OwnDict,
)
from pprofplus.profiles.type_names import all_types, type_name

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pprofplus.profiles.capture import Task

LONGEST_HOLD_S = 0.06  # of one slice, if listing the objects does not take longer
_OURS = f"{__package__}."  # types of this package are left out
_SLICES_BEFORE = 5  # it is then known how many objects fit into one
_PARTS_OF_REST = 3
_FIRST_SLICE = 20_000  # objects
_MOST_IN_SLICE = 200_000
_LEAST_GROWN_BYTES = 256
_MOST_BIG = 50_000
_MOST_IDS = 250_000
_MOST_LARGE = 200
_TYPES_SAMPLED = 60
_SAMPLED_PER_TYPE = 60
_NO_CONTENT = (0.0, 0.0)
_NOTHING: dict[str, tuple[float, float]] = {}  # never changed
_SAMPLE = 30_000  # objects among which instances of the wanted types are looked for


class Pace:
    """How much a census may do.

    Attributes:
        slices: of a generation; if they do not cover it, a part of it is counted.
        pause_s: between two holds of the GIL.
        searches: calls of `gc.get_referrers`.
        rows: of which the holders are searched.
    """

    __slots__ = ("pause_s", "rows", "searches", "slices")

    def __init__(self, slices: int, pause_s: float, searches: int, rows: int) -> None:
        self.slices = slices
        self.pause_s = pause_s
        self.searches = searches
        self.rows = rows


ON_REQUEST = Pace(slices=24, pause_s=0.03, searches=40, rows=16)
# before an OOM kill each 100 ms count
ON_TRIGGER = Pace(slices=8, pause_s=0.0, searches=14, rows=8)


class TypeCount:
    """The objects of one type, or of all types with one name.

    Attributes:
        count: of objects.
        own_bytes: of the objects themselves.
        content: mean bytes that one holds, and the square of its standard error.
        absorbed: (count, bytes) of containers that are charged to one, by name of their type.
    """

    __slots__ = ("absorbed", "content", "count", "own_bytes")

    def __init__(
        self,
        count: float = 0.0,
        own_bytes: float = 0.0,
        content: tuple[float, float] = _NO_CONTENT,
        absorbed: dict[str, tuple[float, float]] = _NOTHING,
    ) -> None:
        self.count = count
        self.own_bytes = own_bytes
        self.content = content
        self.absorbed = absorbed


class Census:
    """What is known after a census: names and numbers, no object of the host.

    It is kept as a few bytes objects, which the next census does not see.

    Attributes:
        unix_ms: when it began.
        objects: that the collector tracks.
        share: of them that was counted; the rest is extrapolated.
        holds: of the GIL.
        why: what requested it.
    """

    __slots__ = (
        "_big_ids",
        "_big_lengths",
        "_big_sizes",
        "_ids",
        "_modulus",
        "_types",
        "holds",
        "objects",
        "share",
        "unix_ms",
        "why",
    )

    def __init__(self, why: str) -> None:
        self.unix_ms = time_ns() // 1_000_000
        self.objects = 0
        self.share = 1.0
        self.holds = Holds()
        self.why = why
        self._types = b""
        self._modulus = 1
        self._ids = self._big_ids = self._big_sizes = self._big_lengths = b""

    @property
    def kept_bytes(self) -> int:
        """Size of what is kept."""
        return len(self._types) + len(self._ids) + 3 * len(self._big_ids)

    def types(self) -> dict[str, TypeCount]:
        """Return the types by name."""
        types = marshal.loads(self._types)  # noqa: S302 - our own bytes, which never left the memory
        return {name: TypeCount(*entry) for name, entry in types.items()}

    def big_container(self, object_id: int) -> tuple[int, int] | None:
        """Return (own size, elements) of a container of at least 1 KiB; None if it is unknown."""
        index = _index(self._big_ids, object_id)
        if index is None:
            return None
        sizes, lengths = memoryview(self._big_sizes), memoryview(self._big_lengths)
        return sizes.cast("Q")[index], lengths.cast("Q")[index]

    def may_be_new(self, object_id: int) -> bool | None:
        """Return whether no object with this id was counted; None if that is not known."""
        if (object_id >> 4) % self._modulus:
            return None
        return _index(self._ids, object_id) is None

    def keep_types(self, types: dict[str, TypeCount]) -> None:
        """Keep the types by name."""
        self._types = marshal.dumps(
            {
                name: (entry.count, entry.own_bytes, entry.content, entry.absorbed)
                for name, entry in types.items()
            }
        )

    def keep_ids(self, ids: array[int], modulus: int) -> None:
        """Keep the ids whose address is a multiple of `modulus`."""
        self._ids, self._modulus = _packed(sorted(ids)), modulus

    def keep_big(self, big: dict[int, tuple[int, int]]) -> None:
        """Keep (own size, elements) of the largest containers, by id."""
        largest = sorted(heapq.nlargest(_MOST_BIG, big, key=big.__getitem__))
        self._big_ids = _packed(largest)
        self._big_sizes = _packed([big[number][0] for number in largest])
        self._big_lengths = _packed([big[number][1] for number in largest])


def _packed(numbers: list[int]) -> bytes:
    return array("Q", numbers).tobytes()


def _index(packed: bytes, number: int) -> int | None:
    """Return the index of a number among sorted ones, or None."""
    numbers = memoryview(packed).cast("Q")
    index = bisect_left(numbers, number)
    return index if index < len(numbers) and numbers[index] == number else None


class Counting:
    """A census while it is taken; it holds types and the large containers.

    Attributes:
        census: its result.
        types: all types by id.
        sizers: of all types.
        names: of types by id.
        by_name: the counts of each type.
        big: (own size, elements) of containers of at least 1 KiB, by id.
        large: containers that are reported alone.
        samples: some instances of types, by id of the type.
    """

    def __init__(self, pace: Pace, why: str) -> None:
        self.census = Census(why)
        self.types: dict[int, type] = OwnDict(all_types())
        self.by_name: dict[str, TypeCount] = OwnDict()
        self.sizers = Sizers(self.types)
        self.names: dict[int, str] = OwnDict()
        self.big: dict[int, tuple[int, int]] = OwnDict()
        self.large = Held()
        self.samples: dict[int, Held] = OwnDict()
        self._pace = pace
        self._counts: dict[int, float] = OwnDict()
        self._sizes: dict[int, float] = OwnDict()

    def count(self, task: Task) -> None:
        """Count all objects. Raises ActionCancelledError."""
        ids = OwnArray("Q")
        modulus = 0
        read = 0
        # without a pause between generations: a collection moves objects to the next one
        for generation in (0, 1, 2):
            counter = _Generation(generation, self._pace)
            while (part := counter.next_part()) is not None:
                got = ObjectSlice(
                    generation, part, self.sizers, keep_large=not counter.extrapolates
                )
                self.census.holds.add(got.held_s)
                counter.add(got)
                modulus = modulus or _next_prime(got.total // _MOST_IDS)
                ids.extend(i for i in got.object_ids if not (i >> 4) % modulus)
                pairs = zip(got.big_sizes, got.big_lengths, strict=True)
                self.big.update(zip(got.big_ids, pairs, strict=True))
                self._add_large(got.large)
                if generation == 2 or counter.continues:
                    task.wait(self._pace.pause_s)
            self.census.objects += counter.total
            read += counter.read
            for number, (count, size) in counter.results():
                self._counts[number] = self._counts.get(number, 0.0) + count
                self._sizes[number] = self._sizes.get(number, 0.0) + size
        self.census.share = min(read / self.census.objects, 1.0) if self.census.objects else 1.0
        self._name_types()
        self.census.keep_ids(ids, modulus or 1)
        self.census.keep_big(self.big)

    def _add_large(self, found: Held) -> None:
        have = set(map(id, self.large))
        self.large.extend(one for one in found if id(one) not in have)
        del found[:]
        if len(self.large) > 2 * _MOST_LARGE:
            self.large.sort(key=self.sizers.size)
            del self.large[:-_MOST_LARGE]

    def _name_types(self) -> None:
        if any(number not in self.types for number in self._counts):
            self.types.update(all_types())
        for number, count in list(self._counts.items()):
            cls = self.types.get(number)
            name = "[type that no longer exists]" if cls is None else type_name(cls)
            self.names[number] = name
            if name.startswith(_OURS):
                del self._counts[number]
                continue
            entry = self.by_name.setdefault(name, TypeCount())
            entry.count += count
            entry.own_bytes += self._sizes[number] + count * self.sizers.overhead(number)

    def name_of(self, one: object) -> str:
        """Return the name of an object's type."""
        number = id(type(one))
        name = self.names.get(number)
        if name is None:
            name = self.names[number] = type_name(type(one))
            self.types.setdefault(number, type(one))
        return name

    def sample(self, task: Task, first: Iterable[str] = ()) -> None:
        """Collect some instances of the largest types, and of those whose names are `first`."""
        firsts = set(first)
        by_size = sorted(self._counts, key=lambda number: -self._sizes[number])
        by_count = sorted(self._counts, key=lambda number: -self._counts[number])
        wanted = {number for number in self._counts if self.names[number] in firsts}
        for one, other in zip(by_size, by_count, strict=True):
            if len(wanted) >= len(firsts) + _TYPES_SAMPLED:
                break
            wanted |= {one, other}
        rare = wanted
        step = max(self.census.objects // _SAMPLE, 1)
        for begin in range(min(step, 3)):
            got = ObjectSample(slice(begin, None, step), rare, 2 * _SAMPLE)
            self.census.holds.add(got.held_s)
            per_type: dict[int, Held] = {}
            for one_of_them in got.objects:
                per_type.setdefault(id(type(one_of_them)), Held()).append(one_of_them)
            del got.objects[:]
            for number, objects in per_type.items():
                self.samples.setdefault(number, Held()).extend(objects)
                del objects[:]
            rare = {number for number in rare if len(self.samples.get(number, ())) < 8}
            if not rare:
                break
            task.wait(self._pace.pause_s)

    def collect_grown(self, task: Task, before: Census) -> None:
        """Add to `large` the containers that have more elements than at the first census."""
        grown: dict[int, int] = OwnDict()
        for number, (size, _) in self.big.items():
            then = before.big_container(number)
            if then is not None and size - then[0] >= _LEAST_GROWN_BYTES:
                grown[number] = size - then[0]
        have = set(map(id, self.large))
        wanted = set(heapq.nlargest(_MOST_LARGE, grown, key=grown.__getitem__)) - have
        end, count = 0, 250_000
        while wanted:
            part = slice(max(end - count, 0), end) if end else slice(-count, None)
            # their addresses may be in use for other objects by now
            got = ObjectSample(part, wanted, _MOST_LARGE, by_type=False)
            self.census.holds.add(got.held_s)
            for one in got.objects:
                wanted.discard(id(one))
                if is_container(type(one)):
                    self.large.append(one)
            del got.objects[:]
            end = (end or got.total) - count
            if end <= 0 or got.total - end > count * self._pace.slices:
                break
            task.wait(self._pace.pause_s)

    def measure_content(self, task: Task) -> None:
        """Measure what the sampled instances hold, and keep it with the census."""
        for number, objects in self.samples.items():
            entry = self.by_name[self.names[number]]
            step = max(len(objects) // _SAMPLED_PER_TYPE, 1)
            contents = [
                content_of(one, self.sizers)
                for one in objects[::step]
                if self.sizers.size(one) < LARGE_BYTES
            ]
            self.set_content(entry, contents)
            task.check()
        self.census.keep_types(self.by_name)

    def set_content(self, entry: TypeCount, contents: list[Content]) -> None:
        """Set the means of a type from the contents of some instances."""
        count = len(contents)
        if not count:
            return
        mean = sum(one.size_bytes for one in contents) / count
        variance = sum((one.size_bytes - mean) ** 2 for one in contents) / count
        entry.content = (mean, variance / count)
        sums: dict[str, list[float]] = {}
        for one in contents:
            for number, (objects, size_bytes) in one.absorbed.items():
                cls = self.types.get(number)
                name = self.names.get(number) or ("" if cls is None else type_name(cls))
                total = sums.setdefault(name, [0.0, 0.0])
                total[0] += objects / count
                total[1] += size_bytes / count
        entry.absorbed = {name: (one, other) for name, (one, other) in sums.items()}

    def clear(self) -> None:
        """Drop all objects and types."""
        del self.large[:]
        for objects in self.samples.values():
            del objects[:]
        self.samples.clear()
        self.types.clear()


class _Generation:
    """Which slices of one generation to read, and the sums of what was read.

    Slices follow each other from the end to the beginning: what is freed meanwhile moves later
    objects to lower places, so that some are read twice and none is left out. A generation that is
    too large is read so at its end, and of the rest every n-th object.

    Attributes:
        total: objects in it.
        read: of them.
        extrapolates: only a part of the rest is read.
    """

    __slots__ = (
        "_begin",
        "_counts",
        "_generation",
        "_pace",
        "_size",
        "_sizes",
        "_slices",
        "_step",
        "extrapolates",
        "read",
        "total",
    )

    def __init__(self, generation: int, pace: Pace) -> None:
        self.total = 0
        self.read = 0
        self.extrapolates = False
        self._generation = generation
        self._pace = pace
        self._begin = self._slices = self._step = 0
        self._size = _FIRST_SLICE
        # of the beginning and of the rest
        self._counts: tuple[dict[int, int], ...] = OwnDict(), OwnDict()
        self._sizes: tuple[dict[int, int], ...] = OwnDict(), OwnDict()

    @property
    def continues(self) -> bool:
        """Whether there is more to read."""
        return self.next_part() is not None

    def next_part(self) -> slice | None:
        """Return the part to read next, None at the end."""
        if self.extrapolates:
            if self._slices >= _PARTS_OF_REST or self._slices >= self._step:
                return None
            return slice(self._slices, self._begin, self._step)
        if not self._slices:
            return slice(-self._size, None)
        if self._begin <= 0:
            return None
        return slice(max(self._begin - self._size, 0), self._begin)

    def add(self, got: ObjectSlice) -> None:
        """Add what was read."""
        if not self._slices and not self.extrapolates:
            self._begin = got.total
        self.total = got.total
        self.read += len(got.type_ids)
        self._slices += 1
        counts, sizes = self._counts[self.extrapolates], self._sizes[self.extrapolates]
        for number, count in Counter(got.type_ids).items():
            counts[number] = counts.get(number, 0) + count
        for number, size in zip(got.type_ids, got.sizes, strict=True):
            sizes[number] = sizes.get(number, 0) + size
        if self.extrapolates:
            return
        self._begin -= self._size
        self._size = _next_size(self._size, got.held_s)
        most = self._size * (self._pace.slices - _SLICES_BEFORE)
        if self._slices == _SLICES_BEFORE and self._begin > most:
            # every n-th object is read more slowly than neighbours, which share cache lines
            self.extrapolates = True
            self._slices = 0
            self._step = max(2 * self._begin // self._size, 2)

    def results(self) -> list[tuple[int, tuple[float, float]]]:
        """Return (id of the type, (count, own bytes)), extrapolated."""
        rest = max(self._begin, 0) if self.extrapolates else 0
        weights = []
        for counts, objects in zip(self._counts, (self.total - rest, rest), strict=True):
            read = sum(counts.values())
            weights.append(max(objects, 0) / read if read else 0.0)
        found: dict[int, tuple[float, float]] = OwnDict()
        for counts, sizes, factor in zip(self._counts, self._sizes, weights, strict=True):
            for number, count in counts.items():
                earlier = found.get(number, (0.0, 0.0))
                found[number] = earlier[0] + count * factor, earlier[1] + sizes[number] * factor
        return list(found.items())


def _next_size(size: int, held_s: float) -> int:
    """Return the number of objects for the next slice."""
    if held_s > LONGEST_HOLD_S:
        return max(int(size * LONGEST_HOLD_S / held_s * 0.9), _FIRST_SLICE // 2)
    if held_s < LONGEST_HOLD_S * 0.7:
        return min(int(size * (3 if held_s < LONGEST_HOLD_S * 0.25 else 1.5)), _MOST_IN_SLICE)
    return size


def _next_prime(number: int) -> int:
    """Return a small prime above `number`, 1 for 0: addresses are multiples of powers of two."""
    if number < 1:
        return 1
    for prime in (5, 11, 23, 47, 97):
        if prime > number:
            return prime
    return 97


def frozen_note() -> str:
    """Return what a census cannot see, or ""."""
    frozen = gc.get_freeze_count()
    return f"{frozen} objects frozen by gc.freeze are not counted" if frozen else ""
