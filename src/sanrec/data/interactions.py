"""From pairs to interactions.parquet, and from there to the arrays of the trainer.

The protocol of both papers (their code's order of steps): users with fewer than `min_interactions` are dropped, then
each keeps the last `keep_last`, then the items that are left are numbered from 1, in the order of the corpus. A split
that is given with the data is taken whole; `timeline` has the split by time.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sanrec.data.inter import SPLITS, LabelledPairs
from sanrec.data.layouts import Pairs
from sanrec.data.split import Sequences, ranges
from sanrec.data.timeline import HISTORY, LABELS, Split
from sanrec.errors import DataError

SCHEMA = pa.schema(
    {
        "user": pa.string(),
        "user_index": pa.int32(),
        "position": pa.int16(),
        "item": pa.string(),
        "item_index": pa.int32(),
        "item_row": pa.int32(),
        "split": pa.string(),
    }
)
GIVEN, TIMED = {b"split": b"given"}, {b"split": b"time"}  # the table's own mark; without one it is leave-one-out


def cut(offsets: np.ndarray, min_interactions: int, keep_last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which users stay and what they keep.

    Takes the offsets [U + 1] of all users. Gives the users that have at least `min_interactions` [K], the positions of
    their last `keep_last` interactions, oldest first, one user after the other, and these positions' offsets [K + 1].
    """
    lengths = np.diff(offsets)
    users = np.flatnonzero(lengths >= min_interactions)
    counts = np.minimum(lengths[users], keep_last)
    positions, kept_offsets = ranges(offsets[users + 1] - counts, counts)
    return users, positions, kept_offsets


def corpus_rows(
    pairs: Pairs, items: pa.Array | pa.ChunkedArray, where: str, titles: str, user_per_line: bool = True
) -> np.ndarray:
    """The corpus row of each name in `pairs.names`, int32.

    `where` and `titles` name the pairs file and what lists the corpus' items. Raises DataError where items have no row,
    with the first lines at fault, or, where the file has not one line per user, the first users.
    """
    known = items.combine_chunks() if isinstance(items, pa.ChunkedArray) else items
    rows = pc.index_in(pairs.names, value_set=known.cast(pairs.names.type))
    missing = np.flatnonzero(rows.is_null().to_numpy(zero_copy_only=False))
    if len(missing):
        # names are numbered as they appear, so the first missing ones are those met first in the file
        lines = [int(np.searchsorted(pairs.offsets, np.argmax(pairs.items == code), "right")) for code in missing[:3]]
        places = [f"line {n}" if user_per_line else f"of user '{pairs.users[n - 1].as_py()}'" for n in lines]
        examples = ", ".join(f"'{pairs.names[c].as_py()}' ({n})" for c, n in zip(missing[:3], places, strict=True))
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DataError(
            f"{where}: {len(missing)} of its items are not in {titles}: {examples}{more}. Give each a line there "
            "(with an empty title where it has none), or take it out of the pairs"
        )
    return rows.to_numpy().astype(np.int32)


def interaction_table(pairs: Pairs, rows: np.ndarray, min_interactions: int, keep_last: int, where: str) -> pa.Table:
    """The table of interactions, columns as in SCHEMA, sorted by user and position.

    `rows`: corpus row of each name in `pairs.names`. Raises DataError where no user is left, naming `where`.
    """
    users, positions, offsets = cut(pairs.offsets, min_interactions, keep_last)
    if not len(users):
        longest = int(np.diff(pairs.offsets).max())
        raise DataError(
            f"{where}: no user has {min_interactions} interactions (the most is {longest}), so nothing is left. "
            "Each line holds one user's whole sequence; the least number is the data set's 'min_interactions'"
        )
    counts = np.diff(offsets)
    if counts.max() > np.iinfo(np.int16).max:
        raise DataError(
            f"{where}: a user keeps {counts.max()} interactions, more than {np.iinfo(np.int16).max}; set a smaller "
            "'keep_last' for the data set"
        )
    splits = np.zeros(len(positions), np.int8)
    splits[offsets[1:] - 2] = SPLITS.index("validation")
    splits[offsets[1:] - 1] = SPLITS.index("test")
    return _table(pairs, rows, users, positions, offsets, splits)


def given_table(labelled: LabelledPairs, rows: np.ndarray, where: str) -> pa.Table:
    """The same table for a split that came with the data: all of it, with the mark `GIVEN`.

    Raises DataError where a user has more interactions than positions can count.
    """
    pairs = labelled.pairs
    if (most := int(np.diff(pairs.offsets).max())) > np.iinfo(np.int16).max:
        raise DataError(f"{where}: a user has {most} interactions, more than {np.iinfo(np.int16).max}")
    everyone, everything = np.arange(len(pairs.users)), np.arange(len(pairs.items))
    table = _table(pairs, rows, everyone, everything, pairs.offsets, labelled.splits)
    return table.replace_schema_metadata(GIVEN)


def timed_table(pairs: Pairs, rows: np.ndarray, parts: Split, where: str) -> pa.Table:
    """The same table for a split by time, with the mark `TIMED`.

    Its column `split` has a fourth value, `history`: what was neither trained on nor is a target, but comes before one.
    Raises DataError where a user has more interactions than positions can count.
    """
    if (most := int(np.diff(parts.offsets).max())) > np.iinfo(np.int16).max:
        raise DataError(f"{where}: a user has {most} interactions, more than {np.iinfo(np.int16).max}")
    table = _table(pairs, rows, parts.users, parts.positions, parts.offsets, parts.splits)
    return table.replace_schema_metadata(TIMED)


