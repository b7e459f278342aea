"""Reads rows of cells as text. It imports nothing: a row is a tuple of objects with `text`."""


def row_text(row):
    return "".join(run.text for run in row)


def row_texts(rows):
    return [row_text(row) for row in rows]


def styles_of(row, word=""):
    """Return the styles of the cells whose text contains `word`."""
    return {run.style for run in row if word in run.text}
