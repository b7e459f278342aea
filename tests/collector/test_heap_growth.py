"""The growth of the heap in real processes that leak: type and holder are in its first line."""

import json
import re

import pytest

from kit.heap_programs import first_row, first_trace, pprof, run_program

# the type, and what the chain of holders contains
LEAKS = {
    "module_dict": (r"__main__\.Entry", r"module __main__\['REGISTRY'\]"),
    "closure": (r"dict", r"function __main__\.make_handler"),
    "class_attribute": (r"__main__\.Plugin", r"class __main__\.Plugin\.instances"),
    "bound_method": (r"__main__\.Widget", r"bound method .*__main__\.Bus\.listeners"),
    "asyncio_tasks": (r"coroutine|_asyncio\.Task", r"module __main__\['TASKS'\]"),
    "lru_cache": (r"__main__\.Result", r"lru_cache __main__\.fetch"),
    "thread_local": (r"__main__\.Trace", r"_thread\._local.*module __main__\['LOCAL'\]"),
    "cycle_with_del": (r"__main__\.Connection", r"\[unreachable cycle\]"),
    "ndarray_list": (r"numpy\.ndarray", r"list\[\*\].*module __main__\['FRAMES'\]"),
    "orm_sessions": (r"__main__\.(Row|Session)", r"__main__\.Pool\.sessions"),
}


@pytest.mark.slow
@pytest.mark.parametrize("leak", LEAKS)
def test_the_first_line_of_the_growth_names_type_and_holder(leak, tmp_path):
    if leak == "ndarray_list":
        pytest.importorskip("numpy")
    path = tmp_path / "growth.pb.gz"
    note = run_program("leaks.py", leak, path)
    of_type, of_holder = LEAKS[leak]
    row = first_row(pprof("-top", path))
    leaf, *holders = first_trace(pprof("-traces", path))
    assert re.fullmatch(of_type, row), (row, note)
    assert re.fullmatch(of_type, leaf), (leaf, note)
    assert re.search(of_holder, " ".join(holders)), note


@pytest.mark.slow
def test_objects_that_forbid_everything_are_counted_and_never_asked(tmp_path):
    path = tmp_path / "growth.pb.gz"
    said = json.loads(run_program("hostile_objects.py", path))
    assert said["called"] == []
    assert "HostileDict" in pprof("-traces", path)
    raw = pprof("-raw", path)
    assert "\x1b" not in raw
    assert "x" * 300 not in raw  # a name of a million characters is cut
