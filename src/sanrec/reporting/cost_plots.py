"""Draw what training costs: curves over a setting, and bars by encoder; told apart without colour."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from sanrec.methods import DROPPED, FULL
from sanrec.reporting.cost_specs import CostBarsSpec, CostCurvesSpec
from sanrec.reporting.costs import MIB, PROCESS
from sanrec.reporting.page import SMALL, add_legend, legend_columns, new_page
from sanrec.reporting.plots import LINES, spell

WIDTH = 7.0  # inches
HEIGHT = 2.5  # inches of a row of axes of curves
BARS_HEIGHT, UNDER = 1.5, 0.5  # inches: a row of axes of bars, and the names below the last
BAR = 0.38  # of the room of a pair of encoders
TIME, MEMORY = "Seconds per epoch", "Peak memory (MiB)"
GREY, GREY_LABEL = "0.88", "interpreter and libraries"
LOOKS = {  # of bars, by the way in which hidden states are read
    FULL: ("full (all layers)", {"facecolor": "white", "edgecolor": "#D55E00", "hatch": "////"}),
    DROPPED: ("dropped (kept layers)", {"facecolor": "#0072B2", "edgecolor": "#0072B2"}),
}
GRID = {"axis": "y", "color": "0.88", "linewidth": 0.6}


def draw_cost_curves(
    figure: CostCurvesSpec, frame: pd.DataFrame, titles: Mapping[str, str], notes: Sequence[str]
) -> Figure:
    """The figure of rows as `costs.gather_costs` gives them: time on the left, memory on the right, a row per data set.

    Time stands on a logarithmic axis, memory on one that starts at zero.
    """
    labels = [line.label for line in figure.lines]
    columns = legend_columns(labels, WIDTH)
    page = new_page(figure.title, notes, WIDTH, HEIGHT * len(titles), legend_rows=-(-len(labels) // columns))
    grid = page.add_gridspec(len(titles), 2)
    handles: dict[str, Any] = {}
    for row, (dataset, title) in enumerate(titles.items()):
        here = frame[frame["dataset"] == dataset]
        for column, (name, values) in enumerate(_measures(here).items()):
            axes = page.add_subplot(grid[row, column])
            for label, (colour, dashes, marker) in zip(labels, LINES, strict=False):
                own = here["label"] == label
                style = {"color": colour, "linestyle": dashes, "marker": marker, "markersize": 4.5, "linewidth": 1.4}
                handles[label] = axes.plot(here["value"][own], values[own], **style)[0]
            _values_axis(axes, figure, sorted(here["value"].unique()))
            axes.set_title(title if len(titles) > 1 else name, loc="left")
            if len(titles) > 1:
                axes.set_ylabel(name)
            if name == TIME:
                _log_axis(axes, values)
            else:
                _memory_axis(axes, here)
            axes.grid(**GRID)
            axes.set_axisbelow(True)
            if row == len(titles) - 1:
                axes.set_xlabel(figure.panel.label)
    add_legend(page, figure.title, list(handles.values()), list(handles), columns=columns)
    return page


def draw_cost_bars(
    figure: CostBarsSpec, frame: pd.DataFrame, titles: Mapping[str, str], notes: Sequence[str]
) -> Figure:
    """The figure of rows as `costs.gather_costs` gives them: memory above, time below, two such rows per data set."""
    handles = {LOOKS[reads][0]: Patch(**LOOKS[reads][1]) for reads in figure.reads}
    if (frame["memory"] == PROCESS).any():
        handles[GREY_LABEL] = Patch(facecolor=GREY, edgecolor="none")
    columns = legend_columns(list(handles), WIDTH)
    body = (2 * BARS_HEIGHT + UNDER) * len(titles)
    page = new_page(figure.title, notes, WIDTH, body, legend_rows=-(-len(handles) // columns))
    grid = page.add_gridspec(2 * len(titles), 1)
    for row, (dataset, title) in enumerate(titles.items()):
        here = frame[frame["dataset"] == dataset]
        groups = here.drop_duplicates("label")
        measures = _measures(here)
        for below, name in enumerate((MEMORY, TIME)):
            axes = page.add_subplot(grid[2 * row + below])
            for place, reads in enumerate(figure.reads):
                own = here["reads"] == reads
                at = [place_of - BAR * (len(figure.reads) - 1) / 2 + BAR * place for place_of in range(own.sum())]
                axes.bar(at, measures[name][own], BAR * 0.92, linewidth=0.8, **LOOKS[reads][1])
                for x, value in zip(at, measures[name][own], strict=True):
                    axes.annotate(figures(value), (x, value), (0, 1.5), textcoords="offset points", ha="center",
                                  fontsize=SMALL)  # fmt: skip
                if name == MEMORY and (here["memory"] == PROCESS).any():
                    axes.bar(at, here["memory_before_bytes"][own] / MIB, BAR * 0.92, facecolor=GREY, edgecolor="none")
            axes.set_ylim(0, 1.18 * measures[name].max())  # room for the numbers
            axes.set_xlim(-0.6, len(groups) - 0.4)
            axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axes.set_ylabel(name)
            names = [_named(group) for group in groups.itertuples()] if below else [""] * len(groups)
            axes.set_xticks(range(len(groups)), names, fontsize=SMALL)
            axes.tick_params(axis="x", length=0)
            axes.grid(**GRID)
            axes.set_axisbelow(True)
            if not below:
                axes.set_title(title, loc="left")
    page.align_ylabels()
    add_legend(page, figure.title, list(handles.values()), list(handles), columns=columns)
    return page


def _measures(frame: pd.DataFrame) -> dict[str, pd.Series]:
    """What is drawn, by its name on the axis."""
    return {TIME: frame["seconds_per_epoch"], MEMORY: frame["peak_memory_bytes"] / MIB}


def _named(group: Any) -> str:
    """The name of a pair of encoders, broken where it is long, over its text encoder's shape."""
    name = group.label if len(group.label) <= 10 else group.label.replace("-", "-\n", 1)
    return f"{name}\n{group.layers:g} x {group.width:,g}"


def _values_axis(axes: Axes, figure: CostCurvesSpec, values: Sequence[float]) -> None:
    """A tick at every value that was swept."""
    if figure.panel.scale != "linear":
        axes.set_xscale("log", base=2 if figure.panel.scale == "log2" else 10)
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: spell(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def _log_axis(axes: Axes, values: pd.Series) -> None:
    """A logarithmic axis with labels at 1, 2 and 5 of every decade, or at decades alone where there are many."""
    axes.set_yscale("log")
    many = math.log10(values.max() / values.min()) > 2.5
    axes.set_ylim(values.min() / 1.25, values.max() * 1.25)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if many else (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(NullLocator())


def _memory_axis(axes: Axes, frame: pd.DataFrame) -> None:
    """An axis from zero; what interpreter and libraries take is grey."""
    axes.set_ylim(0, 1.06 * (frame["peak_memory_bytes"] / MIB).max())
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    if (frame["memory"] == PROCESS).all():
        axes.axhspan(0, frame["memory_before_bytes"].min() / MIB, facecolor=GREY, edgecolor="none")


def figures(value: float) -> str:
    """A number with three figures, or all of its whole part: 0.0123, 4.57, 1,234."""
    decimals = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:,.{decimals}f}"
