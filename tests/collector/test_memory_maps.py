"""The kind `maps`: the memory of the process by mapping and what each is for."""

import json
import os
import sys

import pytest

from kit.programs import TAKE_PROFILE
from kit.units import MIB
from pprofplus.profiles import memory_maps, smaps_reader
from pprofplus.profiles.capture import CaptureRequest, ProfileRefusedError
from pprofplus.profiles.mapping_kinds import MappingKinds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="maps are of Linux")

COUNT, RSS, PSS, DIRTY = range(4)


class Task:
    window_over = False

    def check(self):
        pass

    def wait(self, timeout_s):
        pass

    def report(self, share, text=""):
        pass


@pytest.fixture
def take(run):
    """Run a program that ends with `done()`, and return its samples and RSS in bytes."""

    def finish(program, *arguments):
        text = (
            TAKE_PROFILE
            + """
import json, mmap, os, sys, threading
def done(**options):
    taken = take("maps", **options)
    pages = int(open("/proc/self/statm").read().split()[1])
    print(json.dumps([taken.samples, pages * os.sysconf("SC_PAGE_SIZE"), taken.part.note]))
"""
            + program
        )
        return json.loads(" ".join(run(text, *arguments)))

    return finish


def of_kind(samples, kind, name=None):
    """Return the sums of a kind, and of one name of it."""
    found = [v for (leaf, root), v, _ in samples if root == kind and name in {None, leaf}]
    return [sum(column) for column in zip(*found, strict=True)] or [0] * 4


def test_all_mappings_together_are_the_resident_set(take):
    samples, rss, note = take("done()")
    total = sum(values[RSS] for _, values, _ in samples)
    assert abs(total - rss) < 2 * MIB
    assert note.endswith(" mappings")


def test_a_file_is_named_by_its_path(take, tmp_path):
    path = tmp_path / "mapped file"
    path.write_bytes(b"x" * 3 * MIB)
    samples, _, _ = take(
        """
file = open(sys.argv[1], "rb")
mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
sum(mapped[i] for i in range(0, len(mapped), 4096))
done()
""",
        str(path),
    )
    assert of_kind(samples, "file", str(path))[RSS] == 3 * MIB
    ((_, _, labels),) = [each for each in samples if each[0][0] == str(path)]
    assert labels == {"permissions": "r--s"}


def test_a_path_with_escapes_is_shown_without_them(take, tmp_path):
    path = tmp_path / "\x1b[31mred"
    path.write_bytes(b"x" * 4096)
    samples, _, _ = take(
        """
file = open(sys.argv[1], "rb")
mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
done()
""",
        str(path),
    )
    names = [leaf for (leaf, _), _, _ in samples]
    assert f"{tmp_path}/\\x1b[31mred" in names
    assert all(name.isprintable() for name in names)


def test_a_memfd_and_shared_memory_have_kinds_of_their_own(take):
    samples, _, _ = take(
        """
fd = os.memfd_create("frames")
os.ftruncate(fd, 2 << 20)
memfd = mmap.mmap(fd, 2 << 20)
memfd[:] = b"x" * (2 << 20)
shared = mmap.mmap(-1, 3 << 20)
shared[:] = b"x" * (3 << 20)
done()
"""
    )
    assert of_kind(samples, "memfd", "/memfd:frames (deleted)")[RSS] == 2 * MIB
    assert of_kind(samples, "shared memory")[RSS] >= 3 * MIB


def test_anonymous_memory_is_classed_by_its_size(take):
    samples, _, _ = take(
        """
NORESERVE = 0x4000  # so that the kernel does not merge it with a neighbour
flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE
private = mmap.mmap(-1, (40 << 20) + 4096, flags=flags)
private[:] = b"x" * len(private)
done()
"""
    )
    found = of_kind(samples, "anonymous", "[anonymous, 16 to 256 MiB]")
    assert found[DIRTY] >= 40 * MIB


def test_each_thread_of_python_has_a_stack(take):
    samples, _, _ = take(
        """
ending = threading.Event()
for _ in range(5): threading.Thread(target=ending.wait, daemon=True).start()
done()
"""
    )
    # and that which takes the profile
    assert of_kind(samples, "thread stack")[COUNT] == 6
    assert of_kind(samples, "main stack")[COUNT] == 1


def test_pythons_heap_is_found_as_large_as_pymalloc_says(take):
    samples, _, _ = take(
        """
kept = [{i: [i]} for i in range(200_000)]
done()
"""
    )
    found = of_kind(samples, "python heap", "[pymalloc arenas]")
    assert found[RSS] > 60 * MIB  # 200,000 dictionaries of 232 bytes, lists, numbers


