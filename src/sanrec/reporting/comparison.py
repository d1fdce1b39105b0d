"""Tables that compare systems: means over seeds, relative improvements, tests, and the paper's figures beside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sanrec.config import Config
from sanrec.evaluation.metrics import per_user
from sanrec.evaluation.significance import LEVEL, holm, is_starred, mean_over_seeds, paired_t_test
from sanrec.reporting import frame as f
from sanrec.reporting.found import search_columns, search_notes, set_searches
from sanrec.reporting.frame import Column, Table
from sanrec.reporting.results import check_agreement, read_aligned_ranks, read_information, read_runs
from sanrec.reporting.specs import INFORMATION, TableSpec
from sanrec.reporting.stand_ins import datasets_of, stand_ins_used
from sanrec.reporting.table_runs import paper_datasets, row_runs

Key = tuple[str, str]  # a row of the table: its label and its kind
Cells = dict[Key, dict[Column, Any]]


def comparison_table(config: Config, table: TableSpec, reference: pd.DataFrame, root: str | Path = ".") -> Table:
    """Gather the runs of every row. Raises DataError where one is missing, malformed, or has other users."""
    names = datasets_of(config, table)
    titles, beside = f.titles_of(config, names), paper_datasets(config, table)
    cells = label_rows(table)
    users = {}
    for name in names:
        users[name] = _measure(config, table, name, titles[name], cells, root)
        if table.tuned:
            set_searches(config, table, name, titles[name], cells, root)
        if name in beside:
            _set_beside(table, titles[name], beside[name][0], reference, cells)
    here = [(titles[name], heading) for name in names for heading in table.headings]
    printed = set(reference.index.get_level_values("metric"))
    theirs = [heading for heading in table.headings if heading in table.metrics or heading in printed]
    there = [(beside[name][0], heading) for name in names if name in beside for heading in theirs]
    # estimates of mutual information by other means are not to be subtracted
    both = [(titles[name], m) for name in names if name in beside for m in theirs if m in table.metrics]
    columns: list[Column] = [(f.LABEL, "", heading) for heading in ("row", "kind", "model", "inputs", "settings")]
    columns += [(f.OURS, *place) for place in here]
    columns += [(f.PAPER, *place) for place in there] + [(f.DIFFERENCE, *place) for place in both]
    for block in (f.DEVIATION, f.STAR, f.AGAINST, f.P, f.HOLM):
        columns += [(block, *place) for place in here]
    columns += [(f.PAPER_STAR, *place) for place in there]
    columns += search_columns(config, table, titles)
    return Table(table.title, f.build(list(cells.values()), columns), _legend(config, table, titles, users, beside))


def relative(ours: float, other: float) -> dict[str, float]:
    """Relative improvement both ways, by kind of row; not a number where it is divided by nothing."""
    gain = ours - other
    return {f.OF_OURS: gain / ours if ours else np.nan, f.OF_OTHER: gain / other if other else np.nan}


def label_rows(table: TableSpec) -> Cells:
    """Every row of the table, in order, with what it is and no figure yet."""
    cells: Cells = {}
    after = {mean.of[-1]: mean.label for mean in table.means}
    for row in table.rows:
        texts = {"model": row.model, "inputs": row.inputs, "settings": row.settings_text}
        kind = f.PRINTED if row.missing else f.SYSTEM
        cells[row.label, kind] = {(f.LABEL, "", heading): text for heading, text in texts.items()}
        if row.label in after:
            cells[after[row.label], f.MEAN] = {}
    for kind in (f.OF_OURS, f.OF_OTHER):
        for comparison in table.comparisons:
            cells[comparison.label, kind] = {}
    for (label, kind), row_cells in cells.items():
        row_cells.update({(f.LABEL, "", "row"): label, (f.LABEL, "", "kind"): kind})
    return cells


def _measure(config: Config, table: TableSpec, name: str, title: str, cells: Cells, root: str | Path) -> int:
    """Fill in one data set's own figures; the number of its users."""
    folders = {row: [run.folder for run in runs] for (row, of), runs in row_runs(config, table).items() if of == name}
    every = list(dict.fromkeys(folder for some in folders.values() for folder in some))
    results = read_runs(every, root)
    aligned = read_aligned_ranks(every, root)
    ranks = dict(zip(every, aligned.values, strict=True))
    for folder in every:
        check_agreement(results.loc[folder], ranks[folder], folder, aligned.owners)
    for metric in table.metrics:
        place = (title, metric)
        means = summarise(table, place, {label: results.loc[some, metric] for label, some in folders.items()}, cells)
        values = {
            label: mean_over_seeds([per_user(ranks[folder], metric, aligned.owners) for folder in some])
            for label, some in folders.items()
        }
        run_tests(table, place, means, values, cells)
    if table.information:
        found = {
            folder: read_information(Path(root) / folder / "information.json", table.information) for folder in every
        }
        for heading, estimate in INFORMATION.items():
            estimates = {label: pd.Series([found[s][estimate] for s in some]) for label, some in folders.items()}
            summarise(table, (title, heading), estimates, cells)
    return len(aligned.users)


