"""Gather and draw the figure beyond accuracy: curves over groups, and accuracy against what lists are like."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Page
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import offset_copy

from sanrec.config import Config
from sanrec.evaluation.beyond_accuracy import PARTS
from sanrec.reporting.beyond_accuracy import ALL, measure
from sanrec.reporting.beyond_specs import BeyondSpec, beyond_table_of, line_labels
from sanrec.reporting.figure_base import figure_datasets
from sanrec.reporting.page import add_legend, legend_columns, new_page
from sanrec.reporting.plots import APART_ROWS, ASIDE, NARROW, ROW, WIDE, points_with_bars
from sanrec.reporting.specs import TableSpec
from sanrec.reporting.table_runs import row_runs

COLUMNS = ["dataset", "row", "model", "inputs", "variant", "seed", "group", "measure", "users", "value"]
BY_PART, BY_LENGTH = "Popularity of the test item; users", "Items taken before the test item; users"
MEANINGS = {  # short enough to stand below half a page
    "Coverage": "share of the catalogue",
    "Novelty": "bits of self-information",
    "Popularity": "share of users",
    "Lift": "beside the histories",
    "Gini": "how unevenly shown",
}


def gather_beyond(config: Config, figure: BeyondSpec, root: str | Path = ".") -> pd.DataFrame:
    """The rows of the figure, columns `COLUMNS`: a value per data set, system, seed, group and measure.

    `group` is empty for all test targets and for lists; popularity, which is not trained, has no seed. Groups without
    targets have no rows. Raises DataError, naming the file, where what runs left is missing or malformed.
    """
    table, rows = beyond_table_of(config, figure), []
    runs = row_runs(config, table)
    for dataset in figure_datasets(config, figure):
        found = measure(config, table, dataset, root)
        for column in found.columns:
            if column.measure not in (figure.metric, *figure.lists):
                continue
            users = found.users_by_group[column.group]
            for label, values in column.values.items():
                for place, value in enumerate(values):
                    run = runs[label, dataset][place] if label != table.popularity else None
                    names = (run.model, run.inputs_text, run.variant, run.seed) if run else ("popularity", "", "", None)
                    rows.append((dataset, label, *names, column.group, column.measure, users, value))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"seed": "Int64"})


def over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean and sample standard deviation (NaN for one seed) of each system's values by group and measure; users."""
    grouped = frame.groupby(["dataset", "row", "group", "measure"], sort=False)
    return grouped.agg(mean=("value", "mean"), deviation=("value", "std"), users=("users", "first")).reset_index()


def draw_beyond(figure: BeyondSpec, frame: pd.DataFrame, titles: Mapping[str, str], notes: Sequence[str]) -> Page:
    """The figure of rows as `gather_beyond` gives them. `titles` names the data sets, a column each."""
    labels = list(frame["row"].unique())
    groups = [group for group in frame["group"].unique() if group != ALL]
    width = WIDE if len(titles) > 1 else NARROW
    heights = [ROW, ROW, APART_ROWS, *[ROW] * len(figure.lists)]
    columns = legend_columns(labels, width)
    body = sum(heights) + 0.45 * (len(heights) - 1)
    page = new_page(figure.title, notes, width, body, legend_rows=-(-len(labels) // columns))
    grid = page.add_gridspec(len(heights), len(titles), height_ratios=heights)
    points = over_seeds(frame)
    by_part = [group for group in PARTS if group in groups]
    by_length = [group for group in groups if group not in PARTS]
    handles: dict[str, Any] = {}
    for column, (dataset, title) in enumerate(titles.items()):
        own = points[points["dataset"] == dataset]
        for row, (shown, name) in enumerate(((by_part, BY_PART), (by_length, BY_LENGTH))):
            axes = page.add_subplot(grid[row, column])
            handles |= _curves(axes, own[own["measure"] == figure.metric], labels, shown)
            axes.set_xlabel(name)
            axes.set_title(title if row == 0 else "")
            axes.set_ylabel(figure.metric if column == 0 else "")
        for row, listed in enumerate(figure.lists):
            axes = page.add_subplot(grid[3 + row, column])
            _scatter(axes, own[own["group"] == ALL], labels, listed, figure.metric)
            axes.set_xlabel(f"{listed}: {MEANINGS[listed.partition('@')[0]]}")
            axes.set_ylabel(figure.metric if column == 0 else "")
    page.align_ylabels()
    add_legend(page, figure.title, list(handles.values()), list(handles), columns=columns)
    return page


def _curves(axes: Axes, points: pd.DataFrame, labels: Sequence[str], groups: Sequence[str]) -> dict[str, Any]:
    """Draw a metric over groups, a line per system; what the legend shows, by label. An empty group has no points."""
    handles = {}
    for place, label in enumerate(labels):
        of = points[points["row"] == label].set_index("group").reindex(groups)
        there = of["mean"].notna()
        aside = (place - (len(labels) - 1) / 2) * ASIDE
        moved = offset_copy(axes.transData, axes.figure, x=aside, units="points")
        xs = [at for at, kept in enumerate(there) if kept]
        handles[label] = points_with_bars(axes, place, xs, of["mean"][there], None, of["deviation"][there], moved)
    users = points.groupby("group")["users"].first()
    names = [f"{group.removeprefix('history ')}\n{users.get(group, 0):,}" for group in groups]
    axes.set_xticks(range(len(groups)), names)
    axes.set_xlim(-0.5, len(groups) - 0.5)
    shown = points[points["group"].isin(groups)]
    if len(shown):  # what is moved aside by points does not scale its axis
        spread = shown["deviation"].fillna(0)
        bottom, top = float((shown["mean"] - spread).min()), float((shown["mean"] + spread).max())
        above = 0.1 * (top - bottom) or 0.01
        axes.set_ylim(bottom - above, top + above)
    _finish(axes)
    return handles


def _scatter(axes: Axes, points: pd.DataFrame, labels: Sequence[str], across: str, up: str) -> None:
    """Draw one metric of each system against another, as points."""
    for place, label in enumerate(labels):
        of = points[points["row"] == label].set_index("measure")
        x, y = of.loc[[across]], of.loc[[up]]
        bars = points_with_bars(axes, place, x["mean"], y["mean"], x["deviation"], y["deviation"], axes.transData)
        bars.lines[0].set_linestyle("none")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.margins(0.12)
    _finish(axes)


def _finish(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="y", color="0.88", linewidth=0.6)
    axes.set_axisbelow(True)


def beyond_captions(config: Config, figure: BeyondSpec, frame: pd.DataFrame) -> list[str]:
    """What stands below the figure."""
    table, seeds = beyond_table_of(config, figure), config.chosen_study.seeds
    one = f"One run per system, with seed {seeds[0]}: no error bars."
    several = f"Points: mean over seeds {', '.join(map(str, seeds))}; bars: standard deviation over them."
    lines = [
        "Test split, full ranking; fractions, not percent.",
        several if len(seeds) > 1 else one,
        f"Items by occurrences in training: the head makes up {table.parts.head:g} of them, the tail "
        f"{table.parts.tail:g}; cold items never occur.",
    ]
    for dataset, own in frame.groupby("dataset", sort=False):
        if empty := [group for group in _groups(table) if group not in set(own["group"])]:
            lines.append(f"{config.find('dataset', dataset).title} has no test target in {' or '.join(empty)}.")
    assert set(line_labels(table)) == set(frame["row"])
    return lines


def _groups(table: TableSpec) -> list[str]:
    return [*PARTS, *(length.label for length in table.lengths)]
