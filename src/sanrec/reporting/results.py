"""Read what runs and data sets left behind, checked, into frames and arrays."""

import json
import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sanrec import artifacts
from sanrec.errors import DataError
from sanrec.evaluation.metrics import METRICS, RECALLS, metrics_from_ranks
from sanrec.files import read_json
from sanrec.versions import STEPS

log = logging.getLogger(__name__)

AGREE = 1e-6  # how far a metric may lie from what the run's ranks give: rounding, no more


@dataclass(frozen=True)
class Ranks:
    """Ranks of one split, the same targets in every run.

    `users` [U] are original ids, `values` [runs, T] int32, and `owners` [T] the users' numbers, None where each user
    has one target, in the order of `users`. `targets` [T] are the targets' original ids, None where the runs do not
    name them: with leave-one-out the interactions do.
    """

    users: tuple[str, ...]
    values: NDArray[np.int32]
    owners: NDArray[np.intp] | None = None
    targets: tuple[str, ...] | None = None


def read_statistics(path: str | Path) -> dict[str, Any]:
    """A data set's counts: users, items, interactions (whole numbers) and content (modalities present).

    Raises DataError, naming the file, for one that is missing or malformed.
    """
    values = read_record(path)
    for key in ("users", "items", "interactions"):
        if not _is_count(values.get(key)):
            raise DataError(f"{path}: '{key}' is to be a whole number, not {values.get(key)!r}. {remake(path)}")
    content = values.get("content")
    if not isinstance(content, list) or not content or not all(isinstance(part, str) for part in content):
        raise DataError(f"{path}: 'content' is to list the modalities present, not {content!r}. {remake(path)}")
    return values


def read_metrics(folder: str | Path, splits: Sequence[str] = ("test",), warn: bool = True) -> dict[str, Any]:
    """A run's metrics.json, with a seed and every metric of these splits, a fraction. Raises DataError, naming it.

    Of a run that another version of the training step has made it warns, once, unless the caller says so itself:
    Snakemake makes it anew unless it is told not to look at versions (`--rerun-triggers mtime`).
    """
    path = Path(folder) / "metrics.json"
    values = read_record(path)
    for split in splits:
        found = values.get(split)
        if not isinstance(found, Mapping):
            raise DataError(f"{path}: holds no metrics of the {split} split under '{split}'. {remake(path)}")
        for metric in (*METRICS, *(RECALLS if found.keys() & set(RECALLS) else ())):
            value = found.get(metric)
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not number or not 0 <= value <= 1:
                raise DataError(f"{path}: {split} metric {metric} is to be a fraction, not {value!r}. {remake(path)}")
    if not isinstance(values.get("seed"), int):
        raise DataError(f"{path}: 'seed' is to be a whole number, not {values.get('seed')!r}. {remake(path)}")
    if warn and (version := values.get("step_version", STEPS["train"])) != STEPS["train"]:
        _warn_of_version(str(path), version)
    return values


@cache
def _warn_of_version(path: str, version: int) -> None:
    log.warning(
        "%s: made by version %s of the training step, which has number %s now: its figures may differ from those of "
        "a run that is made today. %s",
        path,
        version,
        STEPS["train"],
        remake(path),
    )


def read_ranks(folder: str | Path, split: str = "test") -> pd.Series:
    """A run's ranks of one split: int32, by user id, in the order of the file. Raises DataError, naming the file.

    Where the file has a column `target`, a user stands once per target, and the index is of user and target.
    """
    path = Path(folder) / "ranks.parquet"
    if not path.is_file():
        raise DataError(f"{path}: no such file. {remake(path)}")
    try:
        frame = pd.read_parquet(path, filters=[("split", "==", split)])
        frame = frame[["user", "rank", *(["target"] if "target" in frame else [])]]
    except Exception as error:  # pyarrow raises many kinds for a file that is no parquet or lacks a column
        raise DataError(f"{path}: cannot be read as ranks: {error}. {remake(path)}") from None
    if frame.empty:
        raise DataError(f"{path}: holds no rank of split '{split}'. {remake(path)}")
    named = [frame[name].astype(str) for name in ("user", "target") if name in frame]
    index = pd.MultiIndex.from_arrays(named) if len(named) > 1 else pd.Index(named[0])
    ranks = pd.Series(frame["rank"].to_numpy(), index=index, name="rank")
    if not pd.api.types.is_integer_dtype(ranks) or (ranks < 0).any():
        raise DataError(f"{path}: a rank is a whole number from 0. {remake(path)}")
    if len(again := np.flatnonzero(frame.duplicated([name for name in frame if name != "rank"]))):
        user = frame["user"].iloc[again[0]]
        raise DataError(f"{path}: user '{user}' has more than one rank of split '{split}'. {remake(path)}")
    return ranks.astype(np.int32)


