"""The checks of `pprofplus doctor`: log directory, settings, metric sources."""
