"""The stacks of a run: the files of its run directory, and the sums of any window of time."""

import os

import numpy as np

from pprofplus.errors import LogFormatError
from pprofplus.log.log_directory import parse_stack_file_name
from pprofplus.log.stack_format import STACK_STATES
from pprofplus_tui.model.points import Bools, Floats, Ints
from pprofplus_tui.sources.local.stack_file_reader import Period, StackFileReader, WindowSum
from pprofplus_tui.sources.local.stack_tree import UNKNOWN_STACK, StackTree
from pprofplus_tui.sources.port import StackWindow

_MAX_FILES = 10_000
# Stacks are about a second apart; a longer time without any is not covered.
_GAP_MS = 5000
_STATES = tuple(STACK_STATES.get(number, "unknown") for number in range(16))
_RUNNABLE = tuple(_STATES.index(name) for name in ("running", "ready", "gil"))


class StackReader:
    """Reads the stacks of the run in a run directory. Use it from one thread at a time.

    What it has read of finished files it keeps; only the newest file is read again.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._tree = StackTree()
        self._files: dict[tuple[int, int], StackFileReader] = {}
        self._problems: dict[tuple[int, int], str] = {}

    def window(self, begin_ms: int, end_ms: int) -> StackWindow:
        """Return what the threads did in [begin_ms, end_ms), unix ms. Raises OSError."""
        self._refresh()
        walked = self._walked()
        found = self._window(begin_ms, end_ms)
        if self._walked() == walked:
            return found
        # something that an index names is damaged: without the index, more may be found
        self._refresh()
        return self._window(begin_ms, end_ms)

    def _walked(self) -> int:
        return sum(file.walked for file in self._files.values())

    def _window(self, begin_ms: int, end_ms: int) -> StackWindow:
        sums = WindowSum()
        threads: list[Ints] = []
        stacks: list[Ints] = []
        cpu_threads: list[Ints] = []
        spans: list[tuple[int, int]] = []
        for file, periods in self._on_axis().values():
            of_file = WindowSum()
            for period, offset_ms in periods:
                first, last = period.begin_ms + offset_ms, period.end_ms + offset_ms
                if last < begin_ms or first >= end_ms:
                    continue
                spans.append((max(first, begin_ms), min(last, end_ms)))
                try:
                    file.add(of_file, period, begin_ms - offset_ms, end_ms - offset_ms)
                except (OSError, LogFormatError) as error:
                    file.problem = f"cannot be read: {getattr(error, 'strerror', error)}"
            rows, cpu = _joined(of_file.rows, 5), _joined(of_file.cpu, 2)
            rows, cpu = _merged(rows), _merged_cpu(cpu)
            thread, stack = file.numbers.tree_numbers(rows[0], rows[1])
            threads.append(thread)
            stacks.append(stack)
            cpu_threads.append(file.numbers.tree_numbers(cpu[0], cpu[0][:0])[0])
            sums.rows.append(rows)
            sums.cpu.append(cpu)
            sums.biased += of_file.biased
            sums.other += of_file.other
            sums.lost += of_file.lost
            sums.missed += of_file.missed
        rows, cpu = _joined(sums.rows, 5), _joined(sums.cpu, 2)
        rows[0] = np.concatenate(threads) if threads else rows[0]
        rows[1] = np.concatenate(stacks) if stacks else rows[1]
        cpu[0] = np.concatenate(cpu_threads) if cpu_threads else cpu[0]
        return self._answer(_merged(rows), _merged_cpu(cpu), sums, _covered_ms(spans))

    def _refresh(self) -> None:
        """Find new, changed and removed files. Raises OSError if the directory cannot be read."""
        found = []
        with os.scandir(self._path) as entries:
            for entry in entries:
                key = parse_stack_file_name(entry.name)
                if key is not None and entry.is_file(follow_symlinks=False):
                    found.append((key, entry.name))
        found.sort()
        found = found[-_MAX_FILES:]
        self._files = {
            key: self._files.get(key) or StackFileReader(f"{self._path}/{name}", self._tree)
            for key, name in found
        }
        self._problems.clear()
        # a file that is finished is read again too: its time and size tell whether it is the same
        for key in list(self._files):
            try:
                self._files[key].refresh()
            except FileNotFoundError:
                del self._files[key]  # rotation removed it after the directory was listed
            except (OSError, LogFormatError) as error:
                self._problems[key] = f"cannot be read: {getattr(error, 'strerror', error)}"

    def _on_axis(self) -> dict[tuple[int, int], tuple[StackFileReader, list[tuple[Period, int]]]]:
        """Return each file with its periods and what to add to their monotonic times.

        That is unix minus monotonic time, but never more than later in the run: after the wall
        clock was set back, earlier times are shifted, as those of the samples are.
        """
        placed = {}
        least: int | None = None
        for key in sorted(self._files, reverse=True):
            file = self._files[key]
            periods = []
            for period in reversed(file.periods):
                least = period.offset_ms if least is None else min(least, period.offset_ms)
                periods.append((period, least))
            placed[key] = file, periods[::-1]
        return dict(sorted(placed.items()))

    def _answer(self, rows: Ints, cpu: Ints, sums: WindowSum, covered_ms: int) -> StackWindow:
        """Return the values for the port; only what occurs in the rows is in their tables."""
        tree = self._tree
        rows, cpu_ms = _with_cpu(rows, cpu)
        used = _with_parents(rows[1], tree)
        place = np.full(len(tree.frame_of) + 1, -1, np.int64)
        place[used] = np.arange(len(used))
        frame_of = np.array([tree.frame_of[i] for i in used.tolist()], np.int64)
        parent_of = np.array([tree.parent_of[i] for i in used.tolist()], np.int64)
        frames, frame_of = np.unique(frame_of, return_inverse=True)
        threads, thread = np.unique(rows[0], return_inverse=True)
        total, counts = (sums.other, rows[4]) if sums.other else (sums.biased, rows[3])
        wall_ms: Floats = counts * (covered_ms / total) if total else np.zeros(rows.shape[1])
        return StackWindow(
            frames=tuple(tree.frames[i] for i in frames.tolist()),
            frame_of=frame_of.reshape(-1),
            parent_of=place[parent_of],
            threads=tuple(tree.threads[i] for i in threads.tolist()),
            states=_STATES,
            thread=thread.reshape(-1),
            stack=place[rows[1]],
            state=rows[2],
            ticks=rows[4],
            biased_ticks=rows[3],
            wall_ms=wall_ms,
            cpu_ms=cpu_ms,
            total_ticks=sums.other,
            total_biased_ticks=sums.biased,
            covered_ms=covered_ms,
            lost_ticks=sums.lost,
            missed_ticks=sums.missed,
            problems=self._lines(),
        )

    def _lines(self) -> tuple[str, ...]:
        """Return one line for each kind of problem."""
        by_reason: dict[str, list[str]] = {}
        for key, file in self._files.items():
            reason = self._problems.get(key) or file.problem
            if reason:
                by_reason.setdefault(reason, []).append(os.path.basename(file.path))
        return tuple(
            f"{names[0] if len(names) == 1 else f'{len(names)} files of stacks'} {reason}"
            for reason, names in by_reason.items()
        )


def _joined(arrays: list[Ints], height: int) -> Ints:
    return np.concatenate(arrays, axis=1) if arrays else np.zeros((height, 0), np.int64)


def _merged(rows: Ints) -> Ints:
    """Return rows in which each thread with a stack and a state occurs once."""
    if rows.shape[1] < 2:
        return rows
    order = np.lexsort((rows[2], rows[1], rows[0]))
    rows = rows[:, order]
    new = np.concatenate((np.ones(1, np.bool_), (np.diff(rows[:3], axis=1) != 0).any(axis=0)))
    starts = np.flatnonzero(new)
    merged = rows[:, starts]
    merged[3:] = np.add.reduceat(rows[3:], starts, axis=1)
    return merged


def _merged_cpu(cpu: Ints) -> Ints:
    """Return CPU times in which each thread occurs once."""
    threads, inverse = np.unique(cpu[0], return_inverse=True)
    used = np.bincount(inverse.reshape(-1), weights=cpu[1], minlength=len(threads))
    return np.array((threads, used), np.int64)


def _with_cpu(rows: Ints, cpu: Ints) -> tuple[Ints, Floats]:
    """Return the rows, and the CPU time of each one.

    A thread's CPU time is divided among the rows in which it could run, by their ticks: by the
    biased ones if it has no others. Without any, a row with an unknown stack is added for it.
    """
    runnable = np.isin(rows[2], _RUNNABLE)
    place = np.searchsorted(cpu[0], rows[0])
    known = place < cpu.shape[1]
    known[known] = cpu[0][place[known]] == rows[0][known]
    place = np.where(known, place, 0)
    result: Floats = np.zeros(rows.shape[1])
    left: Bools = np.ones(cpu.shape[1], np.bool_)
    for counts in (rows[4], rows[3]):
        weight = np.where(runnable & known, counts, 0).astype(np.float64)
        sums = np.bincount(place, weights=weight, minlength=cpu.shape[1])[: cpu.shape[1]]
        divided = left & (sums > 0)
        if divided.any():
            factor = np.divide(cpu[1], sums, out=np.zeros(len(sums)), where=divided)
            result += weight * np.where(known, factor[place], 0)
            left &= ~divided
    left &= cpu[1] > 0
    count = int(left.sum())
    if count:
        more = np.zeros((5, count), np.int64)
        more[0], more[1], more[2] = cpu[0][left], UNKNOWN_STACK, _RUNNABLE[0]
        rows = np.concatenate((rows, more), axis=1)
        result = np.concatenate((result, cpu[1][left].astype(np.float64)))
    return rows, result


def _with_parents(stacks: Ints, tree: StackTree) -> Ints:
    """Return these stacks and those of all callers, in increasing order, without -1."""
    parent_of = np.array(tree.parent_of, np.int64)
    used = np.zeros(len(parent_of), np.bool_)
    front = np.unique(stacks[stacks >= 0])
    while len(front):
        used[front] = True
        front = np.unique(parent_of[front])
        front = front[front >= 0]
        front = front[~used[front]]
    return np.flatnonzero(used)


def _covered_ms(spans: list[tuple[int, int]]) -> int:
    """Return how long these spans are, with short gaps between them."""
    total, reached = 0, None
    for begin, end in sorted(spans):
        if reached is not None and begin - reached <= _GAP_MS:
            begin = min(begin, reached)  # noqa: PLW2901 - the gap is covered too
        if reached is not None:
            begin = max(begin, reached)  # noqa: PLW2901
        total += max(0, end - begin)
        reached = end if reached is None else max(reached, end)
    return total
