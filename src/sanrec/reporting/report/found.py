"""What of the declared tables and figures, and of runs, is on disk: what the report shows.

Light: the Snakefile reads this, so nothing heavy is imported here. The report asks for nothing to be made: Snakemake
makes it anew when the digest of what it found is another.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sanrec.artifacts import ROOT

BENCHMARKS = f"{ROOT}/benchmarks"


@dataclass(frozen=True)
class Found:
    """Paths below the working folder, in the order in which the report has them."""

    tables: tuple[str, ...]
    """Names of the tables that are there: `table3`, `iisan-versa/table1`."""
    figures: tuple[str, ...]
    """Names of the figures that are there."""
    absent: tuple[str, ...]
    """What makes the declared ones that are not: `results/table8.csv`, `results/figure3.svg`."""
    runs: tuple[str, ...]
    """Folders of finished runs."""
    media: tuple[str, ...]
    """Lists of missing media."""
    corpora: tuple[str, ...]
    """Corpora that are prepared."""
    steps: tuple[str, ...]
    """Snakemake's measurements of its jobs, but those of training, which runs hold themselves."""


def find(tables: Iterable[str], figures: Iterable[str], root: str | Path = ".") -> Found:
    """Look for these tables and figures, and for everything else that the report shows."""
    folder = Path(root, ROOT)
    tables, figures = sorted(tables, key=_natural), sorted(figures, key=_natural)
    made_tables = tuple(name for name in tables if _table(name, root))
    made_figures = tuple(name for name in figures if Path(root, f"{ROOT}/{name}.svg").is_file())
    absent = [f"{ROOT}/{name}.csv" for name in tables if name not in made_tables]
    absent += [f"{ROOT}/{name}.svg" for name in figures if name not in made_figures]
    finished = (path.parent for path in folder.glob("*/runs/*/*/*/seed=*/metrics.json"))
    measured = (path for path in (folder / "benchmarks").rglob("*.tsv") if path.relative_to(folder).parts[1] != "train")
    return Found(
        made_tables,
        made_figures,
        tuple(absent),
        _below(root, finished),
        _below(root, folder.glob("*/media-report.csv")),
        tuple(sorted(path.parent.name for path in folder.glob("*/items.parquet"))),
        _below(root, measured),
    )


def files(found: Found) -> list[str]:
    """Every file that the report is made from; some of a kind need not be there."""
    shown = [f"{ROOT}/{name}.html" for name in found.tables]
    shown += [f"{ROOT}/{name}.{suffix}" for name in found.figures for suffix in ("svg", "csv", "html")]
    shown += [f"{folder}/{name}" for folder in found.runs for name in ("metrics.json", "history.csv")]
    shown += [f"{ROOT}/{corpus}/items.parquet" for corpus in found.corpora]
    return [*shown, *found.media, *found.steps]


def digest(found: Found, root: str | Path = ".") -> str:
    """A digest of which files the report is made from, of what size and time: quick however many runs there are."""
    parts = [*found.absent]
    for name in files(found):
        path = Path(root, name)
        if path.is_file():
            stat = path.stat()
            parts.append(f"{name} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def newest(found: Found, root: str | Path = ".") -> float | None:
    """When the last of the report's files was made, in seconds since 1970; None where there is none."""
    times = [path.stat().st_mtime for name in files(found) if (path := Path(root, name)).is_file()]
    return max(times, default=None)


def _table(name: str, root: str | Path) -> bool:
    return Path(root, f"{ROOT}/{name}.html").is_file()


def _below(root: str | Path, paths: Iterable[Path]) -> tuple[str, ...]:
    return tuple(sorted((path.relative_to(root).as_posix() for path in paths), key=_natural))


def _natural(text: str) -> list[tuple[int, str]]:
    """Names in the order that people expect: seed=2 before seed=10, and what lies in no folder first."""
    parts = re.split(r"(\d+)", text)
    return [(text.count("/"), "")] + [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
