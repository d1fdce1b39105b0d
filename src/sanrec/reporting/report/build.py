"""Put the report together: everything found, in one page that needs nothing beside it.

The page's policy lets it run its own script and show its own style and images, and reach nothing else: whatever stands
in a title or an id, no request leaves it.
"""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sanrec import __version__
from sanrec.artifacts import ROOT, media_report, spell
from sanrec.config import Config
from sanrec.errors import DataError
from sanrec.files import write_text
from sanrec.reporting.figure_base import Figure
from sanrec.reporting.report import found as on_disk
from sanrec.reporting.report import texts
from sanrec.reporting.report.found import Found
from sanrec.reporting.report.media import MissingMedia, read_media
from sanrec.reporting.report.runs import NAMES, SHOWN, RunRow, read_rows
from sanrec.reporting.report.steps import read_steps
from sanrec.reporting.report.tables import MOST_ROWS, Grid, read_numbers, read_page
from sanrec.reporting.specs import TableSpec
from sanrec.reporting.styles import COLOUR_KEY, COLOURS

PAGE = Path(__file__).with_name("page")  # the template, its style and its script
PAPERS = {
    "crossan": ("CROSSAN", "arXiv 2504.10307"),
    "iisan-versa": ("IISAN-Versa", "arXiv 2411.02992"),
}
BEYOND = ("Beyond the papers", "")


@dataclass(frozen=True)
class Card:
    """A table or a figure."""

    name: str
    kind: str
    """`table` or `figure`."""
    title: str
    grids: list[Grid]
    legend: list[str]
    image: str = ""
    """Of a figure: its SVG as an address that holds all of it."""
    numbers: Grid | None = None
    """Of a figure: what it is drawn from, where that is short."""


def write_report(
    config: Config,
    tables: Mapping[str, TableSpec],
    figures: Mapping[str, Figure],
    output: str | Path,
    root: str | Path = ".",
) -> None:
    """Write the report of what is on disk below `root`, the working folder, of these declared tables and figures.

    What cannot be read is named in the page, with what is wrong with it, and does not keep the rest from being shown.
    """
    write_text(output, render(config, tables, figures, root))


def render(
    config: Config, tables: Mapping[str, TableSpec], figures: Mapping[str, Figure], root: str | Path = "."
) -> str:
    """The page. The same files, with the same times, give the same page."""
    found = on_disk.find(tables, figures, root)
    problems: list[str] = []
    groups = _groups(tables, figures, found, root, problems)
    watched = {name: dataset.watched for name, dataset in config.datasets.items()}
    runs, broken = read_rows(found.runs, watched, root)
    media = _media(found, root, problems)
    style, script = ((PAGE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    style += COLOURS
    environment = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"duration": texts.duration, "memory": texts.memory, "spell": spell}
    versions = _counted([tuple(run.versions.items()) for run in runs])
    order = [of for of, _ in versions]
    made = on_disk.newest(found, root)
    return environment.get_template("report.html").render(
        style=Markup(style),  # noqa: S704 - files of the package
        script=Markup(script),  # noqa: S704
        policy=_policy(style, script),
        version=__version__,
        made=datetime.fromtimestamp(made, UTC) if made else None,
        study=config.chosen_study,
        study_name=config.study,
        found=found,
        declared=(len(tables), len(figures)),
        groups=groups,
        runs=runs,
        names=NAMES,
        metrics=list(dict.fromkeys([*SHOWN, *(name for run in runs for name in run.test)])),
        curves=Markup(_embedded([_drawn(run) for run in runs])),  # noqa: S704 - escaped there
        trained=sum(run.seconds or 0 for run in runs),
        machines=_counted([run.machine for run in runs]),
        versions=versions,
        version_numbers=[1 + order.index(tuple(run.versions.items())) for run in runs],
        steps=read_steps(found.steps, root),
        media=media,
        unreported=[media_report(c) for c in found.corpora if media_report(c) not in found.media],
        problems=[*problems, *broken],
        colour_key=COLOUR_KEY,
        most_rows=MOST_ROWS,
        root=ROOT,
    )


def _groups(
    tables: Mapping[str, TableSpec],
    figures: Mapping[str, Figure],
    found: Found,
    root: str | Path,
    problems: list[str],
) -> list[tuple[str, str, list[Card]]]:
    """Tables and then figures of each paper, and those of none: heading, where it was published, cards."""
    groups: dict[tuple[str, str], list[Card]] = {heading: [] for heading in (*PAPERS.values(), BEYOND)}
    places = [*((name, tables[name]) for name in found.tables), *((name, figures[name]) for name in found.figures)]
    for name, spec in places:
        try:
            card = _figure(name, spec, root) if isinstance(spec, Figure) else _table(name, root)
        except (DataError, OSError) as error:
            problems.append(str(error))
            continue
        # a declaration may name a paper for its data sets alone: then the title does not
        heading = PAPERS.get(spec.paper or "", BEYOND)
        groups[heading if spec.title.startswith(heading[0]) else BEYOND].append(card)
    return [(*heading, cards) for heading, cards in groups.items() if cards]


def _table(name: str, root: str | Path) -> Card:
    page = read_page(Path(root, f"{ROOT}/{name}.html"))
    return Card(name, "table", page.title, page.grids, [line for line in page.legend if line != COLOUR_KEY])


def _figure(name: str, spec: Figure, root: str | Path) -> Card:
    stem = Path(root, f"{ROOT}/{name}")
    image = base64.b64encode(stem.with_name(f"{stem.name}.svg").read_bytes()).decode()
    # a figure's page, where its kind has one, has the figure's title and the same numbers as its csv
    page = read_page(f"{stem}.html") if spec.tabled and Path(f"{stem}.html").is_file() else None
    numbers = read_numbers(f"{stem}.csv") if Path(f"{stem}.csv").is_file() else None
    grids, legend = (page.grids, page.legend) if page else ([], list(spec.notes))
    return Card(name, "figure", spec.title, grids, legend, f"data:image/svg+xml;base64,{image}", numbers)


def _media(found: Found, root: str | Path, problems: list[str]) -> list[MissingMedia]:
    media = []
    for path in found.media:
        try:
            media.append(read_media(path, root))
        except DataError as error:
            problems.append(str(error))
    return media


def _counted(values: list[Any]) -> list[tuple[Any, int]]:
    """Each value and how often it occurs, the most frequent first."""
    return Counter(values).most_common()


def _drawn(run: RunRow) -> dict[str, Any]:
    return {"best": run.best_epoch, "curves": [[name, values] for name, values in run.curves.items()]}


def _embedded(value: Any) -> str:
    """A value as JSON that can stand in a page: nothing in it ends the element that holds it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _policy(style: str, script: str) -> str:
    """What the page may do: run this script, show this style and images that it holds, and nothing else."""
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
