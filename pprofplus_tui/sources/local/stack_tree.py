"""All stacks, frames and threads of a run, each once, and their numbers in each file."""

import numpy as np

from pprofplus.errors import LogFormatError
from pprofplus_tui.model.points import Ints
from pprofplus_tui.sources.local.stack_decode import DictionaryPart
from pprofplus_tui.sources.port import StackFrame, StackThread

# what all files of a run together may have; a run of the collector has a tenth of it
_MAX_FRAMES = 500_000
_MAX_STACKS = 2_000_000
_MAX_THREADS = 200_000
_MAX_TEXT = 200 << 20  # characters
_MAX_LINE = (1 << 31) - 1
_MAX_ENTRIES = 100_000  # of all tables of one file
_Table = tuple[int, Ints]  # number of the first entry, rows
_TOO_MANY = "a run has more stacks than fit into memory"
UNKNOWN_STACK = -1


class StackTree:
    """The stacks of a run. Numbers count from 0, and a parent has a smaller number.

    Attributes:
        frames: each once.
        functions: name, file and first line, each once.
        threads: each once.
        frame_of: of each stack, the number of its last frame.
        parent_of: of each stack, the number of the stack of its callers, -1 for none.
    """

    def __init__(self) -> None:
        self.frames: list[StackFrame] = []
        self.threads: list[StackThread] = [StackThread(0, "")]
        self.frame_of: list[int] = []
        self.parent_of: list[int] = []
        self.functions: list[tuple[str, str, int]] = []
        self._function_numbers: dict[tuple[str, str, int], int] = {}
        self._frame_numbers: dict[tuple[int, int], int] = {}  # by function and line in it
        self._thread_numbers: dict[StackThread, int] = {self.threads[0]: 0}
        self._stack_numbers: dict[tuple[int, int], int] = {}
        self._texts: dict[str, str] = {}
        self._text_size = 0

    def text(self, text: str) -> str:
        """Return the one object of a text. Raises LogFormatError."""
        known = self._texts.get(text)
        if known is None:
            self._text_size += len(text) + 60
            if self._text_size > _MAX_TEXT:
                raise LogFormatError(_TOO_MANY)
            known = self._texts[text] = text
        return known

    def function(self, name: str, file: str, first_line: int) -> int:
        """Return the number of a function. Raises LogFormatError."""
        key = name, file, first_line
        number = self._function_numbers.get(key)
        if number is None:
            number = self._function_numbers[key] = len(self.functions)
            self.functions.append((self.text(name), self.text(file), first_line))
        return number

    def thread(self, thread: StackThread) -> int:
        """Return the number of a thread. Raises LogFormatError."""
        number = self._thread_numbers.get(thread)
        if number is None:
            number = self._thread_numbers[thread] = len(self.threads)
            if number >= _MAX_THREADS:
                raise LogFormatError(_TOO_MANY)
            self.threads.append(thread)
        return number

    def add_stacks(self, stacks: dict[int, int], functions: dict[int, int], table: _Table) -> None:
        """Add new stacks of a file: to its `stacks`, the tree's number by the file's.

        `functions` is the same for functions. Raises LogFormatError.
        """
        first, rows = table
        unknown = self.function("?", "", 0)
        of_frame, of_stack = self._frame_numbers, self._stack_numbers
        tree_functions = self.functions
        parents, lines = rows[:, 0].tolist(), (rows[:, 2] >> 1 ^ -(rows[:, 2] & 1)).tolist()
        for number, (difference, function, line) in enumerate(
            zip(parents, rows[:, 1].tolist(), lines, strict=True), first
        ):
            in_function = functions.get(function, unknown), line
            frame = of_frame.get(in_function)
            if frame is None:
                frame = of_frame[in_function] = len(self.frames)
                name, file, first_line = tree_functions[in_function[0]]
                at = first_line + line
                self.frames.append(
                    StackFrame(name, file, first_line, at if 0 <= at <= _MAX_LINE else 0)
                )
            key = stacks.get(number - difference, UNKNOWN_STACK), frame
            found = of_stack.get(key)
            if found is None:
                found = of_stack[key] = len(self.frame_of)
                self.frame_of.append(frame)
                self.parent_of.append(key[0])
            stacks[number] = found
        if len(self.frames) > _MAX_FRAMES or len(self.frame_of) > _MAX_STACKS:
            raise LogFormatError(_TOO_MANY)


class FileNumbers:
    """What the numbers of one file stand for in the tree."""

    def __init__(self, tree: StackTree) -> None:
        self.tree = tree
        self._strings: dict[int, str] = {}
        self._functions: dict[int, int] = {}
        self._stacks: dict[int, int] = {0: UNKNOWN_STACK}
        self._threads: dict[int, int] = {0: 0}
        self._entries = 0

    def add(self, part: DictionaryPart) -> None:
        """Add a dictionary block. Raises LogFormatError if there are more than fit into memory."""
        tree = self.tree
        self._entries += len(part.strings[1])
        self._entries += sum(len(table[1]) for table in (part.functions, part.stacks, part.threads))
        if self._entries > _MAX_ENTRIES:
            raise LogFormatError("a file has more stacks than the collector writes")
        first, texts = part.strings
        self._strings.update(enumerate(texts, first))
        strings = self._strings
        first, rows = part.functions
        for number, (name, file, line) in enumerate(rows.tolist(), first):
            texts_of = strings.get(name, "?"), strings.get(file, "")
            self._functions[number] = tree.function(*texts_of, min(line, _MAX_LINE))
        tree.add_stacks(self._stacks, self._functions, part.stacks)
        first, rows = part.threads
        for number, (native_id, name) in enumerate(rows.tolist(), first):
            thread = StackThread(native_id, tree.text(strings.get(name, "")))
            self._threads[number] = tree.thread(thread)

    def tree_numbers(self, threads: Ints, stacks: Ints) -> tuple[Ints, Ints]:
        """Return the tree's numbers of these threads and stacks; the unknown are 0 and -1."""
        return _mapped(self._threads, threads, 0), _mapped(self._stacks, stacks, UNKNOWN_STACK)


def _mapped(numbers: dict[int, int], values: Ints, missing: int) -> Ints:
    found, inverse = np.unique(values, return_inverse=True)
    known = np.array([numbers.get(each, missing) for each in found.tolist()], np.int64)
    return known[inverse.reshape(-1)]
