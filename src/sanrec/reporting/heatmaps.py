"""Draw gates as heat maps, one per tower, with the numbers in their cells so that they read without colour."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from sanrec.config import CHANNELS, LETTERS
from sanrec.reporting.figure_specs import GatesSpec
from sanrec.reporting.page import SMALL, new_page

WIDTH = 7.0  # inches
ACROSS = 2  # heat maps side by side
CELL, HEAD = 0.36, 0.65  # inches of height: a cell, and the title and labels of a heat map
SMALLER = 6.5  # points, of the deviations
LEAST = 0.1  # of what the shades span: differences that the numbers do not show are not to look great
# Deeper is higher, in grey too: lightness falls evenly, and ends where black numbers still stand out (6 to 1).
SHADES = ListedColormap(colormaps["Blues"](np.linspace(0, 0.6, 256)))


def draw_gates(figure: GatesSpec, frame: pd.DataFrame, titles: Mapping[str, str], notes: Sequence[str]) -> Figure:
    """The figure of rows as `gate_maps.gather_gates` gives them: means over seeds, ± their sample standard deviation.

    Per data set (`titles`) the towers follow one another, two side by side. Rows are layers, the lowest (0) at the
    bottom; all heat maps share one scale of colour.
    """
    grouped = frame.groupby(["dataset", "tower", "layer", "gate"], sort=False)["weight"]
    cells = grouped.agg(mean="mean", deviation="std")
    towers, gates = list(frame["tower"].unique()), list(frame["gate"].unique())
    layers = {name: int(frame.loc[frame["dataset"] == name, "layer"].max()) + 1 for name in titles}
    rows = -(-len(towers) // ACROSS)
    heights = [layers[name] * CELL + HEAD for name in titles for _ in range(rows)]
    page = new_page(figure.title, notes, WIDTH, sum(heights))
    grid = page.add_gridspec(len(heights), ACROSS, height_ratios=heights)
    low = cells["mean"].min()
    high = max(cells["mean"].max(), low + LEAST)
    drawn: list[Axes] = []
    for d, (dataset, title) in enumerate(titles.items()):
        for place, tower in enumerate(towers):
            axes = page.add_subplot(grid[d * rows + place // ACROSS, place % ACROSS])
            shape = (layers[dataset], len(gates))
            mean, deviation = (cells.loc[(dataset, tower), kind].to_numpy().reshape(shape) for kind in cells)
            mesh = _heat_map(axes, mean, deviation, gates, low, high)
            axes.set_title(f"{title}: {tower_title(tower)}" if len(titles) > 1 else tower_title(tower))
            if place % ACROSS == 0:
                axes.set_ylabel("Layer")
            drawn.append(axes)
    bar = page.colorbar(mesh, ax=drawn, aspect=40, pad=0.02)
    bar.set_label("Weight of the gate")
    bar.outline.set_visible(False)
    bar.solids.set_edgecolor("face")  # no seams
    return page


def tower_title(tower: str) -> str:
    """A tower's name above its heat map: its modality where it has a letter."""
    channel = LETTERS.get(tower)
    return f"{CHANNELS[channel].capitalize()} tower ({tower})" if channel else f"Tower of {tower}"


def _heat_map(
    axes: Axes, mean: np.ndarray, deviation: np.ndarray, gates: Sequence[str], low: float, high: float
) -> QuadMesh:
    """One tower: `mean` and `deviation` (NaN for one seed), [layers, gates]."""
    places = np.arange(len(gates)), np.arange(len(mean))
    mesh = axes.pcolormesh(*places, mean, cmap=SHADES, vmin=low, vmax=high, edgecolors="face")  # vectors in the SVG
    for (layer, gate), value in np.ndenumerate(mean):
        spread = deviation[layer, gate]
        if np.isnan(spread):
            axes.text(gate, layer, f"{value:.3f}", va="center", fontsize=SMALL, ha="center")
        else:
            axes.text(gate, layer, f"{value:.3f}", va="bottom", fontsize=SMALL, ha="center")
            axes.text(gate, layer - 0.08, f"±{spread:.3f}", va="top", fontsize=SMALLER, ha="center")
    axes.set_xticks(range(len(gates)), gates, rotation=0 if max(map(len, gates)) < 4 else 30)
    axes.set_yticks(range(len(mean)))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return mesh
