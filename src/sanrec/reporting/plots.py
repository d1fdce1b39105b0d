"""Draw curves over sweeps: a row of axes per sweep and metric, a column per data set; told apart without colour."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator
from matplotlib.transforms import offset_copy

from sanrec.reporting.figure_specs import Panel, SweepSpec
from sanrec.reporting.page import SMALL, add_legend, legend_columns, new_page
from sanrec.reporting.sweeps import over_seeds

# Line by line: colour (told apart by colour-blind eyes, after Okabe and Ito), dashes, marker.
LINES = (
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", "-.", "^"),
    ("#000000", ":", "D"),
    ("#CC79A7", (0, (6, 1, 1, 1, 1, 1)), "v"),
    ("#7F6000", (0, (1, 1)), "P"),
)
WIDE, NARROW = 7.0, 5.2  # inches: several columns, one column
BEST = "best on validation"
ROW = 1.65  # inches of height per row of axes
APART_ROWS = 0.12  # inches more between sweeps
ASIDE = 5.0  # points by which the lines of one axes are moved apart, so that error bars do not hide each other
BESIDE = 0.07  # of an axis' values, free at either side
DIGIT, BETWEEN = 0.64 * SMALL / 72, 0.025  # inches: a digit of a tick's label, and the least room between two labels
LEFT = 0.65  # inches that the labels of a vertical axis take


def draw_sweep(figure: SweepSpec, frame: pd.DataFrame, titles: Mapping[str, str], notes: Sequence[str]) -> Figure:
    """The figure of rows as `sweeps.gather_sweep` gives them. `titles` names the data sets, a column each.

    Points are means over seeds, error bars their sample standard deviation; with one seed there are none. Where the
    figure marks best points, a ring is drawn around those that the validation split chose.
    """
    width = WIDE if len(titles) > 1 else NARROW
    entries = [line.label for line in figure.lines] + [BEST] * figure.best
    columns = legend_columns(entries, width)
    heights = [*([ROW] * len(figure.metrics) + [APART_ROWS]) * len(figure.panels)][:-1]
    page = new_page(figure.title, notes, width, sum(heights) + 0.35, legend_rows=-(-len(entries) // columns))
    grid = page.add_gridspec(len(heights), len(titles), height_ratios=heights)
    points = over_seeds(frame)
    handles: dict[str, Any] = {}
    for p, panel in enumerate(figure.panels):
        first = p * (len(figure.metrics) + 1)  # between sweeps a row is left empty
        for column, (dataset, title) in enumerate(titles.items()):
            above = None
            for row, metric in enumerate(figure.metrics):
                axes = page.add_subplot(grid[first + row, column], sharex=above)
                here = (points["dataset"] == dataset) & (points["sweep"] == panel.sweep) & (points["metric"] == metric)
                handles |= _curves(axes, figure, points[here])
                _frame(axes, panel, points[here], width / len(titles) - LEFT)
                above = above or axes
                if column == 0:
                    axes.set_ylabel(metric)
                if p == row == 0:
                    axes.set_title(title)
                axes.tick_params(labelbottom=metric == figure.metrics[-1])
            axes.set_xlabel(panel.label)
    page.align_ylabels()
    add_legend(page, figure.title, list(handles.values()), list(handles), columns=columns)
    return page


def _curves(axes: Axes, figure: SweepSpec, points: pd.DataFrame) -> dict[str, Any]:
    """Draw the lines of one metric; what the legend shows, by label."""
    handles: dict[str, Any] = {}
    rings = []
    for place, line in enumerate(figure.lines):
        own = points[points["line"] == line.label]
        aside = (place - (len(figure.lines) - 1) / 2) * ASIDE
        moved = offset_copy(axes.transData, axes.figure, x=aside, units="points")
        handles[line.label] = points_with_bars(axes, place, own["value"], own["mean"], None, own["deviation"], moved)
        if figure.best:
            best = own[own["best"]]
            style = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "markeredgecolor": "black"}
            rings += axes.plot(best["value"], best["mean"], linestyle="none", transform=moved, zorder=3, **style)
    return handles | ({BEST: rings[0]} if rings else {})


def points_with_bars(
    axes: Axes, place: int, x: Any, y: Any, x_error: Any, y_error: Any, moved: Any
) -> ErrorbarContainer:
    """Points in the style of the line at that place, joined, with error bars where every one has a deviation.

    `x_error` and `y_error` are Series or None, `moved` the transform that they are drawn with.
    """
    colour, dashes, marker = LINES[place]
    x_bars, y_bars = (None if of is None or of.isna().any() else of.to_numpy() for of in (x_error, y_error))
    look = {"color": colour, "linestyle": dashes, "marker": marker, "markersize": 4.5, "linewidth": 1.4}
    return axes.errorbar(x, y, xerr=x_bars, yerr=y_bars, elinewidth=1.0, capsize=3, transform=moved, **look)


def _frame(axes: Axes, panel: Panel, points: pd.DataFrame, length: float) -> None:
    """Scale, limits, ticks and grid of an axis of that length: a tick at every value, labelled where there is room."""
    log = panel.scale != "linear"
    if log:
        axes.set_xscale("log", base=2 if panel.scale == "log2" else 10)
    values = sorted(points["value"].unique())
    places = [math.log(value) if log else value for value in values]
    beside = BESIDE * ((places[-1] - places[0]) or 1)
    limits = places[0] - beside, places[-1] + beside
    axes.set_xlim(*(math.exp(place) if log else place for place in limits))
    spread = points["deviation"].fillna(0)
    bottom, top = float((points["mean"] - spread).min()), float((points["mean"] + spread).max())
    above = 0.12 * (top - bottom) or 0.01
    axes.set_ylim(bottom - above, top + above)
    labels, end = [], -math.inf
    for value, place in zip(values, places, strict=True):
        middle, half = length * (place - limits[0]) / (limits[1] - limits[0]), DIGIT * len(spell(value)) / 2
        fits = middle - half >= end + BETWEEN
        labels.append(spell(value) if fits else "")
        end = middle + half if fits else end
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_major_formatter(FixedFormatter(labels))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="y", color="0.88", linewidth=0.6)
    axes.set_axisbelow(True)


def spell(value: float) -> str:
    """A value as short as it can be written: 512, 0.5, 2e-4."""
    if value == int(value) or abs(value) >= 0.01:
        return f"{value:g}"
    digits, power = f"{value:e}".split("e")
    return f"{float(digits):g}e{int(power)}"
