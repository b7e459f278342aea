"""Metric sources, one module each. May import log.format, metrics, system and errors."""

from __future__ import annotations

from pprofplus.metrics import BY_NAME


class Probe:
    """One metric source. Its constructor raises ProbeAbsentError where the source does not exist.

    Attributes:
        names: the catalogue's names of the values that `read` returns, in that order.
        budgeted: its cost grows with the process, so the budget limits how often it runs.
        min_period_s: it is not read more often than this.
        exact: its values are whole numbers, one a name, by construction: they are not checked.
        retired: its source is gone; it leaves the next schema.
        label: its name in warnings; "" for the name of its class.
    """

    names: tuple[str, ...] = ()
    budgeted = False
    min_period_s = 0.0
    label = ""
    exact = False
    retired = False

    @property
    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """The schema's rows: (name, unit, kind) of each value."""
        metrics = [BY_NAME[name] for name in self.names]
        return tuple((metric.name, metric.unit, metric.kind) for metric in metrics)

    def read(self) -> tuple[int, ...] | None:
        """Return the current values, or None while the source has none."""
        raise NotImplementedError

    def close(self) -> None:
        """Release the source's resources; it is not read again."""
