"""Record this process's memory to a compact log on disk: `pprofplus.start("api")`."""

from pprofplus.lifecycle import start, stop
from pprofplus.recording.sampler import Collector
from pprofplus.runtime import gauge, mark, pause, resume
from pprofplus.version import __version__

__all__ = ["Collector", "__version__", "gauge", "mark", "pause", "resume", "start", "stop"]
