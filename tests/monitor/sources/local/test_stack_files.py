"""Files of stacks in the monitor: in the size of a run, in bundles, and through the port."""

import json
import zipfile
from pathlib import Path

import pytest

from kit import stack_reference, written_stacks
from kit.ledger import ledger_of
from kit.written_stacks import START_MS, begin, end, ticks
from pprofplus.log.log_directory import stack_file_name
from pprofplus_tui.sources.local.bundle import BundleError, unpacked
from pprofplus_tui.sources.open import open_source
from pprofplus_tui.sources.port import RunToPack

NAME = "svc/101"


@pytest.fixture
def recorded(logs):
    """A run with 100 ticks: its log directory and its run directory."""
    log, stacks = begin(logs)
    for mono_ms, unix_ms, threads, biased in ticks(100):
        stacks.add(mono_ms, unix_ms, threads, biased=biased)
        stacks.write(log.segment_number)
    end(log, stacks)
    return logs, Path(log.directory)


def stored_bytes(directory):
    return sum(path.stat().st_size for path in directory.glob("*.pp*"))


def info_of(logs):
    (info,), _ = open_source([str(logs)]).find_by_name(NAME)
    return info


def test_the_size_of_a_run_has_its_stacks(recorded):
    logs, directory = recorded
    assert list(directory.glob("*.ppstacks"))
    assert info_of(logs).size_bytes == stored_bytes(directory)
    catalog = open_source([str(logs)]).catalog()
    catalog.refresh(in_view=())  # reads only the record of an ended run
    assert [info.size_bytes for info in catalog.runs] == [stored_bytes(directory)]
    with ledger_of(logs) as ledger:
        assert ledger.bound_bytes == stored_bytes(directory)


def test_the_size_of_a_live_run_grows_with_its_stacks(logs):
    log, stacks = begin(logs)
    source = open_source([str(logs)])
    reader = source.open(info_of(logs).id)
    for mono_ms, unix_ms, threads, biased in ticks(50):
        stacks.add(mono_ms, unix_ms, threads, biased=biased)
        stacks.write(log.segment_number)
        log.add(mono_ms, unix_ms, [1])
        reader.refresh()
    assert reader.size_bytes == stored_bytes(Path(log.directory))
    end(log, stacks)


def test_the_port_returns_the_stacks_of_a_window(recorded):
    logs, directory = recorded
    source = open_source([str(logs)])
    window = source.open(info_of(logs).id).stacks(START_MS + 20_000, START_MS + 30_000)
    found = [
        tick
        for tick in stack_reference.read_run(directory)
        if START_MS + 20_000 <= tick.unix_ms < START_MS + 30_000
    ]
    assert window.total_ticks + window.total_biased_ticks == len(found) == 10


def pack(logs, path):
    source = open_source([str(logs)])
    info = info_of(logs)
    run = RunToPack(info.id, info.service, info.pid, info.state, info.begin_ms, info.end_ms)
    source.pack([run], path)


def test_a_bundle_carries_the_stacks(recorded, tmp_path):
    logs, directory = recorded
    bundle = tmp_path / "run.pplogs"
    pack(logs, bundle)
    with zipfile.ZipFile(bundle) as archive:
        (run,) = json.loads(archive.read("manifest.json"))["runs"]
    files = stack_reference.stack_files(directory)
    assert run["stacks"] == {path.name: path.stat().st_size for path in files}
    with unpacked(str(bundle)) as there:
        source = open_source([str(there)])
        window = source.open(source.find_by_name(NAME)[0][0].id).stacks(0, 1 << 52)
        assert window.total_ticks + window.total_biased_ticks == 100


def test_a_bundle_of_a_live_run_has_the_complete_ticks(logs, tmp_path):
    log, stacks = begin(logs)
    for mono_ms, unix_ms, threads, biased in ticks(40):
        stacks.add(mono_ms, unix_ms, threads, biased=biased)
        stacks.write(log.segment_number)
    bundle = tmp_path / "run.pplogs"
    pack(logs, bundle)
    end(log, stacks)
    with unpacked(str(bundle)) as there:
        (path,) = there.rglob("*.ppstacks")
        assert len(stack_reference.read_file(path.read_bytes()).ticks) == 40


@pytest.mark.parametrize("name", ["000001-1.ppstacks", "0000001-01.ppstacks", "x.ppstacks"])
def test_a_bundle_with_another_name_of_stacks_is_refused(tmp_path, name):
    path = tmp_path / "evil.pplogs"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps({"format": 1, "runs": []}))
        archive.writestr(f"api/7-{START_MS}/{name}", b"x")
    with pytest.raises(BundleError, match="refused"), unpacked(str(path)):
        pass


def test_a_bundle_with_too_large_a_file_of_stacks_is_refused(tmp_path):
    path = tmp_path / "evil.pplogs"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps({"format": 1, "runs": []}))
        archive.writestr(f"api/7-{START_MS}/{stack_file_name(1, 1)}", bytes((1 << 20) + 1))
    with pytest.raises(BundleError, match="file of stacks"), unpacked(str(path)):
        pass


def test_the_text_of_stacks_is_returned_as_it_is(logs):
    """Whoever shows it must clean it; the port documents that it is untrusted."""
    log, stacks = begin(logs)
    evil = written_stacks.frames("\x1b[31mred")
    stacks.add(5000, START_MS, [(1, evil, 1, 0)], biased=False)
    stacks.write(log.segment_number)
    end(log, stacks)
    source = open_source([str(logs)])
    window = source.open(info_of(logs).id).stacks(0, 1 << 52)
    assert window.frames[0].name == "app.\x1b[31mred"
