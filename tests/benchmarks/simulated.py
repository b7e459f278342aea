"""The real collector without its thread, on clocks that advance by a second at each sample."""

import time

_SECOND_NS = 1_000_000_000


class Clock:
    """A clock that advances by `step_ns` at each call."""

    def __init__(self, now, step_ns=_SECOND_NS):
        self._now_ns = now()
        self._step_ns = step_ns

    def __call__(self):
        self._now_ns += self._step_ns
        return self._now_ns


def open_collector(service, directory, **settings_of):
    """Return a Collector with an open log, whose samples are always one second apart.

    So expensive probes are due as often as in reality, and not at every step of a tight loop.
    """
    from pprofplus import settings
    from pprofplus.recording import run_recorder, sampler

    run_recorder.monotonic_ns = sampler.monotonic_ns = Clock(time.monotonic_ns)
    run_recorder.time_ns = sampler.time_ns = Clock(time.time_ns)
    collector = sampler.Collector(settings.Settings(service, directory=directory, **settings_of))
    collector._open()
    return collector
