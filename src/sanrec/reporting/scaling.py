"""One metric of rows of a table, in groups with their means (IISAN-Versa, Figure 4)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FormatStrFormatter, MaxNLocator

from sanrec.config import Config
from sanrec.reporting.figure_base import figure_datasets
from sanrec.reporting.page import SMALL, add_legend, legend_columns, new_page
from sanrec.reporting.reference import read_reference
from sanrec.reporting.results import read_metrics
from sanrec.reporting.specs import load_table
from sanrec.reporting.sweeps import points_and_bars
from sanrec.reporting.table_runs import paper_datasets
from sanrec.reporting.versa_specs import ScalingSpec, scaling_runs, scaling_table

COLUMNS = ["dataset", "group", "row", "inputs", "variant", "seed", "metric", "test", "group_mean"]
COLUMNS += ["paper_dataset", "paper", "paper_group_mean", "missing"]
OURS, MEAN, PAPERS, PAPERS_MEAN = "#0072B2", "#0072B2", "0.35", "0.35"
WIDTH, HEIGHT = 7.0, 3.4  # inches: the page, and the axes of a data set with the names below


def gather_scaling(config: Config, figure: ScalingSpec, root: str | Path = ".") -> pd.DataFrame:
    """A row per data set, row of the table and seed, columns `COLUMNS`; metrics are fractions.

    `group_mean` is the mean over the group's rows, of each its mean over seeds; that of the paper over all of its rows.
    Rows without runs have no seed, and why stands under `missing`. Raises DataError, naming the file, where a run or
    the reference is missing or malformed.
    """
    table, runs = scaling_table(config, figure), scaling_runs(config, figure)
    paper, why = _paper(figure), {row.label: row.missing for row in table.rows}
    beside, rows = paper_datasets(config, table), []
    for dataset in figure_datasets(config, figure):
        theirs = beside.get(dataset, ("", False))[0]
        for group in figure.groups:
            printed = {label: paper.get((theirs, label)) for label in group.rows}
            known = [value for value in printed.values() if value is not None]
            papers_mean = float(np.mean(known)) if known else None
            found = {label: _scores(figure, runs.get((label, dataset), ()), root) for label in group.rows}
            means = [np.mean(list(scores.values())) for scores in found.values() if scores]
            for label, scores in found.items():
                ours = [(run, scores[run.seed]) for run in runs.get((label, dataset), ())] or [(None, None)]
                for run, score in ours:
                    who = (run.inputs_text, run.variant, run.seed) if run else ("", "", None)
                    mean = float(np.mean(means)) if run else None
                    known = (theirs, printed[label], papers_mean)
                    rows.append([dataset, group.label, label, *who, figure.metric, score, mean, *known, why[label]])
    frame = pd.DataFrame(rows, columns=COLUMNS)
    numbers = ["test", "group_mean", "paper", "paper_group_mean"]
    return frame.astype({"seed": "Int64", **dict.fromkeys(numbers, float)})


def _scores(figure: ScalingSpec, runs: Sequence, root: str | Path) -> dict[int, float]:
    """The metric of the test split by seed."""
    return {run.seed: float(read_metrics(Path(root) / run.folder)["test"][figure.metric]) for run in runs}


def _paper(figure: ScalingSpec) -> dict[tuple[str, str], float]:
    """The paper's figures by its data set and the row's label."""
    reference = read_reference(figure.reference, load_table(figure.table))
    return {
        (dataset, row): float(cell["value"])
        for (dataset, row, metric), cell in reference.iterrows()
        if metric == figure.metric
    }


def scaling_captions(config: Config, figure: ScalingSpec, frame: pd.DataFrame) -> list[str]:
    """What stands below the figure; rows that are not drawn, by reason."""
    lines = [
        "Test split, full ranking; fractions, not percent. Horizontal lines: the mean of each group, over the rows "
        "that are drawn.",
        points_and_bars(config),
    ]
    stood = config.chosen_study.stand_ins
    if stood:
        lines.append("Stand-ins: " + "; ".join(f"{own} for {paper}" for paper, own in stood.items()) + ".")
    reasons: dict[str, list[str]] = {}
    for row in scaling_table(config, figure).rows:
        if row.missing:
            reason = row.missing
            for name in filter(None, (part.partition("@")[2] for part in row.inputs.split("+"))):
                reason = reason.replace(name, "the encoder")  # one reason for many rows
            reasons.setdefault(reason, []).append(row.label)
    lines += [f"Not drawn, because {reason}: {', '.join(labels)}." for reason, labels in reasons.items()]
    if not _beside(config, figure):
        lines.append("The paper's figures, of another data set, are in the csv.")
    return lines


def _beside(config: Config, figure: ScalingSpec) -> bool:
    """Whether the paper's figures are of the very data sets drawn."""
    beside = paper_datasets(config, scaling_table(config, figure))
    return all(beside.get(name, ("", False))[1] for name in figure_datasets(config, figure))


