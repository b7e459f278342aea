"""Heap profiles: what they count, what they refuse, and that they leave no trace."""

import functools
import gc
import sys
import threading
import weakref

import pytest

from kit.memory_cgroup import ENTER, small_cgroup
from kit.processes import IMPORT_PATH
from kit.units import MIB
from pprofplus.control.long_actions import ActionCancelledError
from pprofplus.profiles import heap_growth, object_census
from pprofplus.profiles.capture import CaptureRequest, ProfileRefusedError
from pprofplus.profiles.object_holders import CYCLE, FRAME_OR_C, HolderSearch
from pprofplus.profiles.object_sizes import Sizers, content_of
from pprofplus.profiles.type_names import all_types, type_name


class Task:
    """A task that runs to its end, or is cancelled at the n-th wait."""

    window_over = False

    def __init__(self, cancelled_at=None, during=None):
        self.reports = []
        self._waits = 0
        self._cancelled_at = cancelled_at
        self._during = during

    def check(self):
        pass

    def wait(self, timeout_s):
        self._waits += 1
        if self._waits == self._cancelled_at:
            raise ActionCancelledError
        if self._during is not None and timeout_s > 0.1:
            self._during, during = None, self._during
            during()

    def report(self, share, text=""):
        self.reports.append(text)


class Payload:
    def __init__(self, number=0):
        self.text = f"payload {number} " * 20


KEPT = []


@pytest.fixture(autouse=True)
def _no_base():
    heap_growth.drop_base_census()
    yield
    heap_growth.drop_base_census()
    KEPT.clear()
    Owner.registry.clear()


def taken(window_s=0.0, *, why="", task=None):
    request = CaptureRequest(("heap",), window_s, force=True, why=why)
    (part,) = object_census.take(request, task or Task())
    return part


def stacks(part):
    """Return {names of a stack: (objects, bytes)} of a profile."""
    profile = part.profile
    functions = {number: key[0] for key, number in profile._functions.items()}
    names = {number: functions[of] for (of, _), number in profile._locations.items()}
    return {
        tuple(names[location] for location in stack): tuple(values)
        for (stack, _), values in profile._samples.items()
    }


def chain_of(*objects):
    """Return the labels of the holders of the first object."""
    types = all_types()
    search = HolderSearch(types, Sizers(types), lambda _: None)
    number = search.add(objects[0])
    del objects
    search.run(Task(), most_calls=40, longest_s=1.0, pause_s=0.0)
    chain = [edge.text for edge in search.chain(number)]
    search.clear()
    return chain


def test_a_growth_names_the_type_and_its_holder():
    part = taken(0.2, task=Task(during=lambda: KEPT.extend(map(Payload, range(3_000)))))
    name = f"{__name__}.Payload"
    (found,) = (one for one in stacks(part) if one[0] == name)
    assert found[-1] == f"module {__name__}['KEPT']"
    assert 2_900 <= stacks(part)[found][0] <= 3_100


def test_a_census_counts_what_is_there():
    KEPT.extend(map(Payload, range(2_000)))
    found = {one[0]: values for one, values in stacks(taken()).items()}
    assert 1_900 <= found[f"{__name__}.Payload"][0] <= 2_100


def test_the_text_that_an_instance_holds_is_charged_to_it():
    one = Payload()
    one.text = "x" * MIB * 1
    assert content_of(one, Sizers(all_types())).size_bytes >= MIB


def test_a_text_that_many_hold_is_shared_among_them():
    text = "".join(["y"] * 80_000)
    holders = [[text] for _ in range(100)]
    sizers = Sizers(all_types())
    total = sum(content_of(one, sizers).size_bytes for one in holders)
    assert 0.8 * sys.getsizeof(text) <= total <= sys.getsizeof(text)


@pytest.mark.parametrize(
    "one", [[1] * 100, {i: i for i in range(50)}, {1, 2, 3}, (1, 2), {}, []], ids=repr
)
def test_own_sizes_are_those_of_sys_getsizeof(one):
    assert Sizers(all_types()).size(one) == sys.getsizeof(one)


def test_a_trigger_with_a_base_census_gets_the_growth():
    heap_growth.take_base_census(Task(), object_census.ON_TRIGGER, why="limit-75")
    KEPT.extend(map(Payload, range(2_000)))
    part = taken(why="limit-90")
    assert any(one[0] == f"{__name__}.Payload" for one in stacks(part))
    assert any("growth within" in line and "limit-75" in line for line in part.profile.comments)


@pytest.mark.slow
def test_a_trigger_without_a_base_census_gets_what_is_there():
    part = taken(why="limit-90")
    assert not any("growth" in line for line in part.profile.comments)


def test_growth_since_the_base_is_none_without_a_base():
    request = CaptureRequest(("heap",), 0, force=True)
    assert object_census.growth_since_base(request, Task()) is None


def test_the_expected_hold_is_reported_before_and_the_real_one_is_in_the_profile():
    task = Task()
    part = taken(task=task)
    assert "each hold of the GIL takes about" in task.reports[0]
    assert any(line.startswith("GIL held") for line in part.profile.comments)


def test_a_census_that_would_stop_the_process_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(object_census._measured, "list_one_s", 1.0)  # a very slow machine
    with pytest.raises(ProfileRefusedError, match=r"about \d+ ms at a time.*force=True") as error:
        object_census.check(CaptureRequest(("heap",), 0))
    assert "\n" not in str(error.value)


