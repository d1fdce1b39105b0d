"""Finished runs: what was trained, how well, with which settings, on what, for how long; and their learning curves."""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from sanrec.errors import DataError
from sanrec.reporting.results import read_metrics
from sanrec.versions import STEPS

NAMES = ("Data set", "Method", "Inputs", "Variant", "Seed")
SHOWN = ("HR@10", "NDCG@10")  # of the metrics, beside the one by which the best epoch was chosen
DIGITS = 4  # significant ones of a curve's points: more cannot be seen


@dataclass(frozen=True)
class RunRow:
    """A finished run, as the report shows it."""

    folder: str
    names: dict[str, str]
    """Data set, method, inputs, variant and seed."""
    test: dict[str, float]
    validation: dict[str, float]
    """Metrics, as fractions."""
    watched: str
    """The validation metric by which the best epoch was chosen."""
    settings: dict[str, Any]
    sources: str
    """Channels, each with its backbone."""
    best_epoch: int
    epochs: int
    stopped_by: str
    seconds: float | None
    """Of all epochs together; None where the history is not there."""
    seconds_per_epoch: float
    peak_memory: int
    """Bytes."""
    parameters: int
    """Trainable ones."""
    machine: str
    versions: dict[str, str]
    outdated: str
    """The version of the training step that made it, where it is another than today's."""
    curves: dict[str, list[float | None]]
    """Values by epoch, from the first, of the loss and of metrics on the validation split, in the order of drawing."""


def read_rows(
    folders: Iterable[str], watched: Mapping[str, str], root: str | Path = "."
) -> tuple[list[RunRow], list[str]]:
    """The runs in these folders; and, of those that cannot be read, what is wrong with them.

    `watched`: by data set the metric that training goes by, where it is not HR@10.
    """
    rows, problems = [], []
    for folder in folders:
        try:
            rows.append(read_row(folder, root, watched.get(folder.split("/")[1], SHOWN[0])))
        except DataError as error:
            problems.append(str(error))
    return rows, problems


def read_row(folder: str, root: str | Path = ".", watched: str = SHOWN[0]) -> RunRow:
    """A finished run. Raises DataError, naming the file, for metrics or a history that are not as they should be."""
    path = Path(root, folder)
    metrics = read_metrics(path, ("test", "validation"), warn=False)
    history = path / "history.csv"
    epochs = _read_history(history) if history.is_file() else []
    _, dataset, _, model, inputs, variant, seed = folder.split("/")
    places = (dataset, model, inputs, variant, seed.removeprefix("seed="))
    made_by = metrics.get("step_version", STEPS["train"])
    try:
        shown = dict.fromkeys((*SHOWN, *([watched] if watched in metrics["validation"] else [])))
        return RunRow(
            folder=folder,
            names=dict(zip(NAMES, places, strict=True)),
            test={name: metrics["test"][name] for name in shown},
            validation={name: metrics["validation"][name] for name in shown},
            watched=watched,
            settings=dict(metrics["settings"]),
            sources=", ".join(f"{source['channel']} by {source['backbone']}" for source in metrics["run"]["sources"]),
            best_epoch=int(metrics["best_epoch"]),
            epochs=int(metrics["epochs"]),
            stopped_by=str(metrics["stopped_by"]),
            seconds=sum(epoch["seconds"] for epoch in epochs) if epochs else None,
            seconds_per_epoch=float(metrics["seconds_per_epoch"]),
            peak_memory=int(metrics["peak_memory_bytes"]),
            parameters=int(metrics["trainable_parameters"]),
            machine=str(metrics["machine"]),
            versions={name: str(version) for name, version in metrics["versions"].items()},
            outdated="" if made_by == STEPS["train"] else str(made_by),
            curves={
                name: [_point(epoch[name]) for epoch in epochs]
                for name in ("loss", *shown)
                if epochs and name in epochs[0]
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        kind = f"lacks {error}" if isinstance(error, KeyError) else f"is not as a run writes it: {error}"
        raise DataError(f"{path / 'metrics.json'}: {kind}. Delete it and make it again") from None


def _read_history(path: Path) -> list[dict[str, float]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error, TypeError, ValueError) as error:
        _malformed(path, f"cannot be read: {error}")
    if not rows or "seconds" not in rows[0]:
        _malformed(path, "has no epochs with their 'seconds'")
    return rows


def _malformed(path: Path, what: str) -> NoReturn:
    raise DataError(f"{path}: {what}. Delete it and make the run again")


def _point(value: float) -> float | None:
    """A value as it is drawn; what is no number leaves a gap."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
