"""The prepare steps: raw files to items.parquet per corpus, interactions.parquet and statistics.json per data set."""

import logging
from pathlib import Path, PurePath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sanrec.config import CHANNELS, Config, Corpus, Dataset
from sanrec.data.interactions import corpus_rows, interaction_table
from sanrec.data.layouts import SUFFIXES, Pairs, find_media, read_pairs, read_titles
from sanrec.errors import DataError
from sanrec.files import atomic, write_json
from sanrec.versions import STEPS

MEDIA = ("cover", "video", "audio")
STATES = ("missing", "present")
ITEMS_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("item", "title", *MEDIA, *(f"{kind}_state" for kind in (*MEDIA, "title")))]
)

log = logging.getLogger(__name__)


def prepare_corpus(config: Config, name: str, out_items: str | Path) -> None:
    """Write items.parquet: one row per item, in the order of the titles file, columns as in ITEMS_SCHEMA.

    Paths of media are relative to the working folder where the corpus' folder is; null where an item has no file. An
    item without a sound file has its video's path as audio. A media folder that is missing altogether is a warning
    here: runs on the other modalities need none of it. Raises DataError for bad titles (see `read_titles`).
    """
    corpus = config.find("corpus", name)
    titles = read_titles(PurePath(corpus.folder, corpus.titles), corpus.layout, f"corpora.{name}.titles")
    columns: dict[str, list[str | None]] = {"item": list(titles), "title": list(titles.values())}
    for kind in MEDIA:
        columns[kind] = _media_column(corpus, kind, list(titles))
    columns["audio"] = [sound or video for sound, video in zip(columns["audio"], columns["video"], strict=True)]
    for kind in (*MEDIA, "title"):
        columns[f"{kind}_state"] = [STATES[bool(value)] for value in columns[kind]]
        log.info("%s: %s of %d of %d items", name, kind, columns[f"{kind}_state"].count("present"), len(titles))
    table = pa.table([columns[field.name] for field in ITEMS_SCHEMA], schema=ITEMS_SCHEMA)
    with atomic(out_items) as temporary:
        pq.write_table(table, temporary)


def _media_column(corpus: Corpus, kind: str, items: list[str]) -> list[str | None]:
    """Each item's file of this kind, or None."""
    folder = {"cover": corpus.covers, "video": corpus.videos, "audio": corpus.audios}[kind]
    if folder is None:
        return [None] * len(items)
    place = PurePath(corpus.folder, folder)
    if not Path(place).is_dir():
        log.warning("%s: no such folder, so no item has its %s from there", place, kind)
    names = find_media(place, kind)
    if names and not names.keys() & set(items):
        log.warning("%s: no file is named by an item's id, as %s%s is", place, items[0], SUFFIXES[kind][0])
    return [(place / names[item]).as_posix() if item in names else None for item in items]


def prepare_dataset(
    config: Config, name: str, items_path: str | Path, out_interactions: str | Path, out_statistics: str | Path
) -> None:
    """Write interactions.parquet (columns as in `interactions.SCHEMA`) and statistics.json of a data set.

    `items_path` is the corpus' items.parquet. Raises DataError for bad pairs (see `read_pairs`), for items that the
    corpus does not have, and where no user is left.
    """
    dataset = config.find("dataset", name)
    corpus = config.find("corpus", dataset.corpus)
    items = read_items(items_path)
    path = PurePath(corpus.folder, dataset.pairs)
    pairs = read_pairs(path, f"datasets.{name}.pairs")
    rows = corpus_rows(pairs, items["item"], str(path), str(PurePath(corpus.folder, corpus.titles)))
    table = interaction_table(pairs, rows, dataset.min_interactions, dataset.keep_last, str(path))
    with atomic(out_interactions) as temporary:
        pq.write_table(table, temporary)
    write_json(out_statistics, statistics(name, dataset, items, pairs, table))


def read_items(path: str | Path) -> pa.Table:
    """The item table of a corpus. Raises DataError where it is missing, empty or another table."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; `snakemake {path} --cores` makes it")
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: not a table of items ({error}); delete it and have it made again") from None
    if not set(ITEMS_SCHEMA.names) <= set(table.column_names) or not table.num_rows:
        raise DataError(f"{path}: not a table of items; delete it and have it made again")
    return table.select(ITEMS_SCHEMA.names)


def statistics(name: str, dataset: Dataset, items: pa.Table, pairs: Pairs, table: pa.Table) -> dict:
    """The counts of a data set, as printed in the papers' tables of data sets, and what was left out on the way.

    `content` lists the modalities that the corpus has, in the papers' order; `content_items` says how many of the data
    set's own items have each. `density` is interactions / (users * items).
    """
    rows = np.unique(table["item_row"].to_numpy())
    own = items.take(pa.array(rows))
    users = int(table["user_index"].to_numpy().max()) + 1
    states = {CHANNELS[kind]: f"{kind}_state" for kind in ("title", *MEDIA)}
    return {
        "dataset": name,
        "title": dataset.title,
        "corpus": dataset.corpus,
        "users": users,
        "items": len(rows),
        "interactions": table.num_rows,
        "content": [modality for modality, column in states.items() if "present" in items[column].unique().to_pylist()],
        "content_items": {modality: own[column].to_pylist().count("present") for modality, column in states.items()},
        "density": table.num_rows / (users * len(rows)),
        "mean_length": table.num_rows / users,
        "min_interactions": dataset.min_interactions,
        "keep_last": dataset.keep_last,
        "dropped_users": len(pairs.users) - users,
        "dropped_interactions": len(pairs.items) - table.num_rows,
        "dropped_items": len(pairs.names) - len(rows),
        "corpus_items": items.num_rows,
        "version": STEPS["prepare"],
    }
