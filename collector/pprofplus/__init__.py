"""Record this process's memory to a compact log on disk: `pprofplus.start("api")`."""

__version__ = "0.1.0"
