"""What the searches behind a tuned table found: beside its rows, and in its legend."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sanrec import artifacts
from sanrec.config import Config, Settings
from sanrec.errors import DataError
from sanrec.reporting import frame as f
from sanrec.reporting.frame import Column
from sanrec.reporting.specs import TableSpec
from sanrec.reporting.stand_ins import datasets_of
from sanrec.reporting.table_runs import row_runs
from sanrec.searches import read_search


def set_searches(
    config: Config,
    table: TableSpec,
    name: str,
    title: str,
    cells: dict[tuple[str, str], dict[Column, Any]],
    root: str | Path = ".",
) -> None:
    """Fill in, for each system of a tuned table on a data set, what its search reached on validation, and with what.

    Raises DataError where a search is missing or malformed, or had another number of trials than the others have.
    """
    for (label, dataset), runs in row_runs(config, table).items():
        if dataset != name:
            continue
        path = Path(root, runs[0].search)
        record = read_search(path)
        metric = config.datasets[name].watched
        if (record["trials"], record["metric"]) != (config.trials, metric):
            raise DataError(
                f"{path}: {record['trials']} trials by {record['metric']}, where {config.trials} by {metric} are asked "
                f"for. Make it again: snakemake {path} --cores"
            )
        cells[label, f.SYSTEM][f.SEARCH, title, metric] = float(record["value"])
        cells[label, f.SYSTEM][f.FOUND, title, metric] = spelled(record["best"])


def spelled(values: Mapping[str, Any]) -> str:
    """Settings as a variant has them, in its order: `name=value, name=value`."""
    return ", ".join(f"{name}={artifacts.spell(values[name])}" for name in Settings.model_fields if name in values)


def search_columns(config: Config, table: TableSpec, titles: Mapping[str, str]) -> list[Column]:
    """The columns of what was found, of a tuned table; of others none."""
    names = datasets_of(config, table) if table.tuned else ()
    blocks = (f.SEARCH, f.FOUND)
    return [(block, titles[name], config.datasets[name].watched) for name in names for block in blocks]


def search_notes(config: Config, table: TableSpec) -> list[str]:
    """What the reader of a tuned table must know."""
    if not table.tuned:
        return []
    return [
        f"Every system has the settings that a search of {config.trials} trials found for it on the validation split "
        "of the very data set, with one seed; the test split is scored once, at the end (docs/tuning.md)."
    ]
