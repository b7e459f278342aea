"""The settings in effect, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pprofplus_tui.model.chart_options import ChartOptions
from pprofplus_tui.model.charts import CHARTS
from pprofplus_tui.model.time_grammar import parse_span


@dataclass(frozen=True)
class Config:
    """The settings in effect.

    Attributes:
        theme: auto, dark or light.
        window: length of the first time window, such as "15m"; "" depends on the run.
        directories: log directories if the command line has none; () for the default ones.
        no_mouse: the terminal handles the mouse.
        low_bandwidth: send little to the terminal.
        ascii: draw with ASCII characters only.
        charts: ids of the charts shown at first.
        log_charts: ids of those with a logarithmic axis.
        total_charts: ids of those that show totals of counters, not rates per second.
        colours: colours as "#rrggbb", by their use; the theme has the others.
        lines: colours of the charts' lines, or () for the theme's.
        keys: keys by action; other actions keep their keys.
    """

    theme: str = "auto"
    window: str = ""
    directories: tuple[str, ...] = ()
    no_mouse: bool = False
    low_bandwidth: bool = False
    ascii: bool = False
    charts: tuple[str, ...] = tuple(chart.id for chart in CHARTS)
    log_charts: tuple[str, ...] = ()
    total_charts: tuple[str, ...] = ()
    colours: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def chart_options(self) -> ChartOptions:
        """How the charts are drawn at first."""
        hidden = {chart.id for chart in CHARTS} - set(self.charts)
        return ChartOptions(
            frozenset(hidden), frozenset(self.log_charts), frozenset(self.total_charts)
        )

    @property
    def window_ms(self) -> int | None:
        """The length of the first time window in milliseconds, or None."""
        return parse_span(self.window) if self.window else None
