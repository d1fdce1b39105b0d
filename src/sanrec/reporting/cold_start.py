"""The table of cold start: systems side by side for test items rarely or never seen in training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sanrec import artifacts
from sanrec.config import Config
from sanrec.errors import DataError
from sanrec.evaluation.metrics import per_user
from sanrec.evaluation.significance import mean_over_seeds
from sanrec.reporting import frame as f
from sanrec.reporting.comparison import Cells, label_rows, run_tests, summarise
from sanrec.reporting.found import search_columns, search_notes, set_searches
from sanrec.reporting.frame import Column, Table
from sanrec.reporting.group_notes import not_run, shared_users, tested_by_group, thin_groups
from sanrec.reporting.group_specs import Group, Span
from sanrec.reporting.results import Ranks, check_agreement, read_aligned_ranks, read_record, read_runs, remake
from sanrec.reporting.specs import TableSpec
from sanrec.reporting.stand_ins import datasets_of
from sanrec.reporting.table_runs import row_runs
from sanrec.reporting.taken import read_interactions, targets_of

Places = Mapping[str, int]
"""Users by group's label."""


@dataclass(frozen=True)
class Counted:
    """What is said of a data set below the table: its test users and targets, users by group, and the floor."""

    users: int
    targets: int
    by_group: Places
    floor: Mapping[str, float]


def cold_start_table(config: Config, table: TableSpec, root: str | Path = ".") -> Table:
    """Gather the runs of every row, their test targets grouped by how often the item occurs in the training part.

    No score is computed anew: each run's ranks are joined with the data set's interactions. A group's figures are means
    over the users who have a target in it; of a user with several targets they are of those in the group alone. A group
    without targets has no figures. Raises DataError where a run, the interactions or popularity is missing, malformed,
    or of other users or targets.
    """
    names = datasets_of(config, table)
    titles, cells = f.titles_of(config, names), label_rows(table)
    counted = {titles[name]: _measure(config, table, name, titles[name], cells, root) for name in names}
    for name in names if table.tuned else ():
        set_searches(config, table, name, titles[name], cells, root)
    here = [
        (titles[name], _heading(group, metric)) for name in names for group in table.groups for metric in table.metrics
    ]
    columns: list[Column] = [(f.LABEL, "", heading) for heading in ("row", "kind", "model", "inputs", "settings")]
    columns += [(f.USERS, titles[name], group.label) for name in names for group in table.groups]
    for block in (f.OURS, f.DEVIATION, f.STAR, f.AGAINST, f.P, f.HOLM):
        columns += [(block, *place) for place in here]
    columns += search_columns(config, table, titles)
    return Table(table.title, f.build(list(cells.values()), columns), _legend(config, table, counted), apart=True)


def target_counts(path: str | Path, ranks: Ranks, split: str = "test") -> NDArray[np.int64]:
    """How often the item of each ranked target [T] occurs in the training part of an interactions.parquet.

    Raises DataError, naming the file, where it is missing or unreadable, or where its targets are not the ranked ones.
    """
    frame = read_interactions(path)
    targets = targets_of(frame, path, ranks, split)
    seen = frame.loc[frame["split"] == "train", "item"].value_counts()
    return targets.map(seen).fillna(0).to_numpy(dtype=np.int64)


def in_group(group: Span, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which targets [T] are of the group, by how often their items were seen."""
    most = np.inf if group.most is None else group.most
    return (counts >= group.least) & (counts <= most)


def _heading(group: Group, metric: str) -> str:
    return f"{group.label} {metric}"


def _measure(config: Config, table: TableSpec, name: str, title: str, cells: Cells, root: str | Path) -> Counted:
    """Fill in one data set's figures."""
    folders = {row: [run.folder for run in runs] for (row, of), runs in row_runs(config, table).items() if of == name}
    every = list(dict.fromkeys(folder for some in folders.values() for folder in some))
    results, aligned = read_runs(every, root), read_aligned_ranks(every, root)
    ranks = dict(zip(every, aligned.values, strict=True))
    for folder in every:
        check_agreement(results.loc[folder], ranks[folder], folder, aligned.owners)
    counts = target_counts(Path(root) / artifacts.interactions(name), aligned)
    users = {}
    for group in table.groups:
        inside = in_group(group, counts)
        owners = None if aligned.owners is None else aligned.owners[inside]
        users[group.label] = int(inside.sum()) if owners is None else len(np.unique(owners))
        for label in folders:
            cells[label, f.SYSTEM][f.USERS, title, group.label] = users[group.label]
        for metric in table.metrics if inside.any() else ():
            by_user = {
                label: [per_user(ranks[folder][inside], metric, owners) for folder in some]
                for label, some in folders.items()
            }
            place = (title, _heading(group, metric))
            over_seeds = {label: pd.Series([run.mean() for run in runs]) for label, runs in by_user.items()}
            means = summarise(table, place, over_seeds, cells)
            if users[group.label] > 1:  # one user alone has no spread to test by
                values = {label: mean_over_seeds(runs) for label, runs in by_user.items()}
                run_tests(table, place, means, values, cells)
    floor = _popularity(Path(root) / artifacts.popularity(name), table.metrics)
    return Counted(len(aligned.users), len(counts), users, floor)


def _popularity(path: Path, metrics: Sequence[str]) -> dict[str, float]:
    """The test metrics of popularity over all users. Raises DataError, naming the file."""
    test = read_record(path).get("test")
    test = test if isinstance(test, Mapping) else {}
    found = {metric: test.get(metric, test.get(metric.replace("Recall", "HR"))) for metric in metrics}
    for metric, value in found.items():
        if not isinstance(value, int | float):
            raise DataError(f"{path}: test metric {metric} is to be a fraction, not {value!r}. {remake(path)}")
    return found


def _legend(config: Config, table: TableSpec, counted: Mapping[str, Counted]) -> tuple[str, ...]:
    study, seeds = config.chosen_study, config.chosen_study.seeds
    counts = ", ".join(f"{title} ({its.users:,} users)" for title, its in counted.items())
    spread = f"Mean ± standard deviation over seeds {', '.join(map(str, seeds))}." if len(seeds) > 1 else ""
    floors = "; ".join(
        f"{title} {', '.join(f'{metric} {value:.4f}' for metric, value in its.floor.items())}"
        for title, its in counted.items()
    )
    whose = "" if table.own else f"Study: {study.title} ({config.study}). "
    lines = [
        f"{whose}Test split of {counts}; full ranking; fractions, not percent.",
        "Groups: test targets by how often their item occurs in the training part of the interactions, validation and "
        "test not counted. Users: those with a target in the group, over whom its figures are means.",
        f"{spread or f'One run, with seed {seeds[0]}.'} Best of a column in bold, second underlined.",
    ]
    lines += shared_users(counted)
    lines += tested_by_group(table)
    lines += search_notes(config, table)
    lines.append(
        f"The floor, popularity over all users: {floors}. It has no figures of groups here; an item "
        "never seen stands behind every item that was seen."
    )
    lines += thin_groups({title: its.by_group for title, its in counted.items()})
    return (*lines, *not_run(table), *table.notes)