def read_gate_logits(folder: str | Path, towers: int) -> NDArray[np.float32]:
    """The logits [L, M, M + 1] of CROSSAN's gates between its M `towers`, the own hidden state's last.

    Raises DataError, naming the file, for weights that are missing, unreadable or have no such gates.
    """
    path = Path(folder) / "model.safetensors"
    found = read_logits(path, [f"gates.logits.{tower}" for tower in range(towers)], f"gates of {towers} towers")
    shapes = {logits.shape for logits in found}
    if len(shapes) != 1 or len(found[0].shape) != 2 or found[0].shape[1] != towers + 1:
        raise DataError(f"{path}: gates of {towers} towers have shape [L, {towers + 1}], not {shapes}. {remake(path)}")
    return np.stack(found, axis=1)


def read_logits(path: str | Path, names: Sequence[str], what: str) -> list[NDArray[np.float32]]:
    """Parameters of an item encoder, by name. Raises DataError for weights that are missing, unreadable or lack one."""
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file. {remake(path)}")
    try:
        with safe_open(path, framework="numpy") as weights:
            return [weights.get_tensor(f"item_encoder.{name}") for name in names]
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: holds no {what}: {error}. {remake(path)}") from None


def read_runs(folders: Iterable[str | Path], root: str | Path = ".") -> pd.DataFrame:
    """The test metrics of runs: one row per folder (the index, as given), columns `seed`, `METRICS` and `RECALLS`.

    Where users have one target each, Recall is HR.
    """
    records = {str(folder): read_metrics(Path(root) / folder) for folder in folders}
    rows, metrics = [], (*METRICS, *RECALLS)
    for values in records.values():
        test = {recall: values["test"][recall.replace("Recall", "HR")] for recall in RECALLS} | values["test"]
        rows.append({"seed": values["seed"], **{metric: float(test[metric]) for metric in metrics}})
    return pd.DataFrame(rows, index=pd.Index(records, name="folder", dtype=object), columns=["seed", *metrics])


def read_aligned_ranks(folders: Sequence[str | Path], root: str | Path = ".", split: str = "test") -> Ranks:
    """Ranks of runs that are to be compared user by user. Raises DataError, naming the runs, where users differ."""
    first: pd.Index | None = None
    values = []
    for folder in folders:
        ranks = read_ranks(Path(root) / folder, split)
        if first is None:
            first = ranks.index
        elif not ranks.index.equals(first):
            what = "are in another order" if set(ranks.index) == set(first) else "are not the same"
            whose = "users" if first.nlevels == ranks.index.nlevels == 1 else "users or targets"
            raise DataError(
                f"{folders[0]} and {folder} cannot be compared user by user: their {split} {whose} {what} "
                f"({len(first)} and {len(ranks)}). Delete the run that was made from other interactions and "
                "ask for the table again"
            )
        values.append(ranks.to_numpy())
    if first is None:
        raise DataError("no runs to compare")
    targets = tuple(first.get_level_values("target")) if first.nlevels > 1 else None
    named = first.get_level_values("user")
    owners, users = pd.factorize(named)
    return Ranks(tuple(users), np.stack(values), owners if named.has_duplicates else None, targets)


def read_information(path: str | Path, channels: Sequence[str]) -> dict[str, float]:
    """Mutual information in nats between the towers of two channels, by estimate. Raises DataError, naming the file."""
    pairs = read_record(path).get("pairs")
    pairs = pairs if isinstance(pairs, Mapping) else {}
    for key in ("+".join(channels), "+".join(reversed(channels))):
        if key in pairs:
            try:
                return {name: float(estimate["value"]) for name, estimate in pairs[key].items()}
            except (AttributeError, KeyError, TypeError, ValueError):
                raise DataError(f"{path}: '{key}' holds no estimates with a value. {remake(path)}") from None
    raise DataError(
        f"{path}: has no towers {' and '.join(channels)}, only {', '.join(pairs) or 'none'}. {remake(path)}"
    )


def check_agreement(
    metrics: Mapping[str, Any], ranks: NDArray[np.int32], folder: str, owners: NDArray[np.intp] | None = None
) -> None:
    """Raise DataError where the test metrics of a run do not follow from its ranks [T], of `owners` as in `Ranks`."""
    for name, expected in metrics_from_ranks(ranks, owners).items():
        if abs(expected - metrics[name]) > AGREE:
            raise DataError(
                f"{folder}: metrics.json gives {name} = {metrics[name]:.6f}, but ranks.parquet gives {expected:.6f}: "
                f"the two are not of the same training. {remake(Path(folder) / 'metrics.json')}"
            )


def read_record(path: str | Path) -> dict[str, Any]:
    """A JSON file of keys and values that the workflow made. Raises DataError, naming it, for what is none."""
    try:
        values = read_json(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. {remake(path)}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not valid JSON: {error}. {remake(path)}") from None
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected keys and values, found {type(values).__name__}. {remake(path)}")
    return values


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def remake(path: str | Path) -> str:
    """What to do about a file that the workflow makes."""
    text = Path(path).as_posix()
    start = text.find(f"{artifacts.ROOT}/")
    wanted = re.sub(r"(/seed=\d+)/(ranks|top)\.parquet$", r"\1/metrics.json", text[start:] if start >= 0 else text)
    return f"Delete it and make it again: snakemake {wanted} --cores"
