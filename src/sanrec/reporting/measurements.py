"""Read what was measured of time and memory, checked: figures of two machines are never mixed."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.errors import DataError
from sanrec.reporting.results import read_record, remake
from sanrec.reporting.specs import COSTS


def read_costs(dataset: str, machine: str, runs: Iterable[Run], root: str | Path = ".") -> dict[str, Any]:
    """What was measured of a data set's `runs` on a machine, the runs' part by `Run.system` under `runs`.

    Raises DataError, naming the file, where it is missing or malformed, lacks a run or has it with other settings, and
    where its content is another machine's or data set's than its path says.
    """
    path = Path(root) / artifacts.efficiency(dataset, machine)
    record = _read_measured(path, {"dataset": dataset, "machine": machine})
    _check_numbers(path, "timing", record["timing"], ("warm_up", "repeats"))
    for run in runs:
        cost = _measured(path, record, "runs", run, run.system)
        _check_numbers(path, run.system, cost, ("memory_before_bytes", "users"))
        _check_costs(path, run.system, [*map(cost.get, COSTS.values()), *_listed(cost.get("seconds"))])
    return record


def read_points(
    dataset: str, machine: str, measurement: str, points: Iterable[tuple[Run, str]], root: str | Path = "."
) -> dict[str, Any]:
    """What was measured of a figure's points (a run, and how it reads), under `points` by `artifacts.cost_key`.

    Raises DataError as `read_costs` does.
    """
    path = Path(root) / artifacts.costs(dataset, machine, measurement)
    record = _read_measured(path, {"dataset": dataset, "machine": machine, "measurement": measurement}, "points")
    _check_numbers(path, "timing", record["timing"], ("warm_up_steps", "steps"))
    for run, reads in points:
        key = artifacts.cost_key(run, reads)
        cost = _measured(path, record, "points", run, key)
        _check_numbers(path, key, cost, ("memory_before_bytes", "users", "steps", "items_per_step"))
        _check_costs(path, key, [*map(cost.get, COSTS.values()), *_listed(cost.get("step_seconds"))])
        if not all(map(_is_number, _listed(cost.get("losses")))):
            raise DataError(f"{path}: 'losses' of {key} are to be numbers. {remake(path)}")
    return record


def _read_measured(path: Path, asked: Mapping[str, str], of: str = "runs") -> dict[str, Any]:
    """A measurement's file, which is to be of what was asked."""
    record = read_record(path)
    for key, name in asked.items():
        if record.get(key) != name:
            raise DataError(f"{path}: was measured for {key} {record.get(key)!r}, not for '{name}'. {remake(path)}")
    if missing := {"hardware", "memory", "timing", of} - record.keys():
        raise DataError(f"{path}: lacks {', '.join(sorted(missing))}. {remake(path)}")
    return record


def _measured(path: Path, record: Mapping[str, Any], of: str, run: Run, key: str) -> Mapping[str, Any]:
    """What was measured of a run, with the settings that it has now."""
    cost = record[of].get(key) if isinstance(record[of], Mapping) else None
    if not isinstance(cost, Mapping):
        raise DataError(f"{path}: holds no measurement of {key}. {remake(path)}")
    names = artifacts.recorded_settings(run)
    if cost.get("settings") != run.settings.model_dump(mode="json", include=names):
        raise DataError(f"{path}: {key} was measured with other settings than it has now. {remake(path)}")
    return cost


def _listed(values: Any) -> list[Any]:
    """Numbers of which there is at least one, else one that is none."""
    return values if isinstance(values, list) and values else [None]


def _check_costs(path: Path, of: str, values: Iterable[Any]) -> None:
    for value in values:
        if not _is_number(value) or value <= 0:
            raise DataError(f"{path}: a cost of {of} is {value!r}, which is no number. {remake(path)}")


def _check_numbers(path: Path, of: str, values: Any, keys: Iterable[str]) -> None:
    """What goes into a table's or figure's notes: numbers from 0."""
    for key in keys:
        found = values.get(key) if isinstance(values, Mapping) else None
        if not _is_number(found) or found < 0:
            raise DataError(f"{path}: '{key}' of {of} is {found!r}, which is no number. {remake(path)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
