"""The prepare steps: raw files to items.parquet per corpus, interactions.parquet and statistics.json per data set."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sanrec.config import CHANNELS, Config, Corpus, Dataset
from sanrec.data.inter import SPLITS, read_inter, read_labelled, read_timed
from sanrec.data.interactions import corpus_rows, given_table, interaction_table, timed_table
from sanrec.data.layouts import SUFFIXES, Pairs, find_media, read_pairs, read_titles
from sanrec.data.ready_made import held_items
from sanrec.data.timeline import counted, cuts, spelled, split_by_time
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

    Without a titles file the items are the numbers from 0, `item_count` of them, with empty titles.

    Paths of media are relative to the working folder where the corpus' folder is; null where an item has no file. An
    item without a sound file has its video's path as audio. A media folder that is missing altogether is a warning
    here: runs on the other modalities need none of it. Raises DataError for bad titles (see `read_titles`).
    """
    corpus = config.find("corpus", name)
    if corpus.titles is None:
        titles = {str(number): "" for number in range(corpus.item_count)}
    else:
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

    `items_path` is the corpus' items.parquet. Raises DataError for bad pairs (see `read_pairs` and `inter`), for items
    that the corpus does not have, and where no user is left.
    """
    dataset = config.find("dataset", name)
    corpus = config.find("corpus", dataset.corpus)
    items = read_items(items_path)
    path = PurePath(corpus.folder, dataset.pairs)
    key, listed = f"datasets.{name}.pairs", _items_file(corpus, dataset.corpus)
    about: dict[str, Any] = {}
    if dataset.split == "given":
        labelled = read_labelled(path, dataset.columns, dataset.labels, key)
        pairs = labelled.pairs
        rows = corpus_rows(pairs, items["item"], str(path), listed, user_per_line=False)
        table = given_table(labelled, rows, str(path))
    elif dataset.split == "time":
        timed = read_timed(path, dataset.columns, key)
        pairs, periods = timed.pairs, dataset.periods
        rows = corpus_rows(pairs, items["item"], str(path), listed, user_per_line=False)
        moments = cuts(timed, periods, str(path))
        taken = dataset.min_interactions, dataset.keep_last
        parts = split_by_time(timed, moments, periods.targets, *taken, str(path))
        table = timed_table(pairs, rows, parts, str(path))
        named = zip(("validation_from", "test_from"), moments, strict=True)
        about = {key: spelled(moment, timed.dates) for key, moment in named}
        about |= {"targets": periods.targets, **parts.counts, **counted(table)}
    else:
        one_line = corpus.layout != "inter"
        pairs = read_pairs(path, key) if one_line else _read_ordered(path, dataset, key)
        rows = corpus_rows(pairs, items["item"], str(path), listed, one_line)
        table = interaction_table(pairs, rows, dataset.min_interactions, dataset.keep_last, str(path))
    with atomic(out_interactions) as temporary:
        pq.write_table(table, temporary)
    ready_made = _ready_made(config, dataset)
    write_json(out_statistics, statistics(name, dataset, items, pairs, table, ready_made) | about)


def _ready_made(config: Config, dataset: Dataset) -> dict[str, frozenset[str] | None]:
    """The items that the data set's ready-made features hold, by modality: None for all, as a .npy has.

    Of a parquet file that is not there it is none: the step that reads its vectors says what is missing.
    """
    found: dict[str, frozenset[str] | None] = {}
    for channel, backbone in dataset.backbones.items():
        record = config.backbones[backbone]
        if record.source == "features":
            path = Path(record.checkpoint)
            parquet = path.suffix == ".parquet"
            held = (held_items(path) if path.is_file() else frozenset()) if parquet else None
            before = found.get(CHANNELS[channel], frozenset())
            found[CHANNELS[channel]] = None if held is None or before is None else held | before
    return found


def _read_ordered(path: PurePath, dataset: Dataset, key: str) -> Pairs:
    """A table's interactions in the order of its moments, where the data set names their column; else of its lines."""
    if dataset.columns.time:
        return read_timed(path, dataset.columns, key).pairs
    return read_inter(path, dataset.columns, key)


def _items_file(corpus: Corpus, name: str) -> str:
    """What lists a corpus' items, for messages."""
    if corpus.titles is not None:
        return str(PurePath(corpus.folder, corpus.titles))
    return f"the corpus, whose items are 0 to {corpus.item_count - 1} (config key 'corpora.{name}.item_count')"


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


def statistics(
    name: str,
    dataset: Dataset,
    items: pa.Table,
    pairs: Pairs,
    table: pa.Table,
    ready_made: Mapping[str, Collection[str] | None],
) -> dict:
    """The counts of a data set, as printed in the papers' tables of data sets, and what was left out on the way.

    `content` lists the modalities that the corpus has, in the papers' order; `content_items` says how many of the data
    set's own items have each; of a modality in `ready_made` features, those that these hold (None: all). `density` is
    interactions / (users * items).
    """
    rows = np.unique(table["item_row"].to_numpy())
    own = items.take(pa.array(rows))
    users = int(table["user_index"].to_numpy().max()) + 1
    states = {CHANNELS[kind]: f"{kind}_state" for kind in ("title", *MEDIA)}
    splits = table["split"].to_pylist()
    cut = {"min_interactions": dataset.min_interactions, "keep_last": dataset.keep_last}
    split = {"split": dataset.split, "interactions_of": {part: splits.count(part) for part in SPLITS}}
    return {
        "dataset": name,
        "title": dataset.title,
        "corpus": dataset.corpus,
        "users": users,
        "items": len(rows),
        "interactions": table.num_rows,
        "content": [m for m, column in states.items() if m in ready_made or "present" in items[column].to_pylist()],
        "content_items": {
            modality: _holding(own, ready_made[modality])
            if modality in ready_made
            else own[column].to_pylist().count("present")
            for modality, column in states.items()
        },
        "density": table.num_rows / (users * len(rows)),
        "mean_length": table.num_rows / users,
        **({} if dataset.split == "given" else cut),
        **({} if dataset.split == "leave-one-out" else split),
        "dropped_users": len(pairs.users) - users,
        "dropped_interactions": len(pairs.items) - table.num_rows,
        "dropped_items": len(pairs.names) - len(rows),
        "corpus_items": items.num_rows,
        "version": STEPS["prepare"],
    }


def _holding(items: pa.Table, held: Collection[str] | None) -> int:
    """How many of some items are among those held, None being all."""
    return items.num_rows if held is None else sum(item in held for item in items["item"].to_pylist())
