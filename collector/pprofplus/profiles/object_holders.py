"""Finds what holds objects: chains of holders up to a module, a class, a frame or C code.

The search goes upwards from all wanted objects at once, level by level. Each level is one call of
`gc.get_referrers`, which looks at every object of the process while it holds the GIL. Therefore a
call has a limited number of objects, and their number follows from what the calls before took.
"""

from __future__ import annotations

import gc
import os
import sys
from time import perf_counter, thread_time
from types import FrameType, FunctionType, GeneratorType

from pprofplus.profiles.holder_labels import (
    Edge,
    attribute_edge,
    dict_of,
    found_in,
    is_closure,
    namespaces,
)
from pprofplus.profiles.object_sizes import Sizers, length_of
from pprofplus.profiles.object_slices import Held, Holds
from pprofplus.profiles.type_names import mro_of, type_name

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pprofplus.profiles.capture import Task

FRAME_OR_C = "[frame or C]"  # locals of a running frame are not seen since Python 3.11
CYCLE = "[unreachable cycle]"
NOT_SEARCHED = "[search ended here]"

MAX_FRONT = 40
_FIRST_FRONT = 8
_PARENTS = 2  # holders of one object that are followed
_MOST_REFERRERS = 3_000  # of one call
_MAX_DEPTH = 24
_OURS = f"{__package__}."
_OUR_FILES = os.path.dirname(__file__)


class _Node:
    """An object whose holders are wanted."""

    __slots__ = ("below", "depth", "edges", "object", "path", "searched", "through", "truncated")

    def __init__(self, of: object, depth: int) -> None:
        self.object: object = of
        self.depth = depth
        self.below: list[tuple[_Node, Edge]] = []
        self.edges = 0  # references to it that were found
        self.path: tuple[Edge, ...] | None = None
        self.through: _Node | None = None  # the holder on the path
        self.searched = False
        self.truncated = False


class _Mark:
    """Its instance is in every tuple of arguments for `gc.get_referrers`, and in no other."""

    __slots__ = ()


_MARK = _Mark()


