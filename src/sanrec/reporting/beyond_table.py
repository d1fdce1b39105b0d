"""The table beyond accuracy: what systems' lists are like, and for which items and users they hit."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from sanrec.config import Config
from sanrec.evaluation.beyond_accuracy import PARTS
from sanrec.evaluation.significance import mean_over_seeds
from sanrec.reporting import frame as f
from sanrec.reporting.beyond_accuracy import ALL, Column, Measured, measure
from sanrec.reporting.comparison import Cells, label_rows, run_tests, summarise
from sanrec.reporting.found import search_columns, search_notes, set_searches
from sanrec.reporting.frame import Table
from sanrec.reporting.group_notes import not_run, shared_users, tested_by_group, thin_groups
from sanrec.reporting.specs import TableSpec
from sanrec.reporting.stand_ins import datasets_of

BY_PART, BY_LENGTH = "by popularity of the test item", "by length of the history"


def beyond_accuracy_table(config: Config, table: TableSpec, root: str | Path = ".") -> Table:
    """Gather the runs of every row. Errors as of `beyond_accuracy.measure`."""
    names = datasets_of(config, table)
    titles, cells = f.titles_of(config, names), _rows(table)
    measured = {titles[name]: measure(config, table, name, root) for name in names}
    for name in names if table.tuned else ():
        set_searches(config, table, name, titles[name], cells, root)
    columns: list[f.Column] = [(f.LABEL, "", heading) for heading in ("row", "kind", "model", "inputs", "settings")]
    here: list[tuple[str, str]] = []
    for title, found in measured.items():
        _fill(table, title, found, cells)
        columns += [(f.USERS, title, group) for group in found.users_by_group if group != ALL]
        columns += [(_block(table, column), title, column.heading) for column in found.columns]
        here += [(title, column.heading) for column in found.columns]
    accuracy = [(title, heading) for title, heading in here if heading not in table.lists]
    columns += [(f.DEVIATION, *place) for place in here]
    columns += [(block, *place) for block in (f.STAR, f.AGAINST, f.P, f.HOLM) for place in accuracy]
    columns += search_columns(config, table, titles)
    frame = f.build(list(cells.values()), columns)
    return Table(table.title, frame, _legend(config, table, measured), apart=True, parts=_parts(table, measured))


def _rows(table: TableSpec) -> Cells:
    """Every row, popularity first, with what it is and no figure yet."""
    first: Cells = {}
    if table.popularity:
        texts = {
            "row": table.popularity,
            "kind": f.SYSTEM,
            "model": "popularity",
            "inputs": "ID",
            "settings": "default",
        }
        first[table.popularity, f.SYSTEM] = {(f.LABEL, "", heading): text for heading, text in texts.items()}
    return {**first, **label_rows(table)}


def _block(table: TableSpec, column: Column) -> str:
    return f.LISTS if column.measure in table.lists else f.OURS


def _fill(table: TableSpec, title: str, found: Measured, cells: Cells) -> None:
    """Fill in one data set's figures."""
    rows = [label for label, kind in cells if kind == f.SYSTEM]
    for group, users in found.users_by_group.items():
        for label in rows:
            cells[label, f.SYSTEM][f.USERS, title, group] = users
    for column in found.columns:
        place = (title, column.heading)
        values = {label: pd.Series(some, dtype=float) for label, some in column.values.items() if some}
        if column.measure in table.lists:
            for label, over_seeds in values.items():
                cells[label, f.SYSTEM][f.LISTS, *place] = float(over_seeds.mean())
                if len(over_seeds) > 1:
                    cells[label, f.SYSTEM][f.DEVIATION, *place] = float(over_seeds.std(ddof=1))
        elif values:
            means = summarise(table, place, values, cells)
            if found.users_by_group[column.group] > 1:  # one user alone has no spread to test by
                by_user = {label: mean_over_seeds(some) for label, some in column.by_user.items()}
                run_tests(table, place, means, by_user, cells)


def _parts(table: TableSpec, measured: Mapping[str, Measured]) -> dict[str, tuple[str, ...]]:
    """The parts in which people see each data set's figures, and the headings of each."""
    lengths = [length.label for length in table.lengths]
    of = {"": [ALL], BY_PART: list(PARTS), BY_LENGTH: lengths}
    columns = next(iter(measured.values())).columns
    return {
        caption: (*groups, *(column.heading for column in columns if column.group in groups))
        for caption, groups in of.items()
    }


def _legend(config: Config, table: TableSpec, measured: Mapping[str, Measured]) -> tuple[str, ...]:
    study, seeds = config.chosen_study, config.chosen_study.seeds
    counts = ", ".join(f"{title} ({its.users:,} users)" for title, its in measured.items())
    spread = f"Mean ± standard deviation over seeds {', '.join(map(str, seeds))}." if len(seeds) > 1 else ""
    whose = "" if table.own else f"Study: {study.title} ({config.study}). "
    lines = [
        f"{whose}Test split of {counts}; full ranking, the own history masked; fractions, not percent.",
        f"{spread or f'One run, with seed {seeds[0]}.'} Of accuracy the best of a column in bold, second underlined.",
        *_of_lists(table, measured),
        *_of_groups(table, measured),
    ]
    lines += tested_by_group(table)
    lines += search_notes(config, table)
    return (*lines, *not_run(table), *table.notes)


def _of_lists(table: TableSpec, measured: Mapping[str, Measured]) -> list[str]:
    """What the measures of lists say, with what they are to be compared with."""
    catalogues = ", ".join(f"{title} {its.items:,}" for title, its in measured.items())
    histories = ", ".join(f"{title} {its.history_popularity:.4f}" for title, its in measured.items())
    meanings = {
        "Coverage": f"share of the catalogue ({catalogues} items) in at least one user's list",
        "Novelty": "mean of -log2 of the share of users who have a listed item in training, in bits; an item that "
        "nobody has counts as one that a single user has",
        "Popularity": "mean share of users who have a listed item in training",
        "Lift": "by which part that mean lies above the same over the users' own training items "
        f"({histories}); below 0, lists are less popular than what users took",
        "Gini": "how unevenly items are shown, from 0 (all as often) to 1 (one alone)",
    }
    kinds = dict.fromkeys(listed.partition("@")[0] for listed in table.lists)
    said = "; ".join(f"{kind}: {meanings[kind]}" for kind in kinds)
    return [f"Lists of the best k items, k behind the @. {said}. None of these is good or bad by itself."]


def _of_groups(table: TableSpec, measured: Mapping[str, Measured]) -> list[str]:
    """What the groups are, and which are empty."""
    sizes = []
    for title, its in measured.items():
        named = [
            f"{part} {items:,} ({least:,} to {most:,})" if most else f"{part} {items:,}"
            for part, (items, least, most) in its.part_sizes.items()
        ]
        sizes.append(f"{title} {', '.join(named)}")
    lines = [
        "Items by occurrences in the training part: the head are the most frequent ones that make up "
        f"{table.parts.head:g} of them, the tail the least frequent that make up {table.parts.tail:g}, mid those "
        f"between, cold ones never occur; items, and occurrences of each, from and to: {'; '.join(sizes)}.",
        "History: how many items a user took before the test target, the validation item counted. A group's figures "
        "are means over the users who have a test target in it.",
    ]
    by_group = {title: its.users_by_group for title, its in measured.items()}
    return [*lines, *shared_users(measured), *thin_groups(by_group)]
