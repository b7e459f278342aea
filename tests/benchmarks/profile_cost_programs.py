"""Programs that count the work they do, so that the cost of a profile can be measured."""

from known_shares import Program, in_threads, turns_of


def _spin(turns):
    total = 0
    for i in range(turns):
        total += i & 7
    return total


def _busy(threads, unit_s):
    """Return a program of threads that do units of work, each through a few calls."""

    def run(turns):
        count_of_unit = turns_of(unit_s, _spin)

        def deeper(depth):
            return deeper(depth - 1) if depth else _spin(count_of_unit)

        def loop(turns):
            count = turns.counter()
            while turns.more():
                deeper(20)
                count[0] += 1

        in_threads([loop] * threads, turns)

    return run


def _resting(threads, depth):
    """Return a program of threads that wait in a deep stack, and work a little now and then."""

    def run(turns):
        def wait(left):
            return wait(left - 1) if left else turns.stopping.wait(0.1)

        def loop(turns):
            count = turns.counter()
            while turns.more():
                wait(depth)
                _spin(2_000)
                count[0] += 1

        in_threads([loop] * threads, turns)

    return run


def _allocating(turns):
    def loop(turns):
        count, kept = turns.counter(), []
        while turns.more():
            kept.append([{"number": number, "text": f"item {number}"} for number in range(100)])
            if len(kept) > 200:
                kept.clear()
            count[0] += 1

    in_threads([loop], turns)


PROGRAMS = (
    Program("one busy thread", "cost", _busy(1, 0.0005), ()),
    Program("four competing threads", "cost", _busy(4, 0.0005), (), busy=4),
    Program("ten threads of depth 30", "cost", _resting(10, 30), (), busy=0),
    Program("a thread that allocates", "cost", _allocating, ()),
)
