"""Where figures come from: one module a source."""

from __future__ import annotations

from pprofplus.metrics import BY_NAME


class Probe:
    """One source of figures. Its constructor raises ProbeAbsentError where there is no source.

    Attributes:
        names: the catalogue's names of what `read` returns, in that order.
        budgeted: its cost grows with the process, so it runs as seldom as its budget says.
        least_period_s: it is not read more often than this.
        exact: its figures are whole numbers, one a name, by the way they are made: nobody checks.
        retired: it has no source any more, and leaves with the next table.
        label: what a warning calls it; "" for the name of its class.
    """

    names: tuple[str, ...] = ()
    budgeted = False
    least_period_s = 0.0
    label = ""
    exact = False
    retired = False

    @property
    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """The table's rows: (name, unit, kind) of each figure."""
        metrics = [BY_NAME[name] for name in self.names]
        return tuple((metric.name, metric.unit, metric.kind) for metric in metrics)

    def read(self) -> tuple[int, ...] | None:
        """Return the figures of now, or None while the source has nothing to say."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what the source holds; it is not read again."""
