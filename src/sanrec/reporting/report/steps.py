"""What the jobs other than training took, as Snakemake measured them."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sanrec.reporting.report.found import BENCHMARKS


@dataclass(frozen=True)
class StepRow:
    """A finished job."""

    step: str
    of: str
    """What it was made for, as its path says: `demo/cover/vit`."""
    seconds: float | None
    peak_memory: float | None
    """Bytes. None, as the seconds, where Snakemake could not measure: the job was too short."""


def read_steps(paths: Iterable[str], root: str | Path = ".") -> list[StepRow]:
    """The jobs whose measurements lie at these paths; one whose file says nothing has no figures."""
    rows = []
    for path in paths:
        step, _, of = path.removeprefix(f"{BENCHMARKS}/").removesuffix(".tsv").partition("/")
        with Path(root, path).open(encoding="utf-8", newline="", errors="replace") as file:
            last = (list(csv.DictReader(file, delimiter="\t")) or [{}])[-1]
        megabytes = _number(last.get("max_rss"))
        memory = None if megabytes is None else megabytes * 2**20
        rows.append(StepRow(step, of, _number(last.get("s")), memory))
    return rows


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value == value else None  # Snakemake writes NA, or NaN
