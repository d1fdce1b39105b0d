"""Ready-made item features in a .npy file, turned into a store like that of any backbone's hidden states.

The store has one layer, and the same vectors as `final`; rows are items by their position in the corpus' items table.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from sanrec import artifacts
from sanrec.backbones.sources import MissingMedia, read_sources
from sanrec.backbones.store import USED, read_manifest
from sanrec.backbones.writing import finish, hidden_plan, open_for_writing, unfinished, write_unit
from sanrec.config import Backbone, Config
from sanrec.errors import DataError
from sanrec.files import sha256

log = logging.getLogger(__name__)


def read_features(record: Backbone, name: str, items: int) -> np.ndarray:
    """The features [items, width] of a backbone record of source `features`, mapped from its file.

    Raises DataError for a file that is missing, is no .npy of numbers or holds Python objects (which are pickles and
    never read), and where its shape is not that of the corpus' items and of the record's width.
    """
    path, key = Path(record.checkpoint), f"backbones.{name}"
    if not path.is_file():
        raise DataError(
            f"{path.absolute()}: no such file. It should hold the features of every item, a .npy of shape [{items}, "
            f"{record.width}]; config key '{key}.checkpoint' names it"
        )
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(
            f"{path}: cannot be read as a .npy of numbers ({error}). Save it by numpy.save from an array of floats"
        ) from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise DataError(f"{path}: holds no numbers; save it by numpy.save from an array of floats")
    if values.ndim != 2 or values.shape[1] != record.width:
        raise DataError(
            f"{path}: has shape {list(values.shape)}, but 'width' of {key} is {record.width}: expected [items, width]"
        )
    if len(values) != items:
        kind = "the item of row" if len(values) < items else "row"
        raise DataError(
            f"{path}: has {len(values)} rows for the {items} items of the corpus: {kind} {min(len(values), items)} "
            f"(counted from 0) has no {'feature' if len(values) < items else 'item'}. Row n belongs to the n-th item "
            "of the corpus' titles file, or to item n where it has none"
        )
    return values


def extract_features(
    config: Config,
    settings: dict[str, Any],
    items_path: str | Path | None = None,
    manifest_out: str | Path | None = None,
) -> dict[str, Any]:
    """Make the store of a corpus' ready-made features, or go on with it; returns the manifest.

    `settings` are those of `extract.expected_settings`. Stored as float16 where the file is float16, else as float32.
    Raises DataError for a file that does not fit the corpus (see `read_features`) or holds what is no finite number;
    StoreError where a finished store of other settings is in the way.
    """
    corpus, channel, backbone = (settings[key] for key in ("corpus", "channel", "backbone"))
    manifest = Path(manifest_out or artifacts.hidden(corpus, channel, backbone))
    record = config.find("backbone", backbone)
    sources = read_sources(items_path or artifacts.items(corpus), "title")
    values = read_features(record, backbone, len(sources))
    made_by = {"settings": settings, "features": sha256(record.checkpoint), "data": sources.items_fingerprint()}
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
        write_unit(group, unit, {"hidden": rows[:, None], "final": rows}, np.full(len(unit), USED, np.uint8))
    report = Path(str(manifest).removesuffix(".json") + ".missing.csv")  # nothing is: its header alone
    MissingMedia(sources, corpus, config.find("corpus", corpus).missing_limit, report).write()
    return finish(manifest, "hidden", {"missing_report": report.name})
