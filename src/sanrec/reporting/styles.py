"""A table as people read it: Markdown and a standalone HTML page, cell by cell the same."""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from sanrec.reporting import frame as f
from sanrec.reporting.frame import Column, Table, flat

NOTHING = "–"
DECIMALS = 4  # of a metric
HEADINGS = {
    f.USERS: "Test users",
    f.OURS: "Measured here",
    f.LISTS: "Lists of recommendations",
    f.PAPER: "Paper",
    f.DIFFERENCE: "Difference",
    f.P: "p (Holm)",
    f.FOUND: "Found on validation",
}
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin-bottom: 1rem; }
caption { text-align: left; font-weight: bold; padding-bottom: .5rem; }
th, td { padding: .2rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #8884; }
thead th { text-align: center; border-bottom: 1px solid #888; }
tbody th { text-align: left; font-weight: normal; }
td.best { font-weight: bold; }
td.second { text-decoration: underline; }
"""
STEPS = (0.1, 0.5)  # up to these shares of the paper's figure a difference is small, then middling, then large
# Blue and orange tell apart for every eye; the sign stands in the text. A tint over whatever the page's ground is.
COLOURS = """
.higher-1 { background: #2a78d61f; } .higher-2 { background: #2a78d64d; } .higher-3 { background: #2a78d685; }
.lower-1 { background: #e07b001f; } .lower-2 { background: #e07b004d; } .lower-3 { background: #e07b0085; }
"""
COLOUR_KEY = (
    "Differences are blue where our figure is higher and orange where it is lower, in three shades: up to "
    f"{STEPS[0]:.0%} of the paper's figure, up to {STEPS[1]:.0%}, and more (of relative improvements, in points)."
)


@dataclass(frozen=True)
class Section:
    """Part of a table: texts of its cells, and their marks, in two frames of one shape.

    A mark is `best` or `second` of its column; or of a difference `higher-n` or `lower-n`, n from 1 to 3 by its size.
    """

    caption: str
    texts: pd.DataFrame
    marks: pd.DataFrame


def to_markdown(table: Table) -> str:
    """The table as GitHub Markdown: best in bold, second underlined, the legend below."""
    parts = [f"# {_escape(table.title)}"]
    for section in _sections(table):
        if section.caption != table.title:
            parts.append(f"## {_escape(section.caption)}")
        heads = [_escape(flat(column)) for column in section.texts.columns]
        lines = [_line([section.texts.index.name, *heads]), _line(["---"] + ["--:"] * len(heads))]
        for (label, texts), (_, marks) in zip(section.texts.iterrows(), section.marks.iterrows(), strict=True):
            lines.append(_line([_escape(label), *map(_marked, texts, marks)]))
        parts.append("\n".join(lines))
    parts.append("\n".join(f"- {_escape(line)}" for line in table.legend))
    return "\n\n".join(parts) + "\n"


def to_html(table: Table) -> str:
    """The table as a page that stands alone: no script, nothing fetched, every text escaped."""
    tables = []
    for number, section in enumerate(_sections(table)):
        texts = section.texts.rename(columns=HEADINGS, level=0)
        if not any(texts.columns.get_level_values(1)):  # no data set stands over these columns
            texts.columns = texts.columns.droplevel(1)
        name, texts.index.name = texts.index.name, None
        texts.columns.names = [None] * (texts.columns.nlevels - 1) + [html.escape(name)]
        marks = section.marks.set_axis(texts.columns, axis=1).set_axis(texts.index, axis=0)
        styler = Styler(texts, uuid=str(number), cell_ids=False, caption=html.escape(section.caption))
        styler = styler.format(escape="html").format_index(escape="html", axis=0).format_index(escape="html", axis=1)
        tables.append(f'<div class="wide">\n{styler.set_td_classes(marks).to_html().strip()}\n</div>')
    lines = [*table.legend, *([COLOUR_KEY] if f.DIFFERENCE in table.frame.columns.get_level_values(0) else [])]
    legend = "\n".join(f"<li>{html.escape(line)}</li>" for line in lines)
    head = f'<meta charset="utf-8">\n<title>{html.escape(table.title)}</title>\n<style>{STYLE}{COLOURS}</style>'
    heading = [f"<h1>{html.escape(table.title)}</h1>"] if table.apart else []  # else it is the first caption
    body = "\n".join([*heading, *tables, f"<ul>\n{legend}\n</ul>"])
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _sections(table: Table) -> list[Section]:
    """The figures; and, where there are tests, those in a part of their own."""
    frame, blocks = table.frame, set(table.frame.columns.get_level_values(0))
    if f.HOLM not in blocks:
        return [_figures(table, frame.set_index(frame.columns[0]), str(frame.columns[0][2]), table.title)]
    kinds = frame[f.LABEL, "", "kind"]
    labels = [
        f"{label}: {kind}" if f.share(kind) else label
        for label, kind in zip(frame[f.LABEL, "", "row"], kinds, strict=True)
    ]
    named = frame.set_axis(pd.Index(labels), axis=0)
    tested = named.loc[((kinds != f.OF_OTHER) & frame[f.HOLM].notna().any(axis=1)).to_numpy()]
    figures = [_figures(table, part, "Model", caption) for caption, part in _parts(table, named)]
    sections = [*figures, *([_tests(tested)] if len(tested) else [])]
    return [*sections, _searches(named)] if f.FOUND in blocks else sections


def _parts(table: Table, frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The frame, or its columns data set by data set and part by part, each under its caption."""
    if not table.apart:
        return [(table.title, frame)]
    of, headings = frame.columns.get_level_values(1), frame.columns.get_level_values(2)
    parts = []
    for name in filter(None, dict.fromkeys(of)):
        for caption, shown in (table.parts or {"": headings}).items():
            kept = (of == "") | ((of == name) & headings.isin(shown))
            parts.append((f"{name}, {caption}" if caption else name, frame.loc[:, kept]))
    return parts


def _figures(table: Table, frame: pd.DataFrame, name: str, caption: str) -> Section:
    """The blocks that stand side by side: users, ours, lists, the paper's, the difference."""
    columns = [column for column in frame.columns if column[0] in (f.USERS, f.OURS, f.LISTS, f.PAPER, f.DIFFERENCE)]
    has_kind = (f.LABEL, "", "kind") in frame.columns
    kinds = frame[f.LABEL, "", "kind"] if has_kind else None
    systems = kinds.isin([f.SYSTEM, f.PRINTED]).to_numpy() if kinds is not None else None
    shares = [False] * len(frame) if kinds is None else [f.share(kind) for kind in kinds]
    shape = {"index": pd.Index(frame.index, name=name), "columns": pd.MultiIndex.from_tuples(columns), "dtype": object}
    texts, marks = pd.DataFrame(**shape), pd.DataFrame("", **shape)
    for place, column in enumerate(columns):
        for row in range(len(frame)):
            texts.iat[row, place] = _cell(frame.iloc[row], column, shares[row], table.decimals.get(column, DECIMALS))
        if systems is not None and column[0] not in (f.USERS, f.LISTS, f.DIFFERENCE):
            values = frame[column].where(systems)
            ordered = sorted(values.dropna().unique(), reverse=not table.lowest_is_best)
            for mark, value in zip(("best", "second"), ordered, strict=False):
                marks.iloc[(values == value).to_numpy(), place] = mark
        if column[0] == f.DIFFERENCE:
            marks.isetitem(place, list(map(_difference, frame[column], frame[f.OURS, *column[1:]], shares)))
    return Section(caption, texts, marks)


def _tests(frame: pd.DataFrame) -> Section:
    """Both p of every row that was tested; the first line says against which row the systems were."""
    columns = [column for column in frame.columns if column[0] == f.P and frame[column].notna().any()]
    systems = frame[f.LABEL, "", "kind"] == f.SYSTEM
    rows: dict[str, list[str]] = {}
    if systems.any():
        rows["Systems tested against"] = [str(frame.loc[systems, (f.AGAINST, *c[1:])].iloc[0]) for c in columns]
    for label, row in frame.iterrows():
        rows[str(label)] = [f"{_p(row[c])} ({_p(row[f.HOLM, *c[1:]])}){_text(row[f.STAR, *c[1:]])}" for c in columns]
    texts = pd.DataFrame.from_dict(rows, orient="index", columns=pd.MultiIndex.from_tuples(columns))
    texts.index.name = "Row"
    return Section("Paired t-tests: p, with Holm's correction in brackets", texts, texts.map(lambda _: ""))


def _searches(frame: pd.DataFrame) -> Section:
    """What the search of each system found: the settings, and the validation metric that they reached."""
    columns = [column for column in frame.columns if column[0] == f.FOUND]
    shape = {"columns": pd.MultiIndex.from_tuples(columns), "dtype": object}
    found = frame.loc[frame[columns].notna().any(axis=1).to_numpy()]
    texts = pd.DataFrame(index=pd.Index(found.index, name="Row"), **shape)
    for place, column in enumerate(columns):
        reached = found[f.SEARCH, *column[1:]]
        texts.isetitem(place, [f"{r:.{DECIMALS}f}: {s}" for r, s in zip(reached, found[column], strict=True)])
    return Section("Tuning: the validation metric reached, and the settings found", texts, texts.map(lambda _: ""))


def _cell(row: pd.Series, column: Column, share: bool, decimals: int) -> str:
    """A cell's text: thousands marked, so many decimals, the spread, improvements in percent, a star behind."""
    block, dataset, heading = column
    value = row[column]
    if pd.isna(value):
        return NOTHING
    if isinstance(value, str):
        return value
    sign = "+" if block == f.DIFFERENCE or share else ""
    if not isinstance(value, float):
        return format(int(value), f"{sign},")
    if share:
        return f"{100 * value:+.2f}" + (" points" if block == f.DIFFERENCE else "%") + _star(row, column)
    number = f",.{decimals}f"
    spread = ""
    if block in (f.OURS, f.LISTS):
        deviation, least, most = (row.get((b, dataset, heading)) for b in (f.DEVIATION, f.LEAST, f.MOST))
        if deviation is not None and pd.notna(deviation):
            spread = f" ± {deviation:{number}}"
        elif least is not None and pd.notna(least):
            spread = f" ({least:{number}}–{most:{number}})"
    return f"{value:{sign}{number}}{spread}" + _star(row, column)


def _difference(difference: Any, ours: Any, share: bool) -> str:
    """The mark of a difference, by its size beside the paper's figure, or as it is where figures are shares already."""
    if pd.isna(difference) or difference == 0:
        return ""
    paper = 1.0 if share else abs(ours - difference)
    size = 1 + sum(abs(difference) > step * paper for step in STEPS)
    return f"{'higher' if difference > 0 else 'lower'}-{size}"


def _star(row: pd.Series, column: Column) -> str:
    block = {f.OURS: f.STAR, f.PAPER: f.PAPER_STAR}.get(column[0])
    return _text(row.get((block, *column[1:]))) if block else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _marked(text: str, mark: str) -> str:
    wrap: dict[str, Callable[[str], str]] = {"best": lambda t: f"**{t}**", "second": lambda t: f"<u>{t}</u>"}
    number, star = (text.removesuffix("*"), "\\*") if text.endswith("*") else (text, "")
    return wrap.get(mark, str)(_escape(number)) + star


def _escape(text: str) -> str:
    """Text as Markdown shows it, whatever signs are in it."""
    return re.sub(r"([\\`*_\[\]<>|~#])", r"\\\1", str(text)).replace("\n", " ")
