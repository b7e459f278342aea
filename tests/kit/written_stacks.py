"""Writes stacks with the collector's writer, with ticks that the test chooses."""

import random

from pprofplus.log.format import STOP, Event, RunHeader
from pprofplus.log.stack_encoder import StackEncoder
from pprofplus.log.stack_format import STACK_HEADER_BYTES, pack_stack_header
from pprofplus.log.stack_writer import StackWriter
from pprofplus.log.writer import Writer

START_MS = 1_795_000_000_000
BEGIN_MS = 5000  # monotonic ms of the first tick
METRICS = (("m", "B", "gauge"),)
CAPACITY = 1 << 20


class Names:
    """A stack is a tuple of frames; a thread is called after its number."""

    def frames(self, stack):
        return stack

    def thread_name(self, native_id):
        return f"Thread-{native_id}"

    def abandon(self):
        pass


def frames(*names):
    """Return a stack of functions with these names, the outermost first."""
    return tuple((f"app.{name}", f"/srv/{name}.py", 10, 10 + len(name)) for name in names)


def begin(directory, *, number=1, max_bytes=64 << 20, max_total_bytes=1 << 30):
    """Begin a run with stacks; return the writer of its log, and that of its stacks."""
    header = RunHeader(service="svc", pid=100 + number, start_ms=START_MS + number, metrics=METRICS)
    log = Writer(str(directory), header, max_bytes=max_bytes, max_total_bytes=max_total_bytes)
    log.add(BEGIN_MS, START_MS, [1])
    return log, StackWriter(log.files, Names())


def end(log, stacks):
    """End a run in the order of the collector."""
    log.add_event(Event(STOP, BEGIN_MS, START_MS))
    stacks.close()
    log.close()


def ticks(count, *, threads=10, seed=1, change=0.3, stacks=40, step_ms=1000):
    """Return (mono ms, unix ms, threads, biased) of random ticks of an imaginary process."""
    rng = random.Random(seed)
    known = [
        frames(*(f"f{rng.randrange(20)}" for _ in range(rng.randrange(1, 12))))
        for _ in range(stacks)
    ]
    state = dict.fromkeys(range(1, threads + 1), (known[0], 5))
    found = []
    for i in range(count):
        now = []
        for thread, (stack, kind) in state.items():
            if rng.random() < change:
                stack, kind = rng.choice(known), rng.randrange(9)  # noqa: PLW2901
                state[thread] = stack, kind
            if rng.random() < 0.97:
                now.append((thread, stack, kind, rng.choice((0, 0, 1, 900))))
        mono_ms = BEGIN_MS + step_ms * i
        found.append((mono_ms, START_MS + step_ms * i, now, rng.random() < 0.5))
    return found


def expected(tick):
    """Return a tick as the reference decoder does."""
    mono_ms, unix_ms, threads, biased = tick
    found = {
        (thread, f"Thread-{thread}"): (stack, state, cpu_ms)
        for thread, stack, state, cpu_ms in threads
    }
    return mono_ms, unix_ms, biased, found


def decoded(tick):
    """Return a tick of the reference decoder in the same form."""
    return tick.mono_ms, tick.unix_ms, tick.biased, tick.threads


def encoded(some_ticks, *, finish=True, ticks_a_block=3, period_ms=20_000):
    """Return a whole file of these ticks, as the collector's encoder makes it."""
    mono_ms, unix_ms = some_ticks[0][:2]
    encoder = StackEncoder(Names(), STACK_HEADER_BYTES, 1 << 20)
    data = pack_stack_header(CAPACITY, mono_ms, unix_ms)
    for i, (mono_ms, unix_ms, threads, biased) in enumerate(some_ticks, 1):
        period = encoder.period
        if period is not None and mono_ms - period[0] >= period_ms:
            encoder.end_period()
        encoder.add(mono_ms, unix_ms, threads, biased=biased)
        if i % ticks_a_block == 0:
            data += encoder.take()
    if finish:
        encoder.finish()
    return data + encoder.take()
