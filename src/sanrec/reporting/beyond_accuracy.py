"""What systems recommend, and to whom they are of use: lists, and accuracy by popularity and by length of history.

All of it follows from the ranks and lists that runs have stored; no score is computed anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sanrec import artifacts
from sanrec.config import Config
from sanrec.errors import DataError
from sanrec.evaluation.beyond_accuracy import PARTS, Lists, history_popularity, parts_by_popularity
from sanrec.evaluation.metrics import per_user
from sanrec.reporting.cold_start import in_group
from sanrec.reporting.results import (
    Ranks,
    check_agreement,
    read_aligned_ranks,
    read_record,
    read_runs,
    remake,
)
from sanrec.reporting.specs import TableSpec
from sanrec.reporting.table_runs import row_runs
from sanrec.reporting.taken import (
    Catalogue,
    catalogue_of,
    history_lengths,
    read_interactions,
    targets_of,
    training_parts,
)
from sanrec.reporting.top_lists import check_lists, read_top

ALL = ""  # the group of all test targets


@dataclass(frozen=True)
class Column:
    """A measure of every system on one data set: the `group` of test targets that it is of, and what it is called.

    `values` are by row, one per seed; `by_user` of accuracy too, each [U] of the users who have a target in the group.
    """

    group: str
    measure: str
    values: Mapping[str, list[float]]
    by_user: Mapping[str, list[NDArray[np.float64]]] = field(default_factory=dict)

    @property
    def heading(self) -> str:
        """`HR@10`, `cold HR@10`, `Coverage@10`."""
        return f"{self.group} {self.measure}".strip()


@dataclass(frozen=True)
class Measured:
    """All measures of a data set, and what is said of it below: users, targets, users by group, items by part."""

    columns: tuple[Column, ...]
    users: int
    targets: int
    users_by_group: Mapping[str, int]
    part_sizes: Mapping[str, tuple[int, int, int]]
    """Items of each part, and their fewest and most occurrences."""
    items: int
    history_popularity: float


def measure(config: Config, table: TableSpec, name: str, root: str | Path = ".") -> Measured:
    """Gather one data set's figures of a table of kind beyond-accuracy.

    Raises DataError, naming the file, where a run, its lists, or the interactions are missing, malformed, or do not fit
    each other.
    """
    folders = {row: [run.folder for run in runs] for (row, of), runs in row_runs(config, table).items() if of == name}
    every = list(dict.fromkeys(folder for some in folders.values() for folder in some))
    records = dict(read_runs(every, root).iterrows())
    if table.popularity:
        floor = artifacts.popularity_folder(name)
        folders, every = {table.popularity: [floor], **folders}, [floor, *every]
        records[floor] = _popularity_record(Path(root) / artifacts.popularity(name))
    aligned = read_aligned_ranks(every, root)
    ranks = dict(zip(every, aligned.values, strict=True))
    for folder in every:
        check_agreement(records[folder], ranks[folder], folder, aligned.owners)
    path = Path(root) / artifacts.interactions(name)
    frame = read_interactions(path)
    targets, catalogue, users = targets_of(frame, path, aligned), catalogue_of(frame), pd.Index(aligned.users)
    targets_T = catalogue.items.get_indexer(targets)
    parts_I = parts_by_popularity(catalogue.counts, table.parts.head, table.parts.tail)
    groups = _groups(table, aligned, parts_I[targets_T], history_lengths(frame, users))
    columns = [
        _accuracy(group, metric, inside, ranks, folders, aligned.owners)
        for group, inside in groups.items()
        for metric in table.metrics
    ]
    histories = training_parts(frame, users, catalogue.items)
    measures: dict[str, dict[str, float]] = {}
    for folder in every:
        top_Uk = read_top(Path(root) / folder, users, catalogue.items)
        check_lists(top_Uk, targets_T, aligned.owners, ranks[folder], folder)
        measures[folder] = _of_lists(table, top_Uk, catalogue, histories, folder)
    for listed in table.lists:
        by_row = {label: [measures[folder][listed] for folder in some] for label, some in folders.items()}
        columns.append(Column(ALL, listed, by_row))
    return Measured(
        tuple(columns),
        len(aligned.users),
        len(targets_T),
        {group: _users(inside, aligned.owners) for group, inside in groups.items()},
        _sizes(parts_I, catalogue),
        len(catalogue.items),
        float(np.nanmean(history_popularity(histories, catalogue.holders / catalogue.holding))),
    )


def _groups(
    table: TableSpec, aligned: Ranks, part_of_T: NDArray[np.str_], lengths_U: NDArray[np.int64]
) -> dict[str, NDArray[np.bool_]]:
    """Which targets [T] each group has: all, those of a part of the items, those of users with such a history."""
    length_of_T = lengths_U if aligned.owners is None else lengths_U[aligned.owners]
    groups = {ALL: np.ones(len(part_of_T), bool)} | {part: part_of_T == part for part in PARTS}
    return groups | {length.label: in_group(length, length_of_T) for length in table.lengths}


def _accuracy(
    group: str,
    metric: str,
    inside: NDArray[np.bool_],
    ranks: Mapping[str, NDArray[np.int32]],
    folders: Mapping[str, list[str]],
    owners: NDArray[np.intp] | None,
) -> Column:
    """A metric over the users who have a target in the group, of their targets in it alone."""
    whose = None if owners is None else owners[inside]
    if not inside.any():
        return Column(group, metric, {label: [] for label in folders})
    by_user = {
        label: [per_user(ranks[folder][inside], metric, whose) for folder in some] for label, some in folders.items()
    }
    values = {label: [float(one.mean()) for one in some] for label, some in by_user.items()}
    return Column(group, metric, values, by_user)


def _of_lists(
    table: TableSpec,
    top_Uk: NDArray[np.int64],
    catalogue: Catalogue,
    histories: tuple[NDArray, NDArray],
    folder: str,
) -> dict[str, float]:
    """What the table measures of one run's lists."""
    found = {}
    for listed in table.lists:
        kind, _, length = listed.partition("@")
        try:
            lists = Lists(top_Uk[:, : int(length)], catalogue.holders, catalogue.holding)
            of = {
                "Coverage": lists.coverage,
                "Novelty": lists.novelty,
                "Popularity": lists.popularity,
                "Lift": lambda lists=lists: lists.lift(histories),
                "Gini": lists.gini,
            }
            found[listed] = of[kind]()
        except ValueError as error:
            raise DataError(f"{folder}/top.parquet: {listed} is not defined: {error}") from None
    return found


def _popularity_record(path: Path) -> Mapping[str, float]:
    """The test metrics of popularity. Raises DataError, naming the file."""
    test = read_record(path).get("test")
    if not isinstance(test, Mapping) or not all(isinstance(value, int | float) for value in test.values()):
        raise DataError(f"{path}: holds no metrics of the test split. {remake(path)}")
    return test


def _users(inside: NDArray[np.bool_], owners: NDArray[np.intp] | None) -> int:
    return int(inside.sum()) if owners is None else len(np.unique(owners[inside]))


def _sizes(parts_I: NDArray[np.str_], catalogue: Catalogue) -> dict[str, tuple[int, int, int]]:
    of = {part: catalogue.counts[parts_I == part] for part in PARTS}
    return {part: (len(counts), int(counts.min()), int(counts.max())) for part, counts in of.items() if len(counts)}
