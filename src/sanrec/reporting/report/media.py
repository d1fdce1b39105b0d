"""Items whose media are missing or broken, from the corpora's media-report.csv."""

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sanrec.artifacts import items as items_path
from sanrec.errors import DataError

MOST_LISTED = 200


@dataclass(frozen=True)
class MissingMedia:
    """A corpus' list of missing media."""

    corpus: str
    items: int | None
    """How many items the corpus has; None where its table is not there."""
    counts: tuple[tuple[str, str, int], ...]
    """Channel, reason, and how many items."""
    listed: tuple[tuple[str, str, str, str], ...]
    """Item, channel, path and reason of the first ones."""
    total: int


def read_media(path: str, root: str | Path = ".") -> MissingMedia:
    """A corpus' report. Raises DataError, naming it, for one that cannot be read."""
    try:
        with Path(root, path).open(encoding="utf-8", newline="") as file:
            rows = [(row["item"], row["channel"], row["path"], row["reason"]) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise DataError(f"{path}: cannot be read: {error}. Make it again: snakemake {path} --cores --force") from None
    corpus = path.split("/")[1]
    counts = Counter((channel, reason) for _, channel, _, reason in rows)
    ordered = tuple((*key, count) for key, count in sorted(counts.items()))
    items = _item_count(Path(root, items_path(corpus)))
    return MissingMedia(corpus, items, ordered, tuple(rows[:MOST_LISTED]), len(rows))


def _item_count(path: Path) -> int | None:
    if not path.is_file():
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read: {error}. Delete it and make it again") from None
