"""The frame that a table's csv, md and html are all made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sanrec.config import Config

# A column is (block, data set, heading). Blocks:
LABEL = "label"  # what a row is
USERS = "users"  # how many users a group's figures are the mean of
LISTS = "lists"  # what lists of recommendations are like, which is neither good nor bad by itself
OURS = "ours"  # what was measured here: the mean over seeds, or a count
PAPER = "paper"  # the paper's figure; the data set is the paper's
DIFFERENCE = "difference"  # ours - paper
DEVIATION = "sd"  # standard deviation over seeds
LEAST, MOST = "min", "max"  # of repeated measurements, whose median is the figure
STAR, PAPER_STAR = "star", "paper star"  # "*" or nothing
AGAINST = "against"  # the row that a row was tested against
P, HOLM = "p", "p Holm"
SEARCH, FOUND = "validation of tuning", "tuned settings"  # what a search reached on validation, and with what

# Rows of a comparison are systems, those that only the paper has, means of systems, or their relative improvement, in
# two ways.
SYSTEM = "system"
PRINTED = "paper only"
MEAN = "mean"
OF_OURS = "(ours - other) / ours"  # as both papers print it
OF_OTHER = "(ours - other) / other"  # the usual one
SAVED = "(other - ours) / other"  # of costs, as the paper prints it

Column = tuple[str, str, str]


@dataclass(frozen=True)
class Table:
    """A finished table: `frame` has columns of three levels (block, data set, heading); `legend` is one line each."""

    title: str
    frame: pd.DataFrame
    legend: tuple[str, ...]
    decimals: Mapping[Column, int] = field(default_factory=dict)
    """How many decimals people see in a column; 4 where it is not named."""
    lowest_is_best: bool = False
    """Whether the figures are costs."""
    apart: bool = False
    """Whether people see each data set's figures in a part of their own."""
    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Where they stand apart: parts of each data set's figures by caption, and the headings of their columns; one part,
    with all of them, where none is named."""


def build(cells: Sequence[Mapping[Column, Any]], columns: Sequence[Column]) -> pd.DataFrame:
    """Rows of cells as a frame with those columns; a cell that a row lacks is empty."""
    rows = [[row.get(column) for column in columns] for row in cells]
    frame = pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples(columns), dtype=object)
    for place, (_, column) in enumerate(frame.items()):
        given = column.dropna()
        if len(given) and all(isinstance(value, int | np.integer) for value in given):
            frame.isetitem(place, column.astype("Int64"))
        elif all(isinstance(value, int | float | np.number) for value in given):
            frame.isetitem(place, column.astype(float))
        else:
            frame.isetitem(place, column.astype("str"))
    return frame


def flat(column: Column) -> str:
    """A column's name in a csv or md header: `Demo HR@10`, `Demo HR@10 sd`, `paper Microlens-100K HR@10`."""
    block, dataset, heading = column
    parts = ["paper" if block in (PAPER, PAPER_STAR) else "", dataset, heading]
    parts.append({OURS: "", LISTS: "", LABEL: "", PAPER: "", PAPER_STAR: "star"}.get(block, block))
    return " ".join(part for part in parts if part)


def titles_of(config: Config, datasets: Sequence[str]) -> dict[str, str]:
    """The printed name of each data set, with our own name behind it where two are printed alike."""
    titles = {name: config.find("dataset", name).title for name in datasets}
    alike = [title for title in titles.values() if list(titles.values()).count(title) > 1]
    return {name: f"{title} ({name})" if title in alike else title for name, title in titles.items()}


def share(kind: str) -> bool:
    """Whether a row's figures are parts of another, and not metrics or costs."""
    return kind not in (SYSTEM, PRINTED, MEAN)


def beside_notes(titles: Mapping[str, str], beside: Mapping[str, tuple[str, bool]]) -> list[str]:
    """What the reader must know of each paper data set that stands beside ours."""
    notes = []
    for name, title in titles.items():
        paper, same = beside.get(name, ("", False))
        if not paper:
            notes.append(f"The paper has no data set to stand beside {title}.")
        elif not same:
            notes.append(f"{title} is not the paper's {paper}: its figures stand beside for orientation only.")
    return notes
