"""Draw IISAN's gates as curves over the layers, a panel per system."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import offset_copy

from sanrec.reporting.iisan_gates import INTER, visual_weights
from sanrec.reporting.page import add_legend, legend_columns, new_page
from sanrec.reporting.plots import points_with_bars
from sanrec.reporting.versa_specs import IisanGatesSpec

WIDTH, HEIGHT = 7.0, 2.6  # inches: the page, and the axes of a data set
ASIDE = 4.0  # points by which the curves are moved apart, so that error bars do not hide each other


def draw_iisan_gates(
    figure: IisanGatesSpec, frame: pd.DataFrame, titles: Mapping[str, str], notes: Sequence[str]
) -> Figure:
    """The figure of rows as `iisan_gates.gather_iisan_gates` gives them: a row of panels per data set.

    Drawn are the visual side's weight in the inter tower, and the hidden state's in each channel's own tower: means
    over seeds, error bars their sample standard deviation. The range that the paper states is shaded.
    """
    curves = _curves(frame)
    stated = f"{figure.stated[0]:g} to {figure.stated[1]:g}"
    labels = [*curves["curve"].unique(), stated]
    columns = legend_columns(labels, WIDTH)
    systems = list(frame["system"].unique())
    page = new_page(figure.title, notes, WIDTH, HEIGHT * len(titles), legend_rows=-(-len(labels) // columns))
    grid = page.add_gridspec(len(titles), len(systems))
    handles: dict[str, Any] = {}
    for row, (dataset, title) in enumerate(titles.items()):
        for column, system in enumerate(systems):
            axes = page.add_subplot(grid[row, column])
            own = curves[(curves["dataset"] == dataset) & (curves["system"] == system)]
            axes.axhspan(*figure.stated, color="0.88", linewidth=0)
            axes.axhline(0.5, color="0.6", linewidth=0.8)
            handles |= _panel(axes, own, labels)
            of = own["inputs"].iloc[0]
            axes.set_title(f"{title}: {system} ({of})" if len(titles) > 1 else f"{system} ({of})")
            if column == 0:
                axes.set_ylabel("Weight of the gate")
            axes.set_xlabel("Layer")
    handles[stated] = Patch(facecolor="0.88")
    add_legend(page, figure.title, list(handles.values()), list(handles), columns=columns)
    return page


def _curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Means and deviations over seeds of what is drawn, by data set, system, curve and layer."""
    inter = visual_weights(frame).assign(curve="image in the inter tower")
    hidden = frame[(frame["tower"] != INTER) & (frame["gate"] == "hidden")]
    own = hidden.assign(curve="hidden state in the tower of " + hidden["tower"])
    key = ["dataset", "system", "inputs", "curve", "layer"]
    grouped = pd.concat([inter, own]).groupby(key, sort=False)["weight"]
    return grouped.agg(mean="mean", deviation="std").reset_index()


def _panel(axes: Axes, curves: pd.DataFrame, labels: Sequence[str]) -> dict[str, Any]:
    """One system's curves; what the legend shows, by label."""
    handles = {}
    for place, label in enumerate(labels[:-1]):
        own = curves[curves["curve"] == label]
        if own.empty:
            continue
        aside = (place - (len(labels) - 2) / 2) * ASIDE
        moved = offset_copy(axes.transData, axes.figure, x=aside, units="points")
        handles[label] = points_with_bars(axes, place, own["layer"], own["mean"], None, own["deviation"], moved)
    axes.set_ylim(0, 1)
    axes.set_xlim(-0.5, curves["layer"].max() + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    return handles
