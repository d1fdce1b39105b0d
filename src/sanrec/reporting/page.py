"""The page that every figure is drawn on: its style, heading, legend and notes, and its bytes as SVG and PNG.

Lengths are in inches, font sizes in points; a figure is made to be read at its own size.
"""

import io
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 200
FONT, SMALL, HEADING = 9.0, 8.0, 10.5  # points
LEADING = 1.45  # line height, in font sizes
MARGIN = 0.1
GAP = 0.08  # between heading, legend, axes and notes

# Text stays text in the SVG: it can be searched, and a reader without the first font sees the next one.
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],
    "font.size": FONT,
    "axes.titlesize": FONT,
    "axes.labelsize": FONT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "sanrec",  # ids in the file, and so its bytes, are the same every time
    "savefig.dpi": DPI,
}


def styled() -> Any:
    """A context in which matplotlib draws as declared here, whatever a user's own settings are."""
    return style.context(["default", STYLE])


def new_page(title: str, notes: Sequence[str], width: float, body: float, legend_rows: int = 0) -> Figure:
    """A figure with its heading above and its notes below; axes made on it keep to the `body` (its height) between."""
    heading = _heading(title, width)
    below = "\n".join(textwrap.fill(note, _letters(width, SMALL)) for note in notes)
    top = MARGIN + _height(heading, HEADING) + GAP + legend_rows * SMALL * LEADING * 1.1 / 72 + GAP
    bottom = MARGIN + _height(below, SMALL) + GAP
    height = top + body + bottom
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", rect=(0, bottom / height, 1, body / height))
    figure.text(MARGIN / width, 1 - MARGIN / height, heading, fontsize=HEADING, fontweight="bold", va="top")
    figure.text(MARGIN / width, MARGIN / height, below, fontsize=SMALL, va="bottom", linespacing=LEADING)
    return figure


def legend_columns(labels: Sequence[str], width: float) -> int:
    """How many entries of a legend fit beside each other: a handle each, its label, and room up to the next."""
    entries = sorted(((6.0 + 0.53 * len(label)) * SMALL / 72 for label in labels), reverse=True)
    room = width - 2 * MARGIN + 2 * SMALL / 72  # after the last none is needed
    return max((count for count in range(1, len(entries) + 1) if sum(entries[:count]) <= room), default=1)


def add_legend(figure: Figure, title: str, handles: Sequence[Any], labels: Sequence[str], columns: int) -> None:
    """The legend, between heading and axes: outside of the data."""
    width, height = figure.get_size_inches()
    above = MARGIN + _height(_heading(title, width), HEADING) + GAP
    figure.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(MARGIN / width, 1 - above / height),
        ncols=columns,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=3.2,  # dashes are to be seen
    )


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG, the same bytes every time: no date, no random ids."""
    return _saved(figure, "svg", {"Date": None, "Creator": None})


def to_png(figure: Figure) -> bytes:
    """The figure as PNG."""
    return _saved(figure, "png", {"Software": None})


def _saved(figure: Figure, kind: str, metadata: dict[str, None]) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def _heading(title: str, width: float) -> str:
    return textwrap.fill(title, _letters(width, 1.2 * HEADING))  # bold letters are wider


def _letters(width: float, size: float) -> int:
    """How many letters of a font size fit the width: they are a little over half as wide as high, on the average."""
    return int((width - 2 * MARGIN) * 72 / (size * 0.56))


def _height(text: str, size: float) -> float:
    return (text.count("\n") + 1) * size * LEADING / 72 if text else 0
