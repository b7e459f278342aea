"""Opens the monitor on what the command line chose."""

from pprofplus_tui.app import MonitorApp
from pprofplus_tui.model.options import Options


def run_monitor(options: Options) -> int:
    """Run the monitor until the user leaves it; return the exit code."""
    app = MonitorApp(options)
    code = app.run(mouse=options.mouse)
    return app.return_code or code or 0
