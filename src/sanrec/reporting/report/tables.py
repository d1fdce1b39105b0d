"""Finished tables as rows of texts: from a table's page, which `styles.to_html` wrote, and from a figure's csv.

Texts are taken out of the page and escaped anew by the template, so that no markup of a file reaches the report.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from sanrec.errors import DataError

MARKS = ("best", "second", *(f"{way}-{size}" for way in ("higher", "lower") for size in (1, 2, 3)))
MOST_ROWS = 200  # of a figure's numbers


@dataclass
class Cell:
    """A cell of a table."""

    text: str = ""
    heading: bool = False
    """Whether it says what a row or column is."""
    columns: int = 1
    """How many columns it stands over."""
    rows: int = 1
    mark: str = ""
    """One of `MARKS`, or nothing."""


@dataclass
class Grid:
    """A table: rows of its head, the last of which has a cell per column, and of its body."""

    caption: str = ""
    head: list[list[Cell]] = field(default_factory=list)
    body: list[list[Cell]] = field(default_factory=list)


@dataclass
class Page:
    """What a table's page holds: its title, its parts, and the lines below them."""

    title: str
    grids: list[Grid]
    legend: list[str]


def read_page(path: str | Path) -> Page:
    """A table's page. Raises DataError, naming it, for one that cannot be read or holds no table."""
    parser = _Parser()
    try:
        parser.feed(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    parser.close()
    if not parser.grids or not all(grid.head and grid.body for grid in parser.grids):
        raise DataError(f"{path}: holds no whole table. Delete it and make it again")
    return Page(parser.title.strip(), parser.grids, [line.strip() for line in parser.legend])


def read_numbers(path: str | Path) -> Grid | None:
    """A figure's csv, its numbers short; None where it has more than `MOST_ROWS` rows.

    Raises DataError, naming it, for one that cannot be read or is empty.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if not rows:
        raise DataError(f"{path}: is empty. Delete it and make it again")
    if len(rows) - 1 > MOST_ROWS:
        return None
    return grid(rows[0], [[_short(text) for text in row] for row in rows[1:]])


def grid(head: Sequence[str], body: Sequence[Sequence[str]], caption: str = "") -> Grid:
    """A grid of texts, whose first column says what a row is."""
    rows = [[Cell(text, heading=place == 0) for place, text in enumerate(row)] for row in body]
    return Grid(caption, [[Cell(text, heading=True) for text in head]], rows)


def _short(text: str) -> str:
    """A number as people read it: six digits of a fraction; every other text as it is."""
    try:
        return f"{float(text):.6g}" if "." in text or "e-" in text else text
    except ValueError:
        return text


class _Parser(HTMLParser):
    """Collects title, tables and lines below them; everything else of a page is left out."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.grids: list[Grid] = []
        self.legend: list[str] = []
        self._where = ""  # title, caption, cell or line: what text belongs to
        self._in_head = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "table":
            self.grids.append(Grid())
        elif tag in ("thead", "tbody"):
            self._in_head = tag == "thead"
        elif tag == "tr" and self.grids:
            self._rows().append([])
        elif tag in ("th", "td") and self.grids and self._rows():
            marks = [mark for mark in given.get("class", "").split() if mark in MARKS]
            spans = (_span(given.get("colspan")), _span(given.get("rowspan")))
            self._rows()[-1].append(Cell("", tag == "th", *spans, "".join(marks[:1])))
        elif tag == "li":
            self.legend.append("")
        self._where = tag if tag in ("title", "caption", "th", "td", "li") else ""

    def handle_endtag(self, tag: str) -> None:
        if self._where in ("th", "td") and self.grids and self._rows() and self._rows()[-1]:
            cell = self._rows()[-1][-1]
            cell.text = cell.text.replace("\xa0", " ").strip()
        self._where = ""

    def handle_data(self, data: str) -> None:
        if self._where == "title":
            self.title += data
        elif self._where == "li":
            self.legend[-1] += data
        elif self.grids and self._where == "caption":
            self.grids[-1].caption += data
        elif self.grids and self._where and self._rows() and self._rows()[-1]:
            self._rows()[-1][-1].text += data

    def _rows(self) -> list[list[Cell]]:
        return self.grids[-1].head if self._in_head else self.grids[-1].body


def _span(value: str | None) -> int:
    return int(value) if value and value.isdecimal() and int(value) else 1
