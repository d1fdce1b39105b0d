"""Which items a parquet file of ready-made features holds: columns `item` and `vector`, items in any order."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sanrec.errors import DataError

ITEM, VECTOR = "item", "vector"  # columns


def read_table(path: Path) -> pa.Table:
    """The file's columns `item`, as it stands there, and `vector`. Raises DataError for a file that is none such."""
    try:
        columns = pq.read_schema(path).names
        if lacking := [name for name in (ITEM, VECTOR) if name not in columns]:
            found = ", ".join(columns) or "none"
            raise DataError(f"{path}: has no column '{lacking[0]}', only {found}; expected {ITEM} and {VECTOR}")
        return pq.read_table(path, columns=[ITEM, VECTOR])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as parquet ({error})") from None


def item_ids(path: Path, column: pa.Array) -> pa.Array:
    """Item ids as text, also where they are whole numbers. Raises DataError for what are no ids."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise DataError(f"{path}: '{ITEM}' holds {column.type}, not ids: text, or whole numbers")
    if column.null_count:
        raise DataError(f"{path}, row {int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))}: has no item")
    return column.cast(kind).cast(pa.string())


def held_items(path: Path) -> frozenset[str]:
    """The ids of the items that have a vector in the file. Raises DataError for a file that is none such."""
    table = read_table(path)
    ids = item_ids(path, table[ITEM].combine_chunks())
    return frozenset(ids.filter(table[VECTOR].combine_chunks().is_valid()).to_pylist())
