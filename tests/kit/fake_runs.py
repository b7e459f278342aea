"""Creates the monitor's `Run` value without a log. It needs the monitor."""

from pprofplus_tui.model.runs import Run


def fake_run(service="api", pid=1, state="live", *, begin_ms=0, end_ms=10, **more):
    """Return a run; its id is made of the service and the pid."""
    return Run(f"/{service}/{pid}", service, pid, state, begin_ms, end_ms, **more)
