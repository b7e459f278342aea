"""Results as tables: one row per candidate; ours is first, the others have ratios to it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Column:
    """One figure of each row.

    Attributes:
        title: what is measured.
        unit: of the figure, or "".
        at_most: the target for our rows, or None.
        compared: whether ratios to our figure are meaningful.
    """

    title: str
    unit: str = ""
    at_most: float | None = None
    compared: bool = True


@dataclass(frozen=True)
class Row:
    """One candidate: a figure or None for each column, or a note instead of figures.

    Attributes:
        name: what is measured.
        figures: one per column.
        note: a remark.
        detail: the row is a part of the row above, and is not compared.
        at_most: targets of this row by column title; they replace those of the columns.
    """

    name: str
    figures: tuple[float | None, ...] = ()
    note: str = ""
    detail: bool = False
    at_most: Mapping[str, float] = field(default_factory=dict)

    def limit(self, column: Column) -> float | None:
        """Return the target of its figure in a column, or None."""
        return self.at_most.get(column.title, column.at_most)


@dataclass(frozen=True)
class Table:
    """The result of a benchmark. The first `ours` rows are ours; ratios refer to the first."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    ours: int = 1

    def missed(self) -> list[str]:
        """Return one line for each of our figures that is above its target."""
        return [
            f"{self.title}, {row.name}: {column.title} {shown(figure)} {column.unit}"
            f" > {shown(limit)}"
            for row in self.rows[: self.ours]
            if not row.detail
            for column, figure in zip(self.columns, row.figures, strict=False)
            if figure is not None and (limit := row.limit(column)) is not None and figure > limit
        ]


def shown(figure: float) -> str:
    """Return a number with three significant digits."""
    if figure == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(figure))))
    return f"{figure:,.{digits}f}"


def _cell(
    column: Column,
    figure: float | None,
    reference: float | None,
    limit: float | None,
    *,
    ours: bool,
) -> str:
    if figure is None:
        return "-"
    text = f"{shown(figure)} {column.unit}".rstrip()
    if ours and limit is not None:
        verdict = "ok" if figure <= limit else "MISSED"
        return f"{text} (<= {shown(limit)}: {verdict})"
    if not ours and column.compared and reference and figure:
        return f"{text} ({shown(figure / reference)}x)"
    return text


def _cells(table: Table) -> list[list[str]]:
    first = table.rows[0].figures if table.rows else ()
    grid = [["", *(column.title for column in table.columns)]]
    for i, row in enumerate(table.rows):
        if not row.figures:
            grid.append([row.name, row.note, *[""] * (len(table.columns) - 1)])
            continue
        alone = row.detail or not (first and i)
        reference = (None,) * len(table.columns) if alone else first
        grid.append(
            [
                f"{row.name} ({row.note})" if row.note else row.name,
                *(
                    _cell(
                        column,
                        figure,
                        known,
                        row.limit(column),
                        ours=i < table.ours and not row.detail,
                    )
                    for column, figure, known in zip(
                        table.columns, row.figures, reference, strict=True
                    )
                ),
            ]
        )
    return grid


def render(table: Table, *, markdown: bool = False) -> str:
    """Return the table as text, or as Markdown."""
    grid = _cells(table)
    # a note instead of figures does not count for the widths
    full = [grid[0], *(line for line, row in zip(grid[1:], table.rows, strict=True) if row.figures)]
    widths = [max(len(line[i]) for line in full) for i in range(len(grid[0]))]
    widths[0] = max(len(line[0]) for line in grid)
    lines = [[text.ljust(width) for text, width in zip(line, widths, strict=True)] for line in grid]
    if markdown:
        body = [f"| {' | '.join(line)} |" for line in lines]
        body.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
        head, notes = f"### {table.title}\n", [f"\n{note}" for note in table.notes]
    else:
        body = ["  ".join(line).rstrip() for line in lines]
        body.insert(1, "  ".join("-" * width for width in widths))
        head, notes = f"== {table.title}", [f"   {note}" for note in table.notes]
    return "\n".join([head, *body, *notes])