def test_an_arena_of_malloc_is_recognised_by_its_alignment(take):
    samples, _, _ = take(
        """
def work():
    global kept
    kept = [bytes(2000) for _ in range(5000)]
    ending.wait()
ending = threading.Event()
for _ in range(2): threading.Thread(target=work, daemon=True).start()
import time; time.sleep(0.3)
done()
"""
    )
    assert of_kind(samples, "malloc arena", "[malloc arena]")[RSS] > 5 * MIB


@pytest.mark.slow
def test_a_process_of_many_mappings_is_read_as_a_stream(take):
    samples, _, note = take(
        """
import ctypes, tracemalloc
size = 60_000 * 4096
block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
begin = ctypes.addressof(ctypes.c_char.from_buffer(block))
protect = ctypes.CDLL(None).mprotect
for offset in range(0, size, 2 * 4096):
    protect(ctypes.c_void_p(begin + offset), 4096, mmap.PROT_READ)
tracemalloc.start()
done()
_, peak = tracemalloc.get_traced_memory()
assert peak < 40 << 20, peak
"""
    )
    assert int(note.split()[0]) > 59_000
    assert len(samples) < 500


def test_text_that_is_cut_anywhere_gives_the_same_mappings():
    with open("/proc/self/smaps", "rb") as file:
        text = file.read()
    (whole, *_) = [list(smaps_reader._parse(iter([text])))]
    for size in (1, 7, 100, 4096):
        if size == 1:
            parts = [text[i : i + 1] for i in range(3000)]
            end = text[:3000].rindex(b"VmFlags") if b"VmFlags" in text[:3000] else 0
            assert end == 0 or len(list(smaps_reader._parse(iter(parts)))) >= 1
            continue
        parts = [text[i : i + size] for i in range(0, len(text), size)]
        found = list(smaps_reader._parse(iter(parts)))
        assert [(m.begin, m.rss, m.name) for m in found] == [
            (m.begin, m.rss, m.name) for m in whole
        ]
    assert len(whole) == text.count(b"VmFlags")


def test_huge_pages_count_although_the_kernel_leaves_them_out_of_rss():
    text = (
        b"7f0000000000-7f0000400000 rw-p 00000000 00:0f 1234   /anon_hugepage (deleted)\n"
        b"Size:               4096 kB\nRss:                   0 kB\nPss:                   0 kB\n"
        b"Private_Dirty:         0 kB\nShared_Hugetlb:        0 kB\n"
        b"Private_Hugetlb:    4096 kB\nVmFlags: rd wr mr mw me de ht sd \n"
    )
    (mapping,) = smaps_reader._parse(iter([text]))
    assert (mapping.rss, mapping.private_dirty) == (4 * MIB, 4 * MIB)
    assert MappingKinds().kind(mapping, None, None)[0] == "huge pages"


def test_a_file_of_another_format_is_refused():
    with pytest.raises(ProfileRefusedError, match="unknown format"):
        list(smaps_reader._parse(iter([b"no smaps " * 1000] * 100)))


def test_where_proc_is_missing_one_line_says_so(monkeypatch):
    monkeypatch.setattr(memory_maps, "proc_problem", lambda: "/proc is not mounted: mount it")
    with pytest.raises(ProfileRefusedError) as caught:
        memory_maps.check(CaptureRequest(("maps",), 0))
    assert str(caught.value) == "/proc is not mounted: mount it"


def test_a_process_that_the_kernel_walks_for_long_is_refused_unless_it_is_forced(monkeypatch):
    pages = (100 << 30) // os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(memory_maps, "read_small_file", lambda _: b"0 %d 0" % pages)
    with pytest.raises(ProfileRefusedError, match="1000 ms"):
        memory_maps.check(CaptureRequest(("maps",), 0))
    memory_maps.check(CaptureRequest(("maps",), 0, force=True))
    (part,) = memory_maps.take(CaptureRequest(("maps",), 0, force=True), Task())
    assert "may have waited" in part.note


def test_many_names_are_summed_as_other(monkeypatch):
    monkeypatch.setattr(memory_maps, "_MAX_NAMES", 10)
    (part,) = memory_maps.take(CaptureRequest(("maps",), 0), Task())
    with open("/proc/self/statm") as file:
        rss = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert abs(part.profile.totals()[RSS] - rss) < 16 * MIB
    assert len(part.profile) < 30
