"""A program of known shares, controlled by lines of JSON on standard input.

    python profile_child.py MODULE PROGRAM

Each line is an object whose "do" names one of the commands below; the answer is one line of JSON on
standard output. The program ends with standard input.
"""

import importlib
import json
import os
import sys
import threading
import time
import traceback

import known_shares

_INSIDE = 0.95  # of a window: until then the cost is that of sampling, not of encoding


def _names(frame):
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back


def _run_delay_ns():
    """Return how long all threads together could run and had no core."""
    total = 0
    for tid in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{tid}/schedstat") as file:
                total += int(file.read().split()[1])
        except (OSError, IndexError):  # the thread has ended
            continue
    return total


def _file_of(kind, files):
    [found] = [path for path in files if os.path.basename(path).split("-")[1].split(".")[0] == kind]
    return found


class _Commands:
    """What the benchmark can ask of the program."""

    def __init__(self, turns):
        self.turns = turns
        self._threads_before = set()

    def snapshot(self):
        """Return the times of all functions until now, and the work done."""
        return {
            "at": time.monotonic(),
            "times": known_shares.times(),
            "work": sum(count[0] for count in self.turns.work),
            "run_delay_ns": _run_delay_ns(),
            "cpu_ns": time.process_time_ns(),
        }

    def version(self):
        """Return the version of this interpreter."""
        return {"python": sys.version.split()[0]}

    def longest_gap(self):
        """Return the longest gap of a spinning thread since the last call, in milliseconds."""
        longest_ns = max((count[1] for count in self.turns.work), default=0)
        for count in self.turns.work:
            count[1] = 0
        return longest_ns / 1e6

    def unit_ends(self):
        """Return when units of work were done since the last call, in milliseconds."""
        ends_ns = self.turns.unit_ends_ns
        found = [end_ns / 1e6 for end_ns in ends_ns.copy()]
        del ends_ns[: len(found)]
        return sorted(found)

    def port(self):
        """Return the port of the service, when it listens."""
        until = time.monotonic() + 20
        while not self.turns.port and time.monotonic() < until:
            time.sleep(0.01)
        return self.turns.port

    def take(self, kinds, seconds, hz, directory, force=False):
        """Take profiles into a directory; return what was found before and inside the window."""
        import pprofplus

        profile = pprofplus.profile(*kinds, seconds=seconds, path=directory, hz=hz, force=force)
        before, inside = self.snapshot(), []
        watcher = threading.Thread(
            target=self.take_snapshot_inside, args=(inside, _INSIDE * seconds), daemon=True
        )
        watcher.start()
        profile.take()
        stored_at = time.monotonic()
        watcher.join()
        return {
            "before": before,
            "inside": inside[0],
            "stored_at": stored_at,
            "files": {kind: _file_of(kind, profile.files) for kind in kinds},
            "switch_interval_s": sys.getswitchinterval(),
        }

    def start_collector(self, stacks, times_faster=1):
        """Start the collector, with or without the stacks of all threads.

        With `times_faster`, ticks and bursts of ticks follow each other so many times faster, and
        the budget is larger accordingly: an hour's profile is taken in a part of an hour.
        """
        import pprofplus

        if times_faster != 1:
            from pprofplus.recording import stack_recording as recording

            recording._PLAIN_NS //= times_faster
            recording._BURST_NS //= times_faster
            recording._SHARE_OF_BUDGET = 1.0
        self._threads_before = set(os.listdir("/proc/self/task"))
        collector = pprofplus.start(
            "bench", stacks=stacks, budget=0.05 if times_faster != 1 else None
        )
        return {
            "directory": str(collector.directory),
            "log_directory": os.environ["PPROFPLUS_DIR"],
        }

    def stop_collector(self):
        """Stop it."""
        import pprofplus

        pprofplus.stop()
        return {}

    def collector_cpu(self):
        """Return the CPU seconds of the threads that were started by the collector."""
        total = 0
        for tid in set(os.listdir("/proc/self/task")) - self._threads_before:
            with open(f"/proc/self/task/{tid}/schedstat") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def take_snapshot_inside(self, snapshots, delay_s):
        """Append a snapshot after a delay."""
        self.turns.stopping.wait(delay_s)
        snapshots.append(self.snapshot())

    def take_naive(self, seconds, hz):
        """Return what a thread finds that looks at all stacks at fixed intervals, and no more.

        The answer is a list of [names, the leaf first; count].
        """
        found = {}
        ending, own = threading.Event(), threading.get_ident()
        begin = time.monotonic()
        while (now := time.monotonic()) < begin + seconds:
            for ident, frame in sys._current_frames().items():
                if ident != own:
                    names = tuple(_names(frame))
                    found[names] = found.get(names, 0) + 1
            ending.wait(1 / hz - (now - begin) % (1 / hz))
        return {"stacks": [[list(names), count] for names, count in found.items()]}

    def profile_by(self, clock):
        """Let the threads profile themselves with cProfile, by "wall" or "cpu"."""
        self.turns.profile_by(time.perf_counter if clock == "wall" else time.thread_time)
        return self.snapshot()

    def end_profiles(self):
        """End cProfile; return the seconds in the calls of each function, and all seconds."""
        after = self.snapshot()
        return {"after": after, "found": self.turns.end_profiles()}


def serve_commands(turns, answers):
    """Carry out commands until standard input ends."""
    commands = _Commands(turns)
    for line in sys.stdin:
        words = json.loads(line)
        try:
            answer = getattr(commands, words.pop("do"))(**words)
        except Exception:  # noqa: BLE001  # the benchmark reports it
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    turns.stopping.set()


def main(module, name):
    """Run the program on this thread, and the commands on another."""
    [program] = (one for one in importlib.import_module(module).PROGRAMS if one.name == name)
    turns = known_shares.Turns()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints must not mix with the answers
    control = threading.Thread(target=serve_commands, args=(turns, answers), daemon=True)
    control.start()
    program.run(turns)


if __name__ == "__main__":
    main(*sys.argv[1:])
