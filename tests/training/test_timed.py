"""Runs on a split by time: every kind of method ranks the very targets, and nothing later than the cut trains."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from sanrec import artifacts
from sanrec.backbones.extract import extract
from sanrec.data.interactions import load_sequences
from sanrec.data.prepare import prepare_corpus, prepare_dataset
from sanrec.load import load_config
from sanrec.reporting.cold_start import target_counts
from sanrec.reporting.results import read_aligned_ranks
from sanrec.training.loop import encode_histories, encode_items
from sanrec.training.run import train_run
from sanrec.training.sequences import SequenceTraining, training_windows

VALUES = {
    "corpora": {"clips": {"title": "Clips", "layout": "inter", "folder": "raw", "item_count": 24}},
    "datasets": {
        "clips": {
            "title": "Clips",
            "corpus": "clips",
            "pairs": "clips.inter",
            "split": "time",
            "periods": {"validation_from": 60, "test_from": 80},
            "min_interactions": 2,
            "backbones": {"video": "looks"},
            "settings": {"all": {"max_epochs": 3, "patience": 3, "batch_size": 16, "recommender_width": 8}},
        }
    },
    "backbones": {"looks": {"modality": "video", "source": "features", "checkpoint": "looks.npy", "width": 4}},
}


def world(targets):
    values = VALUES["datasets"]["clips"]
    periods = values["periods"] | {"targets": targets}
    config = load_config(VALUES | {"datasets": {"clips": values | {"periods": periods}}})
    prepare_corpus(config, "clips", artifacts.items("clips"))
    outputs = artifacts.interactions("clips"), artifacts.statistics("clips")
    prepare_dataset(config, "clips", artifacts.items("clips"), *outputs)
    extract(config, "clips", "video", "looks")
    return config


@pytest.fixture
def raw(tmp_path, monkeypatch) -> SimpleNamespace:
    """A working folder, entered, with 40 users over 100 days; items 20 to 23 are new after the cut."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    rows = []
    for user in range(40):
        for day in np.sort(rng.integers(0, 100, 3 + user % 9)):
            rows.append((f"u{user}", int(rng.integers(0, 24 if day >= 60 else 20)), int(day)))
    Path("raw").mkdir()
    lines = "".join(f"{u}\t{i}\t{t}\n" for u, i, t in rows)
    Path("raw/clips.inter").write_text("userID\titemID\ttimestamp\n" + lines)
    np.save("looks.npy", rng.normal(size=(24, 4)))
    return SimpleNamespace(rows=rows)


@pytest.mark.parametrize("targets", ["last", "first", "all"])
@pytest.mark.parametrize(("model", "inputs"), [("sasrec", "ID"), ("frozen", "V"), ("lightgcn", "ID"), ("bm3", "ID+V")])
def test_each_kind_of_method_ranks_the_targets(raw, model, inputs, targets):
    config = world(targets)
    run = artifacts.run(config, "clips", model, inputs)
    metrics = train_run(config, run)
    ranks = pd.read_parquet(run.ranks)
    table = pd.read_parquet(artifacts.interactions("clips"))
    for split in ("validation", "test"):
        held, found = table[table["split"] == split], ranks[ranks["split"] == split]
        assert found["user"].tolist() == held["user"].tolist()
        assert found["target"].tolist() == held["item"].tolist()
        assert metrics[split]["users"] == held["user"].nunique() > 0
    assert set(ranks["rank"]) <= set(range(25))
    aligned = read_aligned_ranks([run.folder])
    counts = target_counts(artifacts.interactions("clips"), aligned)  # what the table of cold start goes by
    assert (counts == 0).any()
    warm = table.loc[table["split"] == "train", "item"].value_counts()
    wanted = table.loc[table["split"] == "test", "item"]
    assert counts.tolist() == [int(warm.get(item, 0)) for item in wanted]


@pytest.mark.parametrize("targets", ["last", "first", "all"])
def test_ranks_of_a_sequence_method_against_a_slow_version(raw, targets):
    config = world(targets)
    run, cpu = artifacts.run(config, "clips", "sasrec", "ID+V"), torch.device("cpu")
    data = load_sequences(artifacts.interactions("clips"))
    training = SequenceTraining(config, run, data, cpu)
    vectors = encode_items(training.model, training.source, run.settings, cpu)
    for split in ("validation", "test"):
        expected = []
        for user in range(data.user_count):
            one = np.array([user])
            wanted, past = data.targets(split, one)[0], data.history(split, one)[0]
            if not len(wanted):
                continue
            window = np.zeros((1, 10), np.int32)
            window[0, 10 - len(past[-10:]) :] = past[-10:]
            state = encode_histories(training.model, vectors, window, run.settings, cpu)[0]
            scores = (vectors @ state)[1:].numpy().copy()
            scores[past - 1] = -np.inf
            taken = [scores[item - 1] for item in wanted]
            expected += [0 if own == -np.inf else int((scores >= own).sum()) for own in taken]
        assert training.rank(split).tolist() == expected


def test_nothing_later_than_the_cut_trains(raw):
    world("last")
    data = load_sequences(artifacts.interactions("clips"))
    early = {(u, i) for u, i, t in raw.rows if t < 60}
    windows = training_windows(data)
    pairs = {item for _, item in early}
    assert set(data.item_rows[windows[windows > 0]]) <= pairs
    by_user = {u: [i for v, i, t in raw.rows if v == u and t < 60] for u in data.users}
    for user, name in enumerate(data.users):
        window = data.training(np.array([user]))[0]
        assert data.item_rows[window[window > 0]].tolist() == by_user[name][-11:]