class HolderSearch:
    """One search.

    Attributes:
        holds: of the GIL.
    """

    def __init__(
        self, types: dict[int, type], sizers: Sizers, then: Callable[[int], tuple[int, int] | None]
    ) -> None:
        """Prepare it; `then(id)` is (size, elements) of a known container at the first census."""
        self.holds = Holds()
        self._sizers = sizers
        self._then = then
        self._namespaces = namespaces(types)
        self._own_types = {
            number for number, cls in types.items() if type_name(cls).startswith(_OURS)
        }
        self._nodes: dict[int, _Node] = {}
        self._queue: list[_Node] = []
        self._front_size = _FIRST_FRONT

    def add(self, of: object) -> int:
        """Search the holders of an object; return its id, for `chain`."""
        self._node(of, 0)
        return id(of)

    def run(self, task: Task, *, most_calls: int, longest_s: float, pause_s: float) -> None:
        """Search until all is found or `most_calls` were made, each of at most `longest_s`."""
        while self._queue and self.holds.count < most_calls:
            task.check()
            front = self._queue[: self._front_size]
            del self._queue[: self._front_size]
            held_s = self._level(front)
            if held_s > longest_s:
                self._front_size = max(1, int(len(front) * longest_s / held_s * 0.8))
            elif len(front) == self._front_size:
                self._front_size = min(MAX_FRONT, self._front_size * 2)
            task.wait(pause_s)
        for node in self._queue:
            node.truncated = True
        self._queue.clear()
        self._label_the_rest()

    def chain(self, number: int) -> tuple[Edge, ...] | None:
        """Return the holders of an added object, the nearest first; None if it has ended."""
        return self._nodes[number].path

    def elements_added(self, number: int, least: float) -> int | None:
        """Return how many elements the nearest container on the chain that grew has more.

        It grew if it has `least` elements more, or a twentieth more. 0 if those that are known did
        not grow; None if the first census knows none.
        """
        known = False
        node = self._nodes[number].through
        for _ in range(_MAX_DEPTH * 2):
            if node is None:
                break
            then = self._then(id(node.object))
            length = length_of(node.object)
            if then is not None and length:
                known = True
                if length - then[1] >= max(min(least, then[1] / 20), 1):
                    return length - then[1]
            node = node.through
        return 0 if known else None

    def clear(self) -> None:
        """Drop all objects."""
        for node in self._nodes.values():
            node.object = None
            node.below.clear()
            node.through = None
        self._nodes.clear()
        self._queue.clear()

    def _node(self, of: object, depth: int) -> _Node:
        node = self._nodes.get(id(of))
        if node is None:
            node = self._nodes[id(of)] = _Node(of, depth)
            if depth < _MAX_DEPTH:
                self._queue.append(node)
            else:
                node.truncated = True
        return node

    def _level(self, front: Sequence[_Node]) -> float:
        """Find the holders of `front`; return the CPU time of the call that held the GIL."""
        targets = Held(node.object for node in front)
        begin, begin_cpu_s = perf_counter(), thread_time()
        referrers = Held(gc.get_referrers(*targets, _MARK))
        self.holds.add(perf_counter() - begin)
        # on a busy machine other processes run meanwhile: fewer objects would not shorten that
        held_s = thread_time() - begin_cpu_s
        wanted = {id(node.object): node for node in front}
        holders: dict[int, list[tuple[object, Edge | None]]] = {number: [] for number in wanted}
        cut = len(referrers) > _MOST_REFERRERS
        per_type: dict[int, int] = {}
        for index in range(len(referrers) - 1, -1, -1):
            holder = referrers[index]
            if self._is_ours(holder):
                continue
            if cut:
                number = id(type(holder))
                per_type[number] = per_type.get(number, 0) + 1
                if per_type[number] > 50:
                    continue
            self._assign(holder, wanted, holders)
        referrers.clear()
        for number, node in wanted.items():
            node.searched = True
            node.truncated = node.truncated or cut
            self._follow(node, holders[number])
        return held_s

    def _assign(
        self,
        holder: object,
        wanted: dict[int, _Node],
        holders: dict[int, list[tuple[object, Edge | None]]],
    ) -> None:
        """Add a referrer to those objects of the front that it refers to."""
        found = found_in(holder, set(wanted))
        if found is not None:
            for number, edge in found:
                wanted[number].edges += 1
                holders[number].append((holder, edge))
            return
        if self._sizers.size(holder) > 1 << 20:
            return
        for one in gc.get_referents(holder):
            if id(one) in wanted:
                wanted[id(one)].edges += 1
                holders[id(one)].append((holder, None))

    def _follow(self, node: _Node, holders: list[tuple[object, Edge | None]]) -> None:
        """Take the best holders of a node."""
        for wanted in ("module", "class"):
            for holder, edge in holders:
                kind, name = self._namespaces.get(id(holder), ("", ""))
                if kind == wanted and edge is not None:
                    key = edge.key if kind == "module" else f".{edge.attribute}"
                    self._resolve(node, (Edge(f"{kind} {name}{key}"),), None)
                    return
        ranked = self._ranked(node, holders)
        taken: set[int] = set()
        kinds: set[int] = set()
        for different in (True, False):
            for holder, edge in ranked:
                if len(taken) >= _PARENTS or id(holder) in taken:
                    continue
                if different and id(type(holder)) in kinds:
                    continue
                taken.add(id(holder))
                kinds.add(id(type(holder)))
                parent = self._node(holder, node.depth + 1)
                full = edge or self._attribute_edge(holder, node)
                parent.below.append((node, full))
                if parent.path is not None and node.path is None:
                    self._resolve(node, _joined(full, parent.path), parent)
        node.truncated = node.truncated or len(ranked) > len(taken)

    def _ranked(
        self, node: _Node, holders: list[tuple[object, Edge | None]]
    ) -> list[tuple[object, Edge | None]]:
        """Return the holders, the most promising first, of equal ones the last found first."""
        spaces: set[int] = set()
        if any(edge is not None for _, edge in holders):
            # an instance and its dict may both refer to the object: follow the instance
            for holder, edge in holders[-50:]:
                if edge is None and (space := dict_of(holder)) is not None:
                    spaces.add(id(space))
        found = [
            pair
            for pair in reversed(holders)
            if id(pair[0]) not in spaces and id(pair[0]) != id(node.object)
        ]
        return sorted(found, key=lambda pair: self._rank(pair[0]))

    def _attribute_edge(self, holder: object, node: _Node) -> Edge:
        target = node.object
        if is_closure(holder, target):
            return Edge(attribute_edge(holder, None).stem, role="closure")
        if type(target) is dict and dict_of(holder) is target:
            # the keys of the dict are attributes of the holder
            return Edge(attribute_edge(holder, None).stem, role="namespace")
        return attribute_edge(holder, target)

    def _rank(self, holder: object) -> int:
        """Return how promising a holder is, 0 for the best."""
        then = self._then(id(holder))
        length = length_of(holder)
        if then is not None and length > then[1]:
            return 0  # it has grown since the first census
        if length > 100:
            return 1
        if length or type(holder) is FunctionType:
            return 2
        if type(holder) is FrameType:
            return 5
        return 4 if dict not in mro_of(type(holder)) else 3

    def _resolve(self, node: _Node, path: tuple[Edge, ...], through: _Node | None) -> None:
        pending = [(node, path, through)]
        while pending:
            one, found, parent = pending.pop()
            if one.path is not None:
                continue
            one.path = found
            one.through = parent
            for child, edge in one.below:
                if child.path is None:
                    pending.append((child, _joined(edge, found), one))

    def _label_the_rest(self) -> None:
        """Give a last label to each object whose chain ends at no module and no class."""
        nodes = [node for node in self._nodes.values() if node.path is None]
        for label, ends in (
            (NOT_SEARCHED, lambda node: not node.searched),
            (FRAME_OR_C, self._is_held_unseen),
            (NOT_SEARCHED, lambda node: node.truncated),
            (CYCLE, lambda node: node.edges > 0),
        ):
            # an instance before its dict: the label is then an attribute
            for node in sorted(nodes, key=lambda node: (type(node.object) is dict, -node.depth)):
                if node.path is None and ends(node):
                    self._resolve(node, (Edge(label),), None)

    @staticmethod
    def _is_held_unseen(node: _Node) -> bool:
        """Whether there are more references to it than those of the holders that were found."""
        return sys.getrefcount(node.object) - _OWN_REFERENCES > node.edges

    def _is_ours(self, holder: object) -> bool:
        """Whether a referrer belongs to this search."""
        cls = type(holder)
        if id(cls) in self._own_types:
            return True
        if cls is tuple:
            # the arguments of the call that found it
            elements: tuple[object, ...] = holder  # type: ignore[assignment] # its type is exact
            return any(one is _MARK for one in elements)
        if cls is FrameType:
            return holder.f_code.co_filename.startswith(_OUR_FILES)  # type: ignore[attr-defined,no-any-return]
        if cls is GeneratorType:
            return holder.gi_code.co_filename.startswith(_OUR_FILES)  # type: ignore[attr-defined,no-any-return]
        return False


def _joined(edge: Edge, path: tuple[Edge, ...]) -> tuple[Edge, ...]:
    """Return the chain of an object that its holder's chain follows.

    The dict of an instance and the tuple of a closure are no steps of a chain of their own.
    """
    if path and path[0].role == "namespace" and edge.attribute:
        return (Edge(f"{path[0].stem}.{edge.attribute}"), *path[1:])
    if path and path[0].role == "closure":
        return (Edge(path[0].stem), *path[1:])
    return (edge, *path)


def _own_references() -> int:
    """Return what `sys.getrefcount` returns for the object of a node to which nothing refers."""
    node = _Node(object(), 0)
    return sys.getrefcount(node.object)


_OWN_REFERENCES = _own_references()
