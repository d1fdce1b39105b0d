"""Popularity as a floor, on sequences small enough to rank by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sanrec import artifacts
from sanrec.data.split import Sequences
from sanrec.evaluation.metrics import metrics_from_ranks
from sanrec.evaluation.top_lists import TopLists
from sanrec.files import read_json
from sanrec.reporting.results import read_ranks
from sanrec.training.popularity import popularity_ranks, score_popularity


def test_ranks_by_hand():
    # Training parts: [1, 2], [1, 2], [1, 3]: item 1 three times, 2 twice, 3 once, 4 and 5 never.
    users = [[1, 2, 3, 4], [1, 2, 5, 3], [1, 3, 2, 5]]
    items = np.array(users, np.int32).ravel()
    sequences = Sequences(items, np.arange(0, 13, 4), np.array(["a", "b", "c"]), np.arange(-1, 5, dtype=np.int32))
    # Validation targets 3, 5, 2 with histories [1, 2], [1, 2], [1, 3]: 3 is first of 3, 4, 5; 5 is third, for 4 ties
    # with it; 2 is first.
    assert popularity_ranks(sequences, "validation").tolist() == [1, 3, 1]
    # Test targets 4, 3, 5 with histories [1, 2, 3], [1, 2, 5], [1, 3, 2]: 4 ties with 5; 3 is first; 5 ties with 4.
    top = TopLists(3)
    assert popularity_ranks(sequences, "test", top.see).tolist() == [2, 1, 2]
    assert top.items.tolist() == [[4, 5, 0], [3, 4, 0], [4, 5, 0]]


def test_it_leaves_what_runs_leave(clips):
    """On a given split: users without a test target have no ranks and no list."""
    score_popularity("clips")
    record = read_json(artifacts.popularity("clips"))
    folder = Path(artifacts.popularity_folder("clips"))
    assert {path.name for path in folder.iterdir()} == {"ranks.parquet", "top.parquet"}
    ranks = read_ranks(folder)
    users = pd.Index(ranks.index.get_level_values("user").unique())
    owners = users.get_indexer(ranks.index.get_level_values("user"))
    assert metrics_from_ranks(ranks.to_numpy(), owners) == pytest.approx(record["test"])
    taken = pd.read_parquet(artifacts.interactions("clips"))
    counts = taken[taken["split"] == "train"]["item"].value_counts()
    lists = pd.read_parquet(folder / "top.parquet").set_index("user")["items"]
    assert list(lists.index) == list(users)
    for user, items in lists.items():
        own = set(taken[(taken["user"] == user) & (taken["split"] != "test")]["item"])
        assert not own & set(items)
        assert len(items) == min(20, 24 - len(own))
        shown = [counts.get(item, 0) for item in items]
        assert shown == sorted(shown, reverse=True)
        assert min(shown) >= max(
            (counts.get(f"{i}", 0) for i in range(24) if f"{i}" not in own | set(items)), default=0
        )
