"""Reads profiles of pprofplus, py-spy, Austin and cProfile; charges stacks to listed functions."""

import gzip
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from known_shares import Program

# a stack that has one of these belongs to the benchmark or to the profiler
_OWN = ("serve_commands", "take_snapshot_inside")
_OWN_MODULE = "pprofplus."
Stacks = Iterable[tuple[Sequence[str], float]]  # names, the leaf first, and their weight


@dataclass(frozen=True)
class PprofFile:
    """What a benchmark needs of a pprof profile.

    Attributes:
        types: name of each value of a sample.
        samples: (names of the functions, the leaf first; values; labels).
        comments: in the order of the file.
        duration_s: of the window.
    """

    types: tuple[str, ...]
    samples: tuple[tuple[tuple[str, ...], tuple[int, ...], dict[str, str | int]], ...]
    comments: tuple[str, ...]
    duration_s: float

    def stacks(self, value_type: str) -> Iterator[tuple[Sequence[str], float]]:
        """Return (names, value) of each sample."""
        at = self.types.index(value_type)
        return ((names, values[at]) for names, values, _ in self.samples)

    def total(self, value_type: str) -> float:
        """Return the sum of a value over all samples."""
        return sum(value for _, value in self.stacks(value_type))


def read_pprof(path: str | Path) -> PprofFile:
    """Return the content of a pprof file."""
    fields = list(_fields(gzip.decompress(Path(path).read_bytes())))
    strings = [bytes(content).decode() for number, content in fields if number == 6]
    functions, locations = {}, {}
    for number, content in fields:
        if number == 5:
            one = dict(_fields(content))
            functions[one[1]] = strings[one.get(2, 0)]
        elif number == 4:
            parts = list(_fields(content))
            lines = [dict(_fields(part)) for field, part in parts if field == 4]
            locations[dict(parts)[1]] = [line.get(1, 0) for line in lines]
    samples = []
    for number, content in fields:
        if number == 2:
            ids, values, labels = [], [], {}
            for field, part in _fields(content):
                if field == 1:
                    ids += _numbers(part)
                elif field == 2:
                    values += _numbers(part)
                elif field == 3:
                    label = dict(_fields(part))
                    text = strings[label.get(2, 0)] if 2 in label else label.get(3, 0)
                    labels[strings[label[1]]] = text
            names = tuple(functions[one] for place in ids for one in locations[place])
            samples.append((names, tuple(values), labels))
    return PprofFile(
        tuple(strings[dict(_fields(part)).get(1, 0)] for field, part in fields if field == 1),
        tuple(samples),
        tuple(strings[one] for field, part in fields if field == 13 for one in _numbers(part)),
        next((part for field, part in fields if field == 10), 0) / 1e9,
    )


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value, at = _varint(data, at)
        if key & 7 == 2:
            yield key >> 3, data[at : at + value]
            at += value
        else:
            yield key >> 3, value


def _numbers(part: int | bytes) -> list[int]:
    if isinstance(part, int):
        return [part]
    found, at = [], 0
    while at < len(part):
        value, at = _varint(part, at)
        found.append(value - (1 << 64) if value >> 63 else value)
    return found


def read_collapsed(text: str) -> Iterator[tuple[Sequence[str], float]]:
    """Return the stacks of py-spy's format raw, or of Austin; frames are separated by ";"."""
    for line in text.splitlines():
        frames, _, weight = line.rpartition(" ")
        if not frames or line.startswith("#") or not weight.lstrip("-").isdigit():
            continue
        names = [_frame_name(frame) for frame in frames.split(";")]
        yield [name for name in reversed(names) if name], float(weight)


def _frame_name(frame: str) -> str:
    """Return the function of "name (file.py:12)" or of "file.py:name:12"; "" for a thread."""
    found = re.fullmatch(r"(.+?) \([^()]*\)", frame) or re.fullmatch(r"[^;]*?:([^:]+):\d+", frame)
    return found[1] if found else ""


def by_function(stacks: Stacks, program: Program) -> dict[str, float]:
    """Return the weight of each listed function; a stack counts for the innermost one in it."""
    listed = set(program.functions)
    found = dict.fromkeys(program.functions, 0.0)
    for names, weight in stacks:
        last = [name.rpartition(".")[2] for name in names]
        if not last or any(name.startswith(_OWN_MODULE) for name in names):
            continue
        if any(name in last for name in _OWN):
            continue
        inner = next((name for name in last if name in listed), program.rest)
        if inner and not names[-1].startswith("["):
            found[inner] += weight
    return found


def by_calls(seconds: Mapping[str, float], total: float, program: Program) -> dict[str, float]:
    """Return the same of cProfile's cumulative seconds; `rest` has what the others leave."""
    found = {name: seconds.get(name, 0.0) for name in program.functions if name != program.rest}
    if program.rest:
        found[program.rest] = max(0.0, total - sum(found.values()))
    return found


def shares(weights: Mapping[str, float], program: Program) -> dict[str, float] | None:
    """Return the share of each function that is not idle, in percent; None if all are 0."""
    busy = {name: weight for name, weight in weights.items() if name not in program.idle}
    total = sum(busy.values())
    return {name: 100 * weight / total for name, weight in busy.items()} if total > 0 else None
