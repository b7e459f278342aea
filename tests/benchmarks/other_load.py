"""How much of the machine other programs use: figures measured next to much are doubtful."""

import time

import psutil

_CALM_CORES = 0.25
_LOOK_S = 0.5


class OtherLoad:
    """CPU time of all processes that this one has not started, from its creation on."""

    def __init__(self) -> None:
        self._began = self._read()

    def cores(self) -> float:
        """Return how many cores other programs used on average, since the creation."""
        at_s, foreign_s = self._read()
        return max(0.0, (foreign_s - self._began[1]) / max(1e-3, at_s - self._began[0]))

    @staticmethod
    def _read() -> tuple[float, float]:
        total = psutil.cpu_times()
        own = psutil.Process()
        used = sum(own.cpu_times()[:4])
        for process in own.children(recursive=True):
            try:
                used += sum(process.cpu_times()[:4])
            except psutil.Error:  # it has ended, and is counted by its parent
                continue
        busy = total.user + total.nice + total.system + total.irq + total.softirq
        return time.monotonic(), busy - used


def wait_for_calm(timeout_s: float) -> None:
    """Wait until other programs use less than a quarter of a core, or until the time is over."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        load = OtherLoad()
        time.sleep(_LOOK_S)
        if load.cores() < _CALM_CORES:
            return
