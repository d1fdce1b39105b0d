"""Ready-made item features in a .npy or parquet file, turned into a store like that of any backbone's hidden states.

The store has one layer, and the same vectors as `final`; rows are items by their position in the corpus' items table.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sanrec import artifacts
from sanrec.backbones.sources import MissingMedia, Sources, read_sources
from sanrec.backbones.store import MISSING, USED, read_manifest
from sanrec.backbones.writing import finish, hidden_plan, open_for_writing, unfinished, write_unit
from sanrec.config import Backbone, Config
from sanrec.data.ready_made import ITEM, VECTOR, item_ids, read_table
from sanrec.errors import DataError
from sanrec.files import sha256
from sanrec.media import MediaError

log = logging.getLogger(__name__)


def read_features(record: Backbone, name: str, items: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The features [items, width] of a backbone record of source `features`, and which items have one, bool [items].

    A .npy, which is mapped, has a row for each of `items` in their order. A .parquet has a row for any of them in any
    order, columns `item` and `vector`; items that have none are zeros, and rows of other items are passed over.

    Raises DataError for a file that is missing or is neither, for a .npy of Python objects (which are pickles and never
    read), and where what it holds does not fit the corpus' items or the record's width.
    """
    path, key = Path(record.checkpoint), f"backbones.{name}"
    if not path.is_file():
        raise DataError(
            f"{path.absolute()}: no such file. It should hold the features of every item, a .npy of shape "
            f"[{len(items)}, {record.width}], or a .parquet with columns {ITEM} and {VECTOR}; config key "
            f"'{key}.checkpoint' names it"
        )
    if path.suffix == ".parquet":
        return _from_parquet(path, key, record.width, items)
    return _from_npy(path, key, record.width, len(items)), np.ones(len(items), bool)


def _from_npy(path: Path, key: str, width: int, items: int) -> np.ndarray:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(
            f"{path}: cannot be read as a .npy of numbers ({error}). Save it by numpy.save from an array of floats"
        ) from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise DataError(f"{path}: holds no numbers; save it by numpy.save from an array of floats")
    if values.ndim != 2 or values.shape[1] != width:
        raise DataError(
            f"{path}: has shape {list(values.shape)}, but 'width' of {key} is {width}: expected [items, width]"
        )
    if len(values) != items:
        kind = "the item of row" if len(values) < items else "row"
        raise DataError(
            f"{path}: has {len(values)} rows for the {items} items of the corpus: {kind} {min(len(values), items)} "
            f"(counted from 0) has no {'feature' if len(values) < items else 'item'}. Row n belongs to the n-th item "
            "of the corpus' titles file, or to item n where it has none"
        )
    return values


def _from_parquet(path: Path, key: str, width: int, items: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    table = read_table(path)
    names = item_ids(path, table[ITEM].combine_chunks())
    vectors = table[VECTOR].combine_chunks()
    kind = vectors.type
    if not (_is_list(kind) and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))):
        raise DataError(f"{path}: '{VECTOR}' holds {kind}, not lists of numbers")
    there = vectors.is_valid()
    names, vectors = names.filter(there), vectors.filter(there)
    counts = names.value_counts()
    if len(again := counts.field("values").filter(pc.greater(counts.field("counts"), 1))):
        raise DataError(f"{path}: item '{again[0].as_py()}' has more than one vector; keep one of its rows")
    lengths = pc.list_value_length(vectors).to_numpy(zero_copy_only=False)
    if (wrong := lengths != width).any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{path}: the vector of item '{names[row].as_py()}' has {lengths[row]} numbers, but 'width' of {key} is "
            f"{width}"
        )
    half = kind.value_type == pa.float16()
    flat = vectors.flatten() if half else vectors.flatten().cast(pa.float32(), safe=False)
    matrix = flat.to_numpy(zero_copy_only=False).reshape(len(names), width)
    places = pc.index_in(pa.array(items, pa.string()), value_set=names)
    present = places.is_valid().to_numpy(zero_copy_only=False)
    values = np.zeros((len(items), width), np.float16 if half else np.float32)
    values[present] = matrix[places.drop_null().to_numpy()]
    if not present.any():
        raise DataError(
            f"{path}: none of its {len(names)} items is one of the corpus' {len(items)}, as '{items[0]}'; ids are "
            "text, exactly as in the corpus' titles"
        )
    if others := len(names) - int(present.sum()):
        log.info("%s: %d of its items are not in the corpus", path, others)
    return values, present


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def extract_features(
    config: Config,
    settings: dict[str, Any],
    items_path: str | Path | None = None,
    manifest_out: str | Path | None = None,
) -> dict[str, Any]:
    """Make the store of a corpus' ready-made features, or go on with it; returns the manifest.

    `settings` are those of `extract.expected_settings`. Stored as float16 where the file is float16, else as float32.
    Raises DataError for a file that does not fit the corpus (see `read_features`) or holds what is no finite number,
    and where it lacks more items than `missing_limit` of the corpus allows; StoreError where a finished store of other
    settings is in the way.
    """
    corpus, channel, backbone = (settings[key] for key in ("corpus", "channel", "backbone"))
    manifest = Path(manifest_out or artifacts.hidden(corpus, channel, backbone))
    record = config.find("backbone", backbone)
    titles = read_sources(items_path or artifacts.items(corpus), "title")
    sources = Sources(channel, titles.items, [record.checkpoint] * len(titles))
    values, present = read_features(record, backbone, sources.items)
    made_by = {"settings": settings, "features": sha256(record.checkpoint), "data": sources.items_fingerprint()}
    report = Path(str(manifest).removesuffix(".json") + ".missing.csv")
    missing = MissingMedia(sources, corpus, config.find("corpus", corpus).missing_limit, report)
    lacking = MediaError(record.checkpoint, "has no vector of it")
    missing.found = {int(row): lacking for row in np.flatnonzero(~present)}
    missing.check()
    dtype = "float16" if values.dtype == np.float16 else "float32"
    plan = hidden_plan(1, record.width, record.chunk_rows, dtype)
    group, _ = open_for_writing(manifest, made_by, len(sources), plan, record.chunk_rows)
    if not unfinished(group) and manifest.is_file():
        log.info("%s is finished, with these settings", manifest)
        return read_manifest(manifest)
    for unit in unfinished(group):
        block = np.asarray(values[unit.start : unit.stop])
        with np.errstate(over="ignore"):
            rows = block.astype(dtype)
        bad = ~np.isfinite(rows).all(axis=1)
        if bad.any():
            row = unit.start + int(np.argmax(bad))
            raise DataError(
                f"{record.checkpoint}, row {row} (item {sources.items[row]}): holds a value that is no finite number "
                f"in {dtype}; mend it there, with zeros where the item has no such feature"
            )
        valid = np.where(present[unit.start : unit.stop], USED, MISSING).astype(np.uint8)
        write_unit(group, unit, {"hidden": rows[:, None], "final": rows}, valid)
    missing.write()
    return finish(manifest, "hidden", {"missing_report": report.name})
