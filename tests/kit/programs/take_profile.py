# takes profiles of the program that follows, on a thread of its own, and returns their samples
from _thread import allocate_lock as _new_lock
from _thread import start_new_thread as _start_thread
from time import sleep as _sleep

from pprofplus.profiles.capture import CaptureRequest, ProfileRefusedError
from pprofplus.profiles.kinds import KINDS
from pprofplus.profiles.pprof_decoder import decode_profile


class FreeTask:
    """A task that nobody cancels."""

    window_over = False

    def check(self):
        pass

    def wait(self, timeout_s):
        _sleep(timeout_s)

    def report(self, share, text=""):
        pass


class Taken:
    """A profile: its samples as (functions, the leaf first; values; labels), its part, its file."""

    def __init__(self, part):
        self.part = part
        self.encoded = part.profile.encode()
        self.profile = decode_profile(self.encoded)
        self.names = [frame[0] for frame in self.profile.frames]
        self.samples = [
            ([self.names[i] for i in stack], list(values), dict(labels))
            for stack, values, labels in self.profile.samples
        ]

    def having(self, name):
        return [sample for sample in self.samples if name in sample[0]]

    def total(self, name, value=0):
        return sum(values[value] for _, values, _ in self.having(name))


def in_thread(function):
    """Return what `function` returns on a thread of its own, or raise what it raises."""
    found, done = [], _new_lock()
    done.acquire()

    def work():
        try:
            found.append((function(), None))
        except BaseException as error:  # noqa: BLE001 - raised again, in the caller's thread
            found.append((None, error))
        finally:
            done.release()

    _start_thread(work, ())
    while not done.acquire(False):
        _sleep(0.002)
    value, error = found[0]
    if error is not None:
        raise error
    return value


def parts_of(kind, window_s=0.0, *, task=None, **options):
    request = CaptureRequest((kind,), window_s, **options)
    KINDS[kind].check(request)
    return list(KINDS[kind].take(request, task or FreeTask()))


def take(kind, window_s=0.0, **options):
    (part,) = in_thread(lambda: parts_of(kind, window_s, **options))
    return Taken(part) if part.profile is not None else part
