"""Readers of layout `inter`: a table of interactions, `user<TAB>item<TAB>label` under a header, one a line.

Recommendation benchmarks with ready-made features are published so: the label says whether an interaction trains,
validates or tests. Ids and labels stay text, as they stand in the file. Whatever is wrong with one is a DataError that
says in which file and line, and what to do.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from sanrec.config import Columns, Labels
from sanrec.data.layouts import Pairs
from sanrec.errors import DataError, unknown

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class LabelledPairs:
    """Interactions of users, and the split of each.

    pairs: each user's interactions, training first, then validation, then test, in each the order of the file; splits:
    int8 positions in `SPLITS`, as long as `pairs.items`.
    """

    pairs: Pairs
    splits: np.ndarray


def read_inter(path: str | Path, columns: Columns, key: str = "pairs") -> Pairs:
    """The interactions of a table as sequences: each user's in the order of the file, users as they appear.

    Raises DataError for a file that is missing, empty, not UTF-8 or no such table, and for an empty id.
    """
    table = _read_table(Path(path), [columns.user, columns.item], key)
    users, names = (_codes(Path(path), table[name], name) for name in (columns.user, columns.item))
    return _grouped(users, names, np.argsort(users[0], kind="stable"))


def read_labelled(path: str | Path, columns: Columns, labels: Labels, key: str = "pairs") -> LabelledPairs:
    """The interactions of a table with a split of its own; users as they appear in the file.

    Raises DataError as `read_inter`, and for a label that none of `labels` is, for an interaction that stands twice,
    and where no interaction trains, validates or tests.
    """
    path = Path(path)
    table = _read_table(path, [columns.user, columns.item, columns.label], key)
    users, names = (_codes(path, table[name], name) for name in (columns.user, columns.item))
    splits = _splits(path, table[columns.label], columns.label, labels)
    _check_distinct(path, users, names)
    order = np.lexsort((splits, users[0]))  # stable: in each split the order of the file
    return LabelledPairs(_grouped(users, names, order), splits[order])


Codes = tuple[np.ndarray, pa.Array]  # each line's number among the distinct values, and these, as they first appear


def _read_table(path: Path, wanted: list[str], key: str) -> pa.Table:
    """The columns asked for, as text."""
    if not path.is_file():
        raise DataError(
            f"{path}: no such file. It should hold one interaction a line under a header with the columns "
            f"{', '.join(wanted)}, parted by tabs: put it there, or name another file by config key '{key}'"
        )
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline().rstrip("\r\n").split("\t")
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8; save the file as UTF-8") from None
    for name in wanted:
        if name not in header:
            where = f"{path}, line 1 (columns parted by tabs; config key '{key.removesuffix('pairs')}columns')"
            raise DataError(str(unknown("column", name, header, where)))
    if len(set(header)) < len(header):
        raise DataError(f"{path}, line 1: a column's name stands there twice: {', '.join(header)}")
    convert = pyarrow.csv.ConvertOptions(
        include_columns=wanted, column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
    )
    read = pyarrow.csv.ReadOptions(column_names=header, skip_rows=1)
    parse = pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False, ignore_empty_lines=False)
    try:
        table = pyarrow.csv.read_csv(path, read_options=read, parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: not a table of {len(header)} columns parted by tabs: {error}") from None
    if not table.num_rows:
        raise DataError(f"{path}: holds no interactions; expected one a line, below the header")
    return table


def _codes(path: Path, column: pa.ChunkedArray, name: str) -> Codes:
    """A column of ids as numbers. Raises DataError for an id that is empty or holds white space."""
    ids = column.combine_chunks()
    bad = pc.match_substring_regex(ids, r"^$|\s").to_numpy(zero_copy_only=False)
    if bad.any():
        line = int(np.argmax(bad))
        raise DataError(
            f"{path}, line {line + 2}: {ids[line].as_py()!r} under '{name}' is no id: an id is neither empty nor "
            "holds white space"
        )
    encoded = ids.dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int32), encoded.dictionary


def _splits(path: Path, column: pa.ChunkedArray, name: str, labels: Labels) -> np.ndarray:
    """Each line's position in SPLITS."""
    known = [getattr(labels, split) for split in SPLITS]
    text = column.combine_chunks()
    found = pc.index_in(text, value_set=pa.array(known))
    bad = found.is_null().to_numpy(zero_copy_only=False)
    meaning = ", ".join(f"{label} {split}" for label, split in zip(known, SPLITS, strict=True))
    if bad.any():
        line = int(np.argmax(bad))
        raise DataError(
            f"{path}, line {line + 2}: {text[line].as_py()!r} under '{name}' is no label; the data set's 'labels' are "
            f"{meaning}"
        )
    splits = found.to_numpy().astype(np.int8)
    for number, split in enumerate(SPLITS):
        if not (splits == number).any():
            raise DataError(f"{path}: no interaction has the label of {split}; the data set's 'labels' are {meaning}")
    return splits


def _check_distinct(path: Path, users: Codes, names: Codes) -> None:
    """Raise DataError for an interaction that stands twice: it might both train and test."""
    keys = users[0].astype(np.int64) * len(names[1]) + names[0]
    order = np.argsort(keys, kind="stable")
    again = np.flatnonzero(np.diff(keys[order]) == 0)
    if len(again):
        first, second = sorted(int(line) for line in order[again[0] : again[0] + 2])
        user, item = users[1][int(users[0][first])].as_py(), names[1][int(names[0][first])].as_py()
        raise DataError(
            f"{path}, line {second + 2}: user '{user}' with item '{item}' was there before, in line {first + 2}; keep "
            "one of the two lines"
        )


def _grouped(users: Codes, names: Codes, order: np.ndarray) -> Pairs:
    """Interactions in an order that has users one after the other."""
    counts = np.bincount(users[0], minlength=len(users[1]))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Pairs(users[1], names[1], names[0][order], offsets)