def _table(
    pairs: Pairs, rows: np.ndarray, users: np.ndarray, positions: np.ndarray, offsets: np.ndarray, splits: np.ndarray
) -> pa.Table:
    """The table of the interactions at `positions`, those of `users` one after the other by `offsets`."""
    codes, counts = pairs.items[positions], np.diff(offsets)
    item_rows = rows[codes]
    used = np.unique(item_rows)
    columns = {
        "user": pairs.users.take(pa.array(np.repeat(users, counts))),
        "user_index": np.repeat(np.arange(len(users)), counts),
        "position": np.arange(len(positions)) - np.repeat(offsets[:-1], counts),
        "item": pairs.names.take(pa.array(codes)),
        "item_index": np.searchsorted(used, item_rows) + 1,
        "item_row": item_rows,
        "split": pa.array(LABELS).take(pa.array(splits)),
    }
    return pa.table([pa.array(columns[field.name]).cast(field.type) for field in SCHEMA], schema=SCHEMA)


def load_sequences(path: str | Path) -> Sequences:
    """The sequences in an interactions.parquet, checked against the protocol.

    Raises DataError for a file that is missing, no such table, or not in order.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; `snakemake {path} --cores` makes it")
    try:
        schema = pq.read_schema(path)
        lacking = [name for name in SCHEMA.names if name not in schema.names]
        table = pq.read_table(path, columns=SCHEMA.names, read_dictionary=["user", "split"]) if not lacking else None
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: not a table of interactions ({error}); delete it and have it made again") from None
    if not table or not table.num_rows:
        what = f"has no column {', '.join(lacking)}" if lacking else "holds no interactions"
        raise DataError(f"{path}: {what}; delete it and have it made again")
    mark = (schema.metadata or {}).get(b"split", b"").decode()
    items, position, item_row = (table[name].to_numpy() for name in ("item_index", "position", "item_row"))
    starts = np.flatnonzero(position == 0)
    offsets = np.append(starts, len(position)).astype(np.int64)
    splits = pc.index_in(table["split"].cast(pa.string()), value_set=pa.array(LABELS)).fill_null(-1).to_numpy()
    parts = _parts(offsets, splits, mark) if _in_order(table, offsets, mark) else None
    if parts is None or not np.array_equal(splits, _labels_of(offsets, *parts)):
        held = "training before validation before test" if mark else "last item test, the one before validation"
        raise DataError(
            f"{path}: not in order; expected users from 0, positions from 0, items from 1 with one corpus row each, "
            f"{held}. Delete it and have it made again"
        )
    item_rows = np.full(items.max() + 1, -1, np.int32)
    item_rows[items] = item_row
    users = table["user"].take(pa.array(starts)).cast(pa.string()).to_numpy()
    train_to, validation_from, validation_to, test_from = parts
    held_from = (validation_from, test_from) if mark else None
    timed = (train_to, validation_to) if mark == "time" else None
    return Sequences(items.astype(np.int32, copy=False), offsets, users, item_rows, held_from, timed)


def _parts(offsets: np.ndarray, splits: np.ndarray, mark: str) -> tuple[np.ndarray, ...]:
    """Where each user's training part ends, the validation targets begin and end, and the test targets begin [U] each.

    They follow from how many of each there are; `_labels_of` says whether all stand there.
    """
    starts, ends = offsets[:-1], offsets[1:]
    if not mark:
        return ends - 2, ends - 2, ends - 1, ends - 1
    trains, validates, tests = (np.add.reduceat((splits == n).astype(np.int64), starts) for n in range(len(SPLITS)))
    train_to, test_from = starts + trains, ends - tests
    places = np.where(splits == SPLITS.index("validation"), np.arange(len(splits)), ends[-1])
    first = np.minimum.reduceat(places, starts)
    validation_from = np.where(validates > 0, first, train_to)
    if mark == "given":
        return train_to, train_to, test_from, test_from
    return train_to, validation_from, validation_from + validates, test_from


def _labels_of(
    offsets: np.ndarray,
    train_to: np.ndarray,
    validation_from: np.ndarray,
    validation_to: np.ndarray,
    test_from: np.ndarray,
) -> np.ndarray:
    """The positions in LABELS that `_parts` stand for: int8 [N]."""
    place_N, owner_N = np.arange(offsets[-1]), np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    labels = np.full(len(place_N), LABELS.index(HISTORY), np.int8)
    labels[(place_N >= validation_from[owner_N]) & (place_N < validation_to[owner_N])] = SPLITS.index("validation")
    labels[place_N >= test_from[owner_N]] = SPLITS.index("test")
    labels[place_N < train_to[owner_N]] = SPLITS.index("train")
    return labels


def _in_order(table: pa.Table, offsets: np.ndarray, mark: str) -> bool:
    """Whether users, positions and items of a table stand as the table with that mark has them."""
    user_index, position, items, item_row = (
        table[name].to_numpy() for name in ("user_index", "position", "item_index", "item_row")
    )
    starts, counts = offsets[:-1], np.diff(offsets)
    if not (
        len(starts) > 0
        and starts[0] == 0
        and counts.min() >= (1 if mark else 3)
        and np.array_equal(user_index, np.repeat(np.arange(len(starts)), counts))
        and np.array_equal(position, np.arange(len(position)) - np.repeat(starts, counts))
        and items.min() >= 1
    ):
        return False
    item_rows = np.full(items.max() + 1, -1, np.int32)
    item_rows[items] = item_row
    return bool((item_rows[1:] >= 0).all()) and np.array_equal(item_rows[items], item_row)
