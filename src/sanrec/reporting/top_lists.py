"""Read the lists of recommendations that runs left behind, checked against their ranks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sanrec.errors import DataError
from sanrec.reporting.results import remake


def read_top(folder: str | Path, users: pd.Index, items: pd.Index) -> NDArray[np.int64]:
    """A run's lists [U, k] of the test split: numbers in `items`, best first; -1 where a list is shorter.

    k is the length of the longest. Raises DataError, naming the file, where it is missing or malformed, or holds other
    users or items.
    """
    path = Path(folder) / "top.parquet"
    if not path.is_file():
        raise DataError(f"{path}: no such file. {remake(path)}")
    try:
        table = pq.read_table(path, columns=["user", "items"])
        lists = table["items"].combine_chunks()
        counts = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        names = pc.list_flatten(lists).cast(pa.string())
        whose = table["user"].cast(pa.string()).to_numpy()
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DataError(f"{path}: cannot be read as lists: {error}. {remake(path)}") from None
    if not np.array_equal(whose, users.to_numpy(dtype=object)):
        raise DataError(
            f"{path}: its users are not those of the ranks beside it ({len(whose)} and {len(users)}). {remake(path)}"
        )
    places = pc.index_in(names, value_set=pa.array(items.to_numpy(dtype=object), pa.string()))
    if places.null_count:
        unknown = names.filter(places.is_null())[0].as_py()
        raise DataError(f"{path}: item '{unknown}' is none of the data set's. {remake(path)}")
    top_Uk = np.full((len(users), max(counts, default=0)), -1, np.int64)
    top_Uk[np.arange(top_Uk.shape[1]) < counts[:, None]] = places.to_numpy()
    return top_Uk


def check_lists(
    top_Uk: NDArray[np.int64],
    targets_T: NDArray[np.int64],
    owners_T: NDArray[np.intp] | None,
    ranks_T: NDArray[np.int32],
    folder: str | Path,
) -> None:
    """Raise DataError where a user's list holds fewer targets than the ranks beside it say.

    It may hold more: by rank, a target counts behind every item of its score.
    """
    users, length = top_Uk.shape
    owners = np.arange(users) if owners_T is None else owners_T
    held = (top_Uk[owners] == targets_T[:, None]).any(1)
    hits = (ranks_T >= 1) & (ranks_T <= length)
    if (np.bincount(owners[held], minlength=users) < np.bincount(owners[hits], minlength=users)).any():
        raise DataError(
            f"{folder}: ranks.parquet has hits that top.parquet does not hold: the two are not of the same training. "
            f"{remake(Path(folder) / 'metrics.json')}"
        )
