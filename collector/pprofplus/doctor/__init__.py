"""The checks of `pprofplus doctor`. May import settings, probes, log, metrics, system, errors."""