def test_a_forced_census_is_not_refused_for_its_time(monkeypatch):
    monkeypatch.setattr(object_census._measured, "list_one_s", 1.0)
    object_census.check(CaptureRequest(("heap",), 0, force=True))


def test_a_census_that_does_not_fit_below_the_memory_limit_is_refused(spawn, monkeypatch):
    program = """
from pprofplus.profiles.capture import CaptureRequest, ProfileRefusedError
from pprofplus.profiles import object_census
kept = [{i: i} for i in range(110_000)]
try:
    object_census.check(CaptureRequest(("heap",), 0, force=True))
except ProfileRefusedError as error:
    print(error)
"""
    monkeypatch.setenv("PYTHONPATH", IMPORT_PATH)
    with small_cgroup("census", 48 * MIB) as directory:
        process = spawn(program, prefix=(*ENTER[:3], str(directory)))
        output, errors = process.communicate(timeout=60)
    assert "raise the limit" in output, errors


def test_no_object_is_kept_alive():
    objects = [Payload(i) for i in range(500)]
    references = [weakref.ref(one) for one in objects]
    taken()
    gc.disable()
    try:
        del objects
        assert sum(one() is not None for one in references) == 0
    finally:
        gc.enable()


@pytest.mark.slow
def test_no_object_is_kept_alive_by_a_cancelled_census():
    for cancelled_at in (1, 3, 6, 9):
        objects = [Payload(i) for i in range(500)]
        references = [weakref.ref(one) for one in objects]
        with pytest.raises(ActionCancelledError):
            taken(task=Task(cancelled_at))
        del objects
        assert sum(one() is not None for one in references) == 0


@pytest.mark.slow
def test_a_census_leaves_no_reference_cycle():
    taken()
    gc.collect()
    gc.disable()
    try:
        taken()
        found = gc.collect()
    finally:
        gc.enable()
    assert found == 0


def test_frozen_objects_are_said_to_be_missing():
    gc.freeze()
    try:
        part = taken()
    finally:
        gc.unfreeze()
    assert any("frozen by gc.freeze" in line for line in part.profile.comments)


@pytest.mark.slow
def test_a_census_does_not_count_itself():
    taken(0.1)
    assert not any("pprofplus.profiles" in one[0] for one in stacks(taken(0.1)))


class InSlot:
    __slots__ = ("held",)


class Owner:
    registry: list = []  # noqa: RUF012 - a class attribute that holds


LOCAL = threading.local()


def holder_in_list(one):
    KEPT.append([0, 1, 2, one])
    return [r"list[3]", "list[0]", f"module {__name__}['KEPT']"]


def holder_in_dict(one):
    KEPT.append({"sessions\x1b": one})
    return ["dict['sessions\N{REPLACEMENT CHARACTER}']", "list[0]", f"module {__name__}['KEPT']"]


def holder_in_attribute(one):
    owner = Payload()
    owner.held = one
    KEPT.append(owner)
    return [f"{__name__}.Payload.held", "list[0]", f"module {__name__}['KEPT']"]


def holder_in_slot(one):
    owner = InSlot()
    owner.held = one
    KEPT.append(owner)
    return [f"{__name__}.InSlot.held", "list[0]", f"module {__name__}['KEPT']"]


def holder_in_class(one):
    Owner.registry.append(one)
    return ["list[0]", f"class {__name__}.Owner.registry"]


def holder_in_cell(one):
    held = one

    def inner():
        return held

    KEPT.append(inner)
    label = f"function {__name__}.holder_in_cell.<locals>.inner"
    return ["cell", label, "list[0]", f"module {__name__}['KEPT']"]


def holder_in_partial(one):
    KEPT.append(functools.partial(print, one))
    chain = ["tuple[0]", "functools.partial.args"]
    return [*chain, "list[0]", f"module {__name__}['KEPT']"]


def holder_in_set(one):
    KEPT.append({one})
    return ["set[*]", "list[0]", f"module {__name__}['KEPT']"]


@pytest.mark.parametrize(
    "hold",
    [
        holder_in_list,
        holder_in_dict,
        holder_in_attribute,
        holder_in_slot,
        holder_in_class,
        holder_in_cell,
        holder_in_partial,
        holder_in_set,
    ],
    ids=lambda hold: hold.__name__,
)
def test_the_chain_of_holders_has_the_edges(hold):
    expected = hold(Payload())
    chain = chain_of(held_payload())
    assert chain == expected


def held_payload():
    """Return the payload that no local variable of a test holds."""
    return next(
        one
        for one in reversed(gc.get_objects())
        if type(one) is Payload and not hasattr(one, "held")
    )


def test_a_cycle_that_nothing_else_holds_is_named():
    gc.disable()
    try:
        one = Payload()
        one.itself = one
        del one
        chain = chain_of(held_payload())  # an assert would keep the payload in a local
        assert chain == [CYCLE]
    finally:
        gc.enable()


def test_a_local_of_a_running_frame_is_held_by_a_frame_or_c():
    local = [Payload()]
    chain = chain_of(local[0])
    assert chain[0] == "list[0]"
    assert FRAME_OR_C in chain or any("frame" in one for one in chain)


def test_a_type_is_named_without_its_metaclass():
    class Meta(type):
        @property
        def __name__(cls):
            raise RuntimeError

    named = Meta("Named", (), {})
    assert type_name(named) == f"{__name__}.Named"
