"""The corpus' list of media that are missing or broken, gathered from its extractions."""

import csv
from collections.abc import Sequence
from pathlib import Path

from sanrec.backbones.sources import REPORT_COLUMNS
from sanrec.backbones.store import read_manifest
from sanrec.errors import StoreError
from sanrec.files import atomic


def write_media_report(manifests: Sequence[str | Path], report: str | Path) -> int:
    """Write item, channel, path and reason of all that the stores of `manifests` lack; returns how many rows.

    An item that several backbones lack in one channel is listed once. Raises StoreError for a store that is not there.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for manifest in map(Path, manifests):
        part = manifest.parent / read_manifest(manifest)["missing_report"]
        if not part.is_file():
            raise StoreError(f"{part} is gone: remove {manifest} and make it again with: snakemake {manifest} --cores")
        with part.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found.setdefault((row["channel"], row["item"]), [row[column] for column in REPORT_COLUMNS])
    with atomic(report) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(REPORT_COLUMNS)
        writer.writerows(found.values())
    return len(found)
