"""Parsing the records of the kernel's log about the end of a process."""

import pytest

from pprofplus_tui.sources.local.kernel_log import KernelLog, ProcessRecord, record_of


@pytest.mark.parametrize(
    ("text", "pid", "oom"),
    [
        (b"Memory cgroup out of memory: Killed process 11546 (python3) total-vm:1kB", 11546, True),
        (b"Out of memory: Killed process 12 (python3), UID 0, total-vm:1kB", 12, True),
        (b"Out of memory (oom_kill_allocating_task): Killed process 9 (x) total-vm", 9, True),
        (b"Killed process 77 (x) total-vm:1kB, anon-rss:1kB", 77, True),
        (b"python3[12926]: segfault at 0 ip 00007f1f sp 00007ffc error 4 in libc.so", 12926, False),
        (b"traps: python3[12] general protection fault ip:7 sp:7 error:0", 12, False),
        (b"traps: python3[12] trap invalid opcode ip:7 sp:7 error:0", 12, False),
        (b"traps: python3[12] trap int3 ip:7 sp:7 error:0", 12, False),
        # the name of a process may imitate the beginning of a record about another process
        (b"a[4711]: segfau[99]: segfault at 0 ip", 99, False),
    ],
)
def test_a_record_names_the_process_that_ended(text, pid, oom):
    record = record_of(text, 5)
    assert (record.pid, record.oom, record.mono_ms) == (pid, oom, 5)


@pytest.mark.parametrize(
    "text",
    [
        b"python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0",
        b"oom-kill:constraint=CONSTRAINT_MEMCG,task=python3,pid=11546,uid=0",
        b"usb 1-1: Killed process 5 of its own",
        b"oom_reaper: reaped process 11546 (python3), now anon-rss:0kB",
        b"\xff\xfe\x00",
        b"",
    ],
)
def test_other_records_are_ignored(text):
    assert record_of(text, 5) is None


def test_the_time_of_a_record_distinguishes_processes_with_the_same_pid(monkeypatch):
    log = KernelLog()
    records = tuple(ProcessRecord(7, ms, oom=True, text=str(ms)) for ms in (1000, 50_000))
    monkeypatch.setattr("pprofplus_tui.sources.local.kernel_log.process_records", lambda: records)
    assert log.end_of(7, 40_000, 60_000).text == "50000"
    assert log.end_of(7, 2000, 40_000) is None
    assert log.end_of(8, 0, 60_000) is None
