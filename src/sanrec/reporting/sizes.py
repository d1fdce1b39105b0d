"""Bars of numbers of parameters (IISAN-Versa, Figure 1): counted, or as published of models that are not to be had."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from sanrec.config import Config
from sanrec.errors import DataError
from sanrec.reporting.backbone_specs import SizesSpec
from sanrec.reporting.backbones import read_counts
from sanrec.reporting.page import SMALL, add_legend, legend_columns, new_page
from sanrec.reporting.reference import read_columns

COUNTED = "counted"
COLUMNS = ["group", "model", "backbone", "parameters", "label", "source"]
PUBLISHED = [name for name in COLUMNS if name != "backbone"]
WIDTH, BAR, HEAD = 6.4, 0.24, 0.55  # inches: the page, the height of a bar, and what a group's title and axis take
FILL, EDGE = "#56B4E9", "black"
HATCH = "////"
BESIDE, ROOM = 1.12, 3.5  # by what a number stands beside its bar's end, and what the longest bar leaves free for it


def gather_sizes(config: Config, figure: SizesSpec, root: str | Path = ".") -> pd.DataFrame:
    """A row per model, columns `COLUMNS`: by group, and in it by size. `label` is `counted`, or what is said of others.

    A backbone that could not be counted has no `parameters`, and why stands under `source`. Raises DataError, naming
    the file, for counts or published sizes that are missing or malformed.
    """
    others, rows = _read_others(figure), []
    for group in figure.groups:
        counts = read_counts(config, group.backbones.values(), root)
        for model, name in group.backbones.items():
            found = counts[name]
            source = found.why or f"counted from its {found.counted_from}"
            rows.append([group.label, model, name, found.parameters, COUNTED, source])
        for other in others[others["group"] == group.label].itertuples():
            rows.append([group.label, other.model, "", int(other.parameters), other.label, other.source])
    frame = pd.DataFrame(rows, columns=COLUMNS).astype({"parameters": "Int64"})
    order = {group.label: place for place, group in enumerate(figure.groups)}
    key = {"group": order.get, "parameters": lambda number: number}
    return frame.sort_values(
        ["group", "parameters"], key=lambda column: column.map(key[column.name]), kind="stable", ignore_index=True
    )


def size_captions(config: Config, figure: SizesSpec, frame: pd.DataFrame) -> list[str]:
    """What stands below the figure."""
    lines = [
        "Parameters on a logarithmic axis. Counted: from the model's architecture, without pooler and task head, and "
        "of language models without the layer that turns states into words where that has weights of its own."
    ]
    drawn = frame.dropna(subset="parameters")
    others = drawn[drawn["label"] != COUNTED]
    if len(others):
        named = "; ".join(f"{row.model} ({row.label}): {row.source}" for row in others.itertuples())
        lines.append(f"Hatched: as published. {named}.")
    failed = frame[frame["parameters"].isna()]
    return lines + [
        f"{row.model} is not drawn, because it could not be counted: {row.source}." for row in failed.itertuples()
    ]


def draw_sizes(figure: SizesSpec, frame: pd.DataFrame, titles: Mapping[str, str], notes: Sequence[str]) -> Figure:
    """The figure of rows as `gather_sizes` gives them: a group below the other, on one scale."""
    frame = frame.dropna(subset="parameters").astype({"parameters": float})
    labels = list(frame["label"].unique())
    handles = [Patch(**_style(label)) for label in labels]
    groups = [group.label for group in figure.groups]
    heights = [(frame["group"] == label).sum() * BAR + HEAD for label in groups]
    columns = legend_columns(labels, WIDTH)
    page = new_page(figure.title, notes, WIDTH, sum(heights), legend_rows=-(-len(labels) // columns))
    grid = page.add_gridspec(len(groups), 1, height_ratios=heights)
    low = 10 ** math.floor(math.log10(frame["parameters"].min()))
    high = frame["parameters"].max() * ROOM
    for place, label in enumerate(groups):
        axes = page.add_subplot(grid[place])
        _bars(axes, frame[frame["group"] == label], low, high)
        axes.set_title(label, loc="left", fontweight="bold")
    axes.set_xlabel("Parameters")
    add_legend(page, figure.title, handles, labels, columns=columns)
    return page


def _bars(axes: Axes, frame: pd.DataFrame, low: float, high: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    for place, row in enumerate(frame.itertuples()):
        axes.barh(place, row.parameters - low, left=low, height=0.7, **_style(row.label))
        axes.text(row.parameters * BESIDE, place, short(row.parameters), va="center", fontsize=SMALL)
    axes.set_yticks(range(len(frame)), list(frame["model"]))
    axes.set_ylim(len(frame) - 0.4, -0.6)  # the smallest above
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", color="0.88", linewidth=0.6)
    axes.set_axisbelow(True)


def _style(label: str) -> dict[str, object]:
    counted = label == COUNTED
    return {
        "facecolor": FILL if counted else "white",
        "edgecolor": EDGE,
        "hatch": "" if counted else HATCH,
        "linewidth": 0.8,
    }


def short(number: float) -> str:
    """A number of parameters with three figures: 109 M, 6.61 B."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def _read_others(figure: SizesSpec) -> pd.DataFrame:
    """The published sizes. Raises DataError for a file that is missing, malformed, or has another group."""
    path = figure.others
    frame = read_columns(path, PUBLISHED, f"the published sizes of '{figure.title}'")
    groups = [group.label for group in figure.groups]
    for line, row in enumerate(frame.itertuples(), start=2):
        if row.group not in groups:
            raise DataError(f"{path}, line {line}: group '{row.group}' is not in the figure: {', '.join(groups)}")
        if not row.parameters.isdecimal() or int(row.parameters) == 0:
            raise DataError(f"{path}, line {line}: '{row.parameters}' is no number of parameters")
        if not row.source or row.label in ("", COUNTED):
            raise DataError(
                f"{path}, line {line}: a published size needs a source, and a label that is not '{COUNTED}'"
            )
    return frame
