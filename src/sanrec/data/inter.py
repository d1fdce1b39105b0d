"""Readers of layout `inter`: a table of interactions, `user<TAB>item<TAB>label` under a header, one a line.

Recommendation benchmarks with ready-made features are published so: the label says whether an interaction trains,
validates or tests. Ids and labels stay text, as they stand in the file. Whatever is wrong with one is a DataError that
says in which file and line, and what to do.
"""

from collections.abc import Callable
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
USUAL_TIME = "timestamp"  # the column of moments, where a split by time is told no other
MOMENTS = (pa.int64(), pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC"))  # tried in this order


@dataclass(frozen=True)
class LabelledPairs:
    """Interactions of users, and the split of each.

    pairs: each user's interactions, training first, then validation, then test, in each the order of the file; splits:
    int8 positions in `SPLITS`, as long as `pairs.items`.
    """

    pairs: Pairs
    splits: np.ndarray


@dataclass(frozen=True)
class TimedPairs:
    """Interactions of users in the order of time, and when each was.

    pairs: each user's interactions, oldest first, those of one moment in the order of the file; times: int64 or float64
    [N], as long as `pairs.items`, in the table's own numbers, or microseconds since 1970 (UTC) where it holds `dates`.
    """

    pairs: Pairs
    times: np.ndarray
    dates: bool


def read_timed(path: str | Path, columns: Columns, key: str = "pairs") -> TimedPairs:
    """The interactions of a table with a column of moments; users as they appear in the file.

    Raises DataError as `read_inter`, and for a moment that is neither a number nor a date, or not as the others are.
    """
    path, when = Path(path), columns.time or USUAL_TIME
    table = _read_table(path, [columns.user, columns.item, when], key)
    users, names = (_codes(path, table[name], name) for name in (columns.user, columns.item))
    times, dates = read_moments(table[when].combine_chunks(), lambda line: f"{path}, line {line + 2}: under '{when}', ")
    order = np.lexsort((times, users[0]))  # stable: of one moment in the order of the file
    return TimedPairs(_grouped(users, names, order), times[order], dates)


def read_moments(text: pa.Array, where: Callable[[int], str]) -> tuple[np.ndarray, bool]:
    """Moments from text: whole numbers, numbers, or dates in microseconds since 1970 (UTC); and whether they are dates.

    Raises DataError for what is none of them all through, with `where` of the first line at fault before it.
    """
    for kind in MOMENTS:
        try:
            found = text.cast(kind)
        except pa.ArrowInvalid:
            continue
        numbers = found.cast(pa.int64()).to_numpy() if pa.types.is_timestamp(kind) else found.to_numpy()
        if (finite := np.isfinite(numbers)).all():
            return numbers, pa.types.is_timestamp(kind)
        raise DataError(f"{where(int(np.argmin(finite)))}{text[int(np.argmin(finite))].as_py()!r} is no moment")
    kinds = [next((kind for kind in MOMENTS if _reads(one, kind)), None) for one in text]
    first = next((kind for kind in kinds if kind), None)
    line = next(line for line, kind in enumerate(kinds) if kind is None or _like(kind) != _like(first))
    raise DataError(
        f"{where(line)}{text[line].as_py()!r} is no moment as the others are: expected numbers all through, or dates "
        "all through, as 2024-05-31 or 2024-05-31T18:00:00, all with a zone (Z, +02:00) or none"
    )


def _reads(one: pa.Scalar, kind: pa.DataType) -> bool:
    try:
        one.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _like(kind: pa.DataType | None) -> pa.DataType | None:
    """Numbers of both kinds go together."""
    return pa.float64() if kind == pa.int64() else kind


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