def draw_scaling(figure: ScalingSpec, frame: pd.DataFrame, titles: Mapping[str, str], notes: Sequence[str]) -> Figure:
    """The figure of rows as `gather_scaling` gives them: groups from left to right, separated by vertical lines.

    Points are means over seeds, error bars their sample standard deviation. The paper's figures are drawn where they
    are of the same data set, whose name is then the paper's.
    """
    drawn = frame.dropna(subset="test")
    same = {
        name: (drawn.loc[drawn["dataset"] == name, "paper_dataset"] == title).all() for name, title in titles.items()
    }
    handles = _handles(any(same.values()))
    columns = legend_columns(list(handles), WIDTH)
    page = new_page(figure.title, notes, WIDTH, HEIGHT * len(titles), legend_rows=-(-len(handles) // columns))
    grid = page.add_gridspec(len(titles), 1)
    for place, (name, title) in enumerate(titles.items()):
        axes = page.add_subplot(grid[place])
        _groups(axes, figure, drawn[drawn["dataset"] == name], same[name])
        axes.set_title(title, pad=3.2 * SMALL)  # above the groups' names
        axes.set_ylabel(figure.metric)
    add_legend(page, figure.title, list(handles.values()), list(handles), columns=columns)
    return page


def _handles(papers: bool) -> dict[str, Line2D]:
    found = {
        "measured here": Line2D([], [], color=OURS, marker="o", linewidth=1.2),
        "mean of the group": Line2D([], [], color=MEAN, linestyle="--", linewidth=1.4),
    }
    if papers:
        found["paper"] = Line2D([], [], color=PAPERS, marker="x", linestyle="none", markeredgewidth=1.4)
        found["paper's mean"] = Line2D([], [], color=PAPERS_MEAN, linestyle=":", linewidth=1.4)
    return found


def _groups(axes: Axes, figure: ScalingSpec, frame: pd.DataFrame, papers: bool) -> None:
    """One data set's points, group means, separators and names."""
    points = frame.groupby(["group", "row"], sort=False).agg(
        mean=("test", "mean"), deviation=("test", "std"), of=("group_mean", "first"), paper=("paper", "first"),
        papers=("paper_group_mean", "first"),
    ).reset_index()  # fmt: skip
    places = np.arange(len(points))
    bars = None if points["deviation"].isna().any() else points["deviation"]
    style = {"color": OURS, "marker": "o", "markersize": 5, "linewidth": 1.2, "capsize": 3, "elinewidth": 1.0}
    axes.errorbar(places, points["mean"], yerr=bars, zorder=3, **style)
    if papers:
        axes.plot(places, points["paper"], color=PAPERS, marker="x", linestyle="none", markeredgewidth=1.4, zorder=3)
    groups = points.groupby("group", sort=False).groups
    for label, rows in groups.items():
        first, last = rows.min() - 0.42, rows.max() + 0.42
        axes.hlines(points["of"][rows.min()], first, last, color=MEAN, linestyle="--", linewidth=1.4, zorder=2)
        if papers:
            axes.hlines(
                points["papers"][rows.min()], first, last, color=PAPERS_MEAN, linestyle=":", linewidth=1.4, zorder=2
            )
        middle = (rows.min() + rows.max()) / 2
        text = f"{label}\nmean {points['of'][rows.min()]:.4f}"
        axes.annotate(
            text, (middle, 1.0), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points", ha="center",
            va="bottom", fontsize=SMALL, linespacing=1.2,
        )  # fmt: skip
        if rows.max() < places[-1]:
            axes.axvline(rows.max() + 0.5, color="#A00000", linestyle=(0, (1, 1.5)), linewidth=1.4)
    axes.set_xticks(places, list(points["row"]), rotation=30, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, len(points) - 0.5)
    axes.margins(y=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%.4f"))  # of one width, whatever the layout makes of the ticks
    axes.grid(axis="y", color="0.88", linewidth=0.6)
    axes.set_axisbelow(True)
