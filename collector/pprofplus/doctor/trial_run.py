"""A test run: written as a service writes, read back, and removed completely."""

from __future__ import annotations

import os
import time

from pprofplus.errors import LogFormatError, PprofplusError
from pprofplus.log.format import (
    DATA,
    PAGE_SIZE,
    START,
    STOP,
    Event,
    header_part,
    parse_header,
    read_data_page,
    read_prefix,
)
from pprofplus.log.identity import header
from pprofplus.log.log_directory import (
    LEDGER_NAME,
    NEW_RUN_LIST_NAME,
    RUN_LIST_NAME,
    open_log_directory,
    open_private,
    run_name,
)
from pprofplus.log.run_directory import MIN_MAX_BYTES
from pprofplus.log.writer import Writer
from pprofplus.probes.probe_set import ProbeSet
from pprofplus.settings import Settings
from pprofplus.system.locks import lock

SERVICE = "pprofplus-doctor"
SAMPLES = 200
# so large that no other run is removed to make room for the test run
_NO_CAP = (1 << 62) - 1
_UNMEASURED = 10
_LEDGER_FILES = {LEDGER_NAME, RUN_LIST_NAME, NEW_RUN_LIST_NAME}


class Trial:
    """The result of a test run.

    Attributes:
        error: what prevented writing the samples, or None.
        read_back: samples found in the log.
        locked: the lock is visible through another descriptor; None if that was not tested.
        costs_s: seconds that each collection took, including its write.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.read_back = 0
        self.locked: bool | None = None
        self.costs_s: list[float] = []


def try_recording(log_directory: str, settings: Settings) -> Trial:
    """Record this process under a reserved service name, as fast as possible."""
    trial = Trial()
    made = _missing(log_directory)
    had_ledger = os.path.lexists(os.path.join(log_directory, LEDGER_NAME))
    probe_set = ProbeSet(settings.interval_s, settings.budget)
    try:
        now_ns, unix_ms = time.monotonic_ns(), time.time_ns() // 1_000_000
        probe_set.read(now_ns)
        values = probe_set.rebuild_schema(now_ns)
        writer = Writer(
            log_directory,
            header(SERVICE, os.getpid(), unix_ms, settings.interval_s, probe_set.metrics),
            max_bytes=MIN_MAX_BYTES,
            max_total_bytes=_NO_CAP,
            group_readable=settings.group_readable,
        )
        try:
            writer.add_event(Event(START, now_ns // 1_000_000, unix_ms))
            writer.add(now_ns // 1_000_000, unix_ms, values)
            if writer.write_error is None:
                _collect(trial, probe_set, writer, (now_ns, unix_ms), settings.interval_s)
            trial.error = writer.write_error
            if trial.error is None:
                _verify(trial, writer)
        finally:
            _remove(log_directory, writer, made, had_ledger=had_ledger)
    except (OSError, PprofplusError) as error:
        trial.error = error
    finally:
        probe_set.close()
    return trial


def _missing(log_directory: str) -> list[str]:
    """Return the directories that do not exist yet, the deepest first."""
    missing = []
    while log_directory and not os.path.lexists(log_directory):
        missing.append(log_directory)
        log_directory = os.path.dirname(log_directory)
    return missing


def _collect(
    trial: Trial, probe_set: ProbeSet, writer: Writer, began: tuple[int, int], interval_s: float
) -> None:
    """Take the samples, and time them. The probes' clock advances one interval per sample."""
    now_ns, unix_ms = began
    interval_ns = round(interval_s * 1e9)
    for i in range(1, SAMPLES):
        then_ns = now_ns + i * interval_ns
        passed_ms = then_ns // 1_000_000 - now_ns // 1_000_000
        from_s = time.perf_counter()
        values = probe_set.read(then_ns)
        writer.add(then_ns // 1_000_000, unix_ms + passed_ms, values)
        took_s = time.perf_counter() - from_s
        if i >= _UNMEASURED:
            trial.costs_s.append(took_s)


def _verify(trial: Trial, writer: Writer) -> None:
    """Test the lock and read the log. Raises OSError, LogFormatError."""
    newest = os.path.join(writer.directory, max(os.listdir(writer.directory)))
    number = os.open(newest, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        trial.locked = lock(number, shared=True) is False
    finally:
        os.close(number)
    writer.add_event(Event(STOP, time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000))
    writer.close()
    found: dict[int, int] = {}
    for name in sorted(os.listdir(writer.directory)):
        with open(os.path.join(writer.directory, name), "rb") as file:
            _read(file.read(), found)
    trial.read_back = sum(found.values())
    if trial.read_back < SAMPLES:
        raise LogFormatError(
            f"{SAMPLES} samples were written, {trial.read_back} were read back: use another disk"
        )


def _read(segment: bytes, found: dict[int, int]) -> None:
    """Note the samples of each page, by its number. Raises LogFormatError."""
    parts = b""
    for at in range(0, len(segment), PAGE_SIZE):
        page = segment[at : at + PAGE_SIZE]
        prefix = read_prefix(page)
        if prefix.type == DATA:
            samples = read_data_page(page).head.samples
            found[prefix.number] = max(samples, found.get(prefix.number, 0))
        else:
            parts += header_part(prefix, page)[2]
    parse_header(parts)


def _remove(log_directory: str, writer: Writer, made: list[str], *, had_ledger: bool) -> None:
    """Remove the run, and the directories that it created. Raises OSError, PprofplusError."""
    writer.abandon()
    if not os.path.lexists(log_directory):
        return
    log_directory_fd = open_log_directory(log_directory)
    try:
        if SERVICE in os.listdir(log_directory_fd):
            service_fd = open_private(SERVICE, within=log_directory_fd)
            try:
                _remove_run(run_name(writer.header.pid, writer.header.start_ms), service_fd)
            finally:
                os.close(service_fd)
            _remove_empty(SERVICE, log_directory_fd)
        left = set(os.listdir(log_directory_fd))
        if not had_ledger and left <= _LEDGER_FILES:
            for name in left:
                os.unlink(name, dir_fd=log_directory_fd)
    finally:
        os.close(log_directory_fd)
    for path in made:
        _remove_empty(path, None)


def _remove_run(name: str, service_fd: int) -> None:
    if name not in os.listdir(service_fd):
        return
    run_fd = open_private(name, within=service_fd)
    try:
        for entry in os.listdir(run_fd):
            os.unlink(entry, dir_fd=run_fd)
    finally:
        os.close(run_fd)
    _remove_empty(name, service_fd)


def _remove_empty(path: str, within: int | None) -> None:
    """Remove a directory, unless another process has put something there meanwhile."""
    try:
        os.rmdir(path, dir_fd=within)
    except OSError:
        pass