def summarise(
    table: TableSpec, place: tuple[str, str], values: Mapping[str, pd.Series], cells: Cells
) -> dict[str, float]:
    """Fill in one column: each system's mean and deviation over seeds, and the relative improvements; the means."""
    means = {label: float(over_seeds.mean()) for label, over_seeds in values.items()}
    for label, over_seeds in values.items():
        cells[label, f.SYSTEM][f.OURS, *place] = means[label]
        if len(over_seeds) > 1:
            cells[label, f.SYSTEM][f.DEVIATION, *place] = float(over_seeds.std(ddof=1))
    for mean in table.means:
        if all(label in means for label in mean.of):
            cells[mean.label, f.MEAN][f.OURS, *place] = float(np.mean([means[label] for label in mean.of]))
    for comparison in table.comparisons:
        for kind, value in relative(means[comparison.ours], means[comparison.other]).items():
            cells[comparison.label, kind][f.OURS, *place] = value
    return means


def run_tests(
    table: TableSpec,
    place: tuple[str, str],
    means: Mapping[str, float],
    values: Mapping[str, NDArray[np.float64]],
    cells: Cells,
) -> None:
    """Fill in the tests of one column. Holm's correction goes over its systems, and over its improvements."""
    families: list[dict[Key, tuple[str, str]]] = []  # row of the table: ours and the other
    if table.significance and table.significance.against:
        best = max(table.significance.against, key=means.__getitem__)
        families.append({(label, f.SYSTEM): (label, best) for label in table.significance.ours})
    for kind in (f.OF_OURS, f.OF_OTHER):  # one and the same test, given in both rows
        families.append({(c.label, kind): (c.ours, c.other) for c in table.comparisons})
    for family in families:
        tests = {key: paired_t_test(values[ours], values[other]) for key, (ours, other) in family.items()}
        corrected = holm([test.p for test in tests.values()])
        for (key, test), p_holm in zip(tests.items(), corrected, strict=True):
            found = {f.P: test.p, f.HOLM: float(p_holm), f.AGAINST: family[key][1]}
            found[f.STAR] = "*" if is_starred(test) else ""
            cells[key].update({(block, *place): value for block, value in found.items()})


def _set_beside(table: TableSpec, title: str, paper: str, reference: pd.DataFrame, cells: Cells) -> None:
    """Fill in the figures of one of the paper's data sets, and by how much ours differ."""
    for metric in table.headings:
        printed = {row: cell for (of, row, name), cell in reference.iterrows() if (of, name) == (paper, metric)}
        figures: dict[Key, float] = {}
        for label, kind in cells:
            if label in printed and kind != f.OF_OTHER:
                figures[label, kind] = float(printed[label]["value"])
                cells[label, kind][f.PAPER_STAR, paper, metric] = printed[label]["star"]
        for comparison in table.comparisons:  # the paper prints one way only; the other follows from its figures
            if comparison.ours in printed and comparison.other in printed:
                pair = (float(printed[row]["value"]) for row in (comparison.ours, comparison.other))
                figures[comparison.label, f.OF_OTHER] = relative(*pair)[f.OF_OTHER]
        for key, figure in figures.items():
            cells[key][f.PAPER, paper, metric] = figure
            if (f.OURS, title, metric) in cells[key]:
                cells[key][f.DIFFERENCE, title, metric] = cells[key][f.OURS, title, metric] - figure


def _legend(
    config: Config,
    table: TableSpec,
    titles: Mapping[str, str],
    users: Mapping[str, int],
    beside: Mapping[str, tuple[str, bool]],
) -> tuple[str, ...]:
    study, seeds = config.chosen_study, config.chosen_study.seeds
    counts = ", ".join(f"{titles[name]} ({count:,} users)" for name, count in users.items())
    spread = f"Mean ± standard deviation over seeds {', '.join(map(str, seeds))}." if len(seeds) > 1 else ""
    whose = "" if table.own else f"Study: {study.title} ({config.study}). "
    lines = [
        f"{whose}Test split of {counts}; full ranking; fractions, not percent.",
        f"{spread or f'One run, with seed {seeds[0]}.'} Best of a column in bold, second underlined.",
    ]
    if table.significance:
        lines.append(
            "* on a system: better than the best row of the other methods in that very column, "
            f"p < {LEVEL} in a paired two-sided t-test over users (metric averaged over seeds), before correction."
        )
    if table.comparisons:
        pairs = [c for c in table.comparisons if c.ours not in c.label or c.other not in c.label]
        named = "; ".join(f"{c.label}: {c.ours} over {c.other}" for c in pairs)
        lines.append(
            f"Relative improvement is given as the papers define it, {f.OF_OURS}, and as is usual, {f.OF_OTHER}"
            + (". " if table.own else "; the paper's figures of the second kind are computed from its table. ")
            + (f"{named}. " if named else "")
            + "* on an improvement: the same test between these two."
        )
    if table.significance or table.comparisons:
        lines.append("Holm's correction goes over the systems of a column, and over its improvements.")
    lines += search_notes(config, table)
    if beside:
        lines.append("Difference: ours - paper.")
    if used := stand_ins_used(config, table):
        lines.append("Here " + ", ".join(f"{ours} stands for {theirs}" for theirs, ours in used.items()) + ".")
    absent: dict[str, list[str]] = {}
    for row in table.rows:
        if row.missing:
            absent.setdefault(row.missing, []).append(row.label)
    lines += [f"The paper's figures only, for {reason}: {'; '.join(some)}." for reason, some in absent.items()]
    return (*lines, *table.notes, *([] if table.own else f.beside_notes(titles, beside)))
