"""Makes the golden file of stacks: run `python tests/collector/golden/make_stacks.py`."""

from pathlib import Path

from pprofplus.log.stack_encoder import StackEncoder
from pprofplus.log.stack_format import STACK_HEADER_BYTES, pack_stack_header

START_MS = 1_795_169_333_907
CAPACITY = 65_536
TICKS = 160


class Names:
    """A stack is a number, of which the frames follow."""

    def frames(self, stack):
        depth = 1 + stack % 5
        return [
            (f"app.f{n}é", f"/srv/app/{n % 3}.py", 10 * n, 10 * n + stack) for n in range(depth)
        ]

    def thread_name(self, native_id):
        return f"worker-{native_id}" if native_id > 1 else "MainThread"

    def abandon(self):
        pass


def ticks():
    """Return (mono ms, unix ms, threads, biased): threads begin and end, the clock is set."""
    found = []
    for i in range(TICKS):
        mono_ms = 5_000 + 1000 * i + (120_000 if i >= 90 else 0)
        unix_ms = START_MS + mono_ms + (3_600_000 if i >= 120 else 0)
        threads = [(1, 0, 6, 0)]
        threads += [
            (thread, (i // 3 * thread) % 7, (i * thread) % 10, i % 4 * 250)
            for thread in range(2, 6)
            if (i // 20 + thread) % 3
        ]
        found.append((mono_ms, unix_ms, threads, i % 6 == 0))
    return found


def content():
    """Return a finished file, with a period for each clock and before and after the gap."""
    encoder = StackEncoder(Names(), STACK_HEADER_BYTES, 1 << 16)
    data = pack_stack_header(CAPACITY, *ticks()[0][:2])
    for i, (mono_ms, unix_ms, threads, biased) in enumerate(ticks()):
        if i in {50, 90, 120}:
            encoder.end_period()
        encoder.add(mono_ms, unix_ms, threads, biased=biased, lost=3 * (i == 90), missed=i == 95)
        if i % 5 == 0:
            data += encoder.take()
    encoder.finish()
    return data + encoder.take()


if __name__ == "__main__":
    (Path(__file__).parent / "stacks-1.0.ppstacks").write_bytes(content())
