"""The papers' own figures, from the csv files below workflow/reference."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sanrec.errors import DataError
from sanrec.reporting.specs import TableSpec

COLUMNS = ["dataset", "row", "metric", "value", "star"]


def read_columns(path: str | Path, columns: Sequence[str], what: str) -> pd.DataFrame:
    """A csv file's cells as texts. Raises DataError, saying `what` it holds, where it is missing or malformed."""
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; it holds {what}") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable csv file: {error}") from None
    if list(frame.columns) != list(columns):
        raise DataError(f"{path}: the columns are to be {','.join(columns)}, not {','.join(frame.columns)}")
    return frame


def no_reference() -> pd.DataFrame:
    """The cells of no paper, as `read_reference` would give them."""
    return pd.DataFrame(columns=COLUMNS, dtype=str).set_index(COLUMNS[:3])


def read_reference(path: str | Path, table: TableSpec) -> pd.DataFrame:
    """The paper's cells: value (text, as in the file) and star (`*` or empty), by (dataset, row, metric).

    Relative improvements stand as fractions, in rows of their own. Raises DataError for a file that is missing or
    malformed, for a cell given twice, and for one that fits no data set, row or metric of the table.
    """
    frame = read_columns(path, COLUMNS, f"the paper's figures of '{table.title}'")
    labels = [row.label for row in (*table.rows, *table.means)] + [comparison.label for comparison in table.comparisons]
    known = {
        "dataset": [entry.paper for entry in table.beside] or [""],
        "row": labels or [*table.backbones] or [""],
        "metric": [*table.statistics, *table.headings],
        "star": ["", "*"],
    }
    for column, names in known.items():
        for line, value in enumerate(frame[column], start=2):
            if value not in names:
                raise DataError(f"{path}, line {line}: {column} '{value}' is not in the table: {', '.join(names)}")
    for line, (metric, value) in enumerate(zip(frame["metric"], frame["value"], strict=True), start=2):
        counted = metric in table.statistics
        if table.statistics.get(metric) != "content" and not (value.isdecimal() if counted else _is_number(value)):
            raise DataError(f"{path}, line {line}: {metric} '{value}' is not a {'count' if counted else 'number'}")
    keys = frame[["dataset", "row", "metric"]]
    if keys.duplicated().any():
        line = int(keys.duplicated().to_numpy().argmax()) + 2
        raise DataError(f"{path}, line {line}: this data set, row and metric are given twice")
    return frame.set_index(["dataset", "row", "metric"])


def _is_number(text: str) -> bool:
    try:
        return float(text) == float(text)  # NaN is no figure
    except ValueError:
        return False
