"""A data set's items by their original ids, with their titles and media.

Shapes: I items, numbered from 1.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sanrec import artifacts
from sanrec.config import Config
from sanrec.data.prepare import read_items
from sanrec.data.split import Sequences
from sanrec.errors import DataError

NEAREST = 3  # names that an error suggests


@dataclass(frozen=True)
class Catalogue:
    """The items of a data set, and what lies behind them."""

    dataset: str
    table: pa.Table
    """One row per item [I], columns as of items.parquet."""
    dropped: frozenset[str]
    """Ids of the corpus' other items, which no interaction of the data set has."""

    @cached_property
    def ids(self) -> list[str]:
        """Original ids [I]; that of item number n stands at n - 1."""
        return self.table["item"].to_pylist()

    @cached_property
    def titles(self) -> list[str]:
        """Titles [I], empty where there is none."""
        return [title or "" for title in self.table["title"].to_pylist()]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {item: number for number, item in enumerate(self.ids, 1)}

    def medium(self, kind: str, number: int) -> str | None:
        """The path of an item's cover, video or sound; None where it has none."""
        return self.table[kind][number - 1].as_py()

    def numbers(self, items: Sequence[str]) -> np.ndarray:
        """The numbers of items by their original ids, int32. Raises DataError for those that have none."""
        if unknown := [item for item in items if item not in self._numbers]:
            raise DataError(f"data set '{self.dataset}': {self._why_unknown(unknown)}")
        return np.array([self._numbers[item] for item in items], np.int32)

    def _why_unknown(self, items: Sequence[str]) -> str:
        if cut := [item for item in items if item in self.dropped]:
            return (
                f"item {_listed(cut)} is in its corpus, but in no interaction that the data set kept, so no run has a "
                "vector of it: leave it out"
            )
        return f"no item {_listed(items)}{nearest(items[0], self.ids)}"


def read_catalogue(config: Config, dataset: str, sequences: Sequences) -> Catalogue:
    """The catalogue of a data set. Raises DataError where its corpus' items were made anew since."""
    path, interactions = artifacts.items(config.datasets[dataset].corpus), artifacts.interactions(dataset)
    corpus, rows = read_items(path), sequences.item_rows[1:]
    pairs = pq.read_table(interactions, columns=["item", "item_index"])
    _, first = np.unique(pairs["item_index"].to_numpy(), return_index=True)
    ids = pairs["item"].take(pa.array(first)).to_pylist()
    if rows.max() >= corpus.num_rows or corpus["item"].take(pa.array(rows)).to_pylist() != ids:
        raise DataError(
            f"{path}: its items are not those that {interactions} was made from. Make that anew: "
            f"snakemake {interactions} --cores"
        )
    return Catalogue(dataset, corpus.take(pa.array(rows)), frozenset(corpus["item"].to_pylist()) - frozenset(ids))


def user_numbers(sequences: Sequences, users: Sequence[str], dataset: str) -> list[int]:
    """The numbers, from 0, of users by their original ids. Raises DataError for an unknown one, naming those near."""
    known = {user: number for number, user in enumerate(sequences.users.tolist())}
    if unknown := [user for user in users if user not in known]:
        raise DataError(
            f"data set '{dataset}': no user {_listed(unknown)}{nearest(unknown[0], known)} (it has {len(known)}; users "
            "of few interactions were left out when it was made). Someone unknown: --history ITEM,ITEM,…"
        )
    return [known[user] for user in users]


def nearest(name: str, names: Iterable[str]) -> str:
    """In words, which of the names are nearest to one that is none of them; "" where none is near."""
    near = get_close_matches(name, names, n=NEAREST, cutoff=0.5)
    return f": did you mean {' or '.join(repr(one) for one in near)}?" if near else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NEAREST} more" if len(names) > NEAREST else ""
    return ", ".join(f"'{name}'" for name in names[:NEAREST]) + more
