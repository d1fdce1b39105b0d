"""What runs leave of every user: lists by original ids that go with the ranks beside them."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sanrec import artifacts
from sanrec.data.split import Sequences
from sanrec.training.run import train_run
from sanrec.training.user_tables import item_names, top_table


@pytest.mark.parametrize(("model", "inputs"), [("crossan", "TI"), ("sasrec", "ID"), ("lightgcn", "ID")])
def test_a_run_on_orders_leaves_lists_that_go_with_its_ranks(shop, model, inputs):
    this = artifacts.run(shop.config, "shop", model, inputs, {"max_epochs": 1}, 21)
    train_run(shop.config, this)
    taken = pd.read_parquet(artifacts.interactions("shop"))
    ranks = pd.read_parquet(this.ranks)
    ranks = ranks[ranks["split"] == "test"].set_index("user")["rank"]
    lists = pd.read_parquet(this.top).set_index("user")["items"]
    assert list(lists.index) == list(taken["user"].unique()) == list(ranks.index)
    targets = taken[taken["split"] == "test"].set_index("user")["item"]
    for user, items in lists.items():
        own = set(taken[(taken["user"] == user) & (taken["split"] != "test")]["item"])
        assert len(set(items)) == len(items) == min(20, taken["item"].nunique() - len(own))
        assert not own & set(items)
        if 1 <= ranks[user] <= 20:
            assert targets[user] in items[: ranks[user]]
    hits = {user: rank for user, rank in ranks.items() if 1 <= rank <= len(lists[user])}
    at_rank = [lists[user][rank - 1] == targets[user] for user, rank in hits.items()]
    assert np.mean(at_rank) > 0.9  # scores of different items hardly ever tie


def test_a_run_on_a_given_split_has_lists_of_users_with_a_test_target(clips):
    this = artifacts.run(clips.config, "clips", "mf", "ID", {"max_epochs": 1})
    train_run(clips.config, this)
    ranks = pd.read_parquet(this.ranks)
    ranks = ranks[ranks["split"] == "test"]
    lists = pd.read_parquet(this.top).set_index("user")["items"]
    assert list(lists.index) == list(ranks["user"].unique())
    assert len(lists) < 40
    for user, own in ranks.groupby("user"):
        found = set(own["target"]) & set(lists[user])
        assert len(found) >= own["rank"].between(1, 20).sum()


def test_a_table_of_lists_names_what_the_interactions_name(tmp_path):
    path = tmp_path / "interactions.parquet"
    frame = pd.DataFrame({"item": ["b", "a", "b", "c"], "item_index": np.array([2, 1, 2, 3], np.int32)})
    frame.to_parquet(path)
    assert item_names(path, 3).to_pylist() == ["a", "b", "c"]
    users = np.array(["x", "y"])
    sequences = Sequences(np.array([2, 1, 2, 3, 1, 2], np.int32), np.array([0, 3, 6]), users, np.arange(-1, 3))
    table = top_table(sequences, np.array([[3, 1], [2, 0]], np.int32), path)
    assert table.schema.field("items").type == pa.list_(pa.string())
    assert table.to_pydict() == {"user": ["x", "y"], "items": [["c", "a"], ["b"]]}
