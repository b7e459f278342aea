"""Takes profiles of the test's own process, and sums what is in them."""

import threading

from pprofplus.control.long_actions import ActionCancelledError
from pprofplus.profiles.capture import CaptureRequest
from pprofplus.system.background import BackgroundThread


class ProfileTask:
    """As a LongAction: it can be cancelled, and it wakes the thread that waits."""

    window_over = False

    def __init__(self):
        self.cancelled = threading.Event()
        self.reports = []

    def check(self):
        if self.cancelled.is_set():
            raise ActionCancelledError

    def wait(self, timeout_s):
        self.cancelled.wait(timeout_s)
        self.check()

    def report(self, share, text=""):
        self.reports.append((share, text))


class Capture:
    """A profile that is being taken, on a thread of its own as in a service."""

    def __init__(self, module, *kinds, window_s=1.0, hz=100):
        self.parts, self.error, self.task = {}, None, ProfileTask()
        self._arguments = module, CaptureRequest(kinds, window_s, hz=hz)
        self._thread = BackgroundThread(self._run)
        self._thread.start()

    def _run(self):
        module, request = self._arguments
        try:
            module.check(request)
            for part in module.take(request, self.task):
                self.parts[part.kind] = part
        except BaseException as error:  # noqa: BLE001 - `result` raises it
            self.error = error

    @property
    def running(self):
        return self._thread.alive

    def result(self, timeout_s=60):
        """Return the parts by kind. Raises what the capture raised."""
        self._thread.join(timeout_s)
        assert not self._thread.alive
        if self.error is not None:
            raise self.error
        return self.parts


def capture(module, *kinds, **options):
    """Take profiles, and return the parts by kind."""
    return Capture(module, *kinds, **options).result()


def samples(part):
    """Yield (function names, the leaf first; labels; values) of each sample of a part."""
    builder = part.profile
    functions = {number: key[0] for key, number in builder._functions.items()}
    locations = {number: key for key, number in builder._locations.items()}
    for (stack, labels), values in builder._samples.items():
        yield [functions[locations[each][0]] for each in stack], dict(labels), values


def time_in(part, *names, **labels):
    """Return the second value of all samples with one of these functions and these labels."""
    return sum(
        values[1]
        for stack, found, values in samples(part)
        if any(name.rpartition(".")[2] in names for name in stack)
        and all(found.get(key) == value for key, value in labels.items())
    )
