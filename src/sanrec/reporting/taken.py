"""What users took, by original ids, beside what runs have ranked of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sanrec.errors import DataError
from sanrec.reporting.results import Ranks, remake


@dataclass(frozen=True)
class Catalogue:
    """A data set's items by original id, and how they occur in the training part.

    counts [I]: how often; holders [I]: how many users have them; holding: how many users have a training part.
    """

    items: pd.Index
    counts: NDArray[np.int64]
    holders: NDArray[np.int64]
    holding: int


def read_interactions(path: str | Path) -> pd.DataFrame:
    """Columns user, item, split of an interactions.parquet, as text. Raises DataError, naming the file."""
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file. {remake(path)}")
    try:
        return pd.read_parquet(path, columns=["user", "item", "split"]).astype(str)
    except Exception as error:  # pyarrow raises many kinds for a file that is no parquet or lacks a column
        raise DataError(f"{path}: cannot be read as interactions: {error}. {remake(path)}") from None


def targets_of(frame: pd.DataFrame, path: str | Path, ranks: Ranks, split: str = "test") -> pd.Series:
    """The items [T] that were ranked of a split. Raises DataError, naming the file, where users or targets differ."""
    held = frame[frame["split"] == split]
    users = np.asarray(ranks.users, dtype=object)
    ranked = {"user": users if ranks.owners is None else users[ranks.owners]}
    if ranks.targets is not None:
        ranked["item"] = np.asarray(ranks.targets, dtype=object)
    for name, values in ranked.items():
        if not np.array_equal(held[name].to_numpy(dtype=object), values):
            raise DataError(
                f"{path}: its {split} {name}s are not those that the runs have ranked ({len(held)} and {len(values)} "
                "targets): the runs were made from other interactions. Delete them and ask for the table again"
            )
    return held["item"]


def catalogue_of(frame: pd.DataFrame) -> Catalogue:
    """The items of all splits, in the order of their first interaction."""
    items = pd.Index(frame["item"].unique())
    trained = frame[frame["split"] == "train"]
    counts = trained["item"].value_counts().reindex(items, fill_value=0)
    pairs = trained.drop_duplicates(["user", "item"])
    holders = pairs["item"].value_counts().reindex(items, fill_value=0)
    return Catalogue(items, counts.to_numpy(np.int64), holders.to_numpy(np.int64), trained["user"].nunique())


def training_parts(frame: pd.DataFrame, users: pd.Index, items: pd.Index) -> tuple[NDArray, NDArray]:
    """What these users have in the training part: items [n], by number in `items`, and offsets [U + 1]."""
    of = users.get_indexer(frame["user"])
    kept = (of >= 0) & (frame["split"] == "train").to_numpy()
    order = np.argsort(of[kept], kind="stable")
    counts = np.bincount(of[kept], minlength=len(users))
    return items.get_indexer(frame["item"][kept])[order], np.concatenate([[0], counts.cumsum()])


def history_lengths(frame: pd.DataFrame, users: pd.Index) -> NDArray[np.int64]:
    """How many items each of these users [U] took before the test target: those of training and validation."""
    of = users.get_indexer(frame["user"])
    before = (of >= 0) & (frame["split"] != "test").to_numpy()
    return np.bincount(of[before], minlength=len(users))
