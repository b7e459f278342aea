"""Record this process's memory to a compact log on disk: `pprofplus.start("api")`."""

__version__ = "0.1.0"

from pprofplus.lifecycle import start, stop
from pprofplus.sampler import Collector

__all__ = ["Collector", "__version__", "start", "stop"]
