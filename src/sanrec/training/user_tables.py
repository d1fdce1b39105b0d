"""What a run leaves of every user: ranks.parquet and top.parquet, by original ids."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sanrec.data.split import Held, Sequences
from sanrec.files import atomic
from sanrec.training.pairs import owners

FILES = ("ranks.parquet", "top.parquet")


def write_user_tables(
    folder: str | Path,
    sequences: Sequences,
    ranks: dict[Held, np.ndarray],
    top_Uk: np.ndarray,
    interactions: str | Path,
) -> None:
    """Write both into a folder: ranks [T] by split, and the lists [U, k] of the test split's users (`TopLists`).

    `interactions` is the table that `sequences` was read from.
    """
    with atomic(Path(folder, "ranks.parquet")) as temporary:
        pq.write_table(rank_table(sequences, ranks, interactions), temporary)
    with atomic(Path(folder, "top.parquet")) as temporary:
        pq.write_table(top_table(sequences, top_Uk, interactions), temporary, compression="zstd")


def rank_table(sequences: Sequences, ranks: dict[Held, np.ndarray], interactions: str | Path) -> pa.Table:
    """Columns user (original id), split, rank; users in the data set's order.

    But with leave-one-out users may have several targets or none: then also target, the item's original id, as it
    stands in the table of `interactions`.
    """
    held = {split: owners(sequences, split) for split in ranks}
    everyone = np.arange(sequences.user_count)
    users = [sequences.users[everyone if of is None else of] for of in held.values()]
    columns = {
        "user": pa.array(np.concatenate(users), pa.string()),
        "split": pa.array(np.repeat(list(ranks), [len(part) for part in users]), pa.string()),
        "rank": np.concatenate(list(ranks.values())).astype(np.int32),
    }
    if sequences.many:
        items = pq.read_table(interactions, columns=["item", "split"])
        columns["target"] = pa.concat_arrays(
            [items.filter(pc.equal(items["split"], split))["item"].combine_chunks() for split in ranks]
        )
    return pa.table(columns)


def top_table(sequences: Sequences, top_Uk: np.ndarray, interactions: str | Path) -> pa.Table:
    """Columns user and items, the original ids of the user's best items, best first; users in the data set's order.

    Where users may have none, those with a test target have a row. A list is shorter where fewer items may be shown.
    """
    of = owners(sequences, "test")
    users = sequences.users if of is None else sequences.users[np.unique(of)]
    shown = top_Uk > 0
    offsets = np.concatenate([[0], shown.sum(1).cumsum()]).astype(np.int32)
    items = item_names(interactions, sequences.item_count).take(pa.array(top_Uk[shown] - 1))
    return pa.table({"user": pa.array(users, pa.string()), "items": pa.ListArray.from_arrays(offsets, items)})


def item_names(interactions: str | Path, items: int) -> pa.Array:
    """The original ids [I] of items 1 to I."""
    table = pq.read_table(interactions, columns=["item", "item_index"])
    index = table["item_index"].to_numpy()
    rows = np.zeros(items, np.int64)
    rows[index - 1] = np.arange(len(index))
    return table["item"].combine_chunks().cast(pa.string()).take(pa.array(rows))
