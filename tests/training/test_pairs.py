"""Training on pairs: it learns, resumes to the same bits, leaves the layout of every run, and its ranks are right."""

import copy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sanrec import artifacts
from sanrec.data.interactions import load_sequences
from sanrec.data.split import Sequences
from sanrec.errors import ConfigError, DivergenceError
from sanrec.evaluation.metrics import METRICS, RECALLS, metrics_from_ranks
from sanrec.load import load_config
from sanrec.models.pairs.base import PairModel
from sanrec.training import pairs
from sanrec.training.negatives import Negatives
from sanrec.training.pairs import PairTraining, owners, rank_pairs, train_epoch, training_pairs
from sanrec.training.run import OUTPUTS, STATE_FILE, train_run
from sanrec.versions import STEPS

CPU = torch.device("cpu")


def run(clips, model="mf", inputs="ID", variant="default", seed=0):
    return artifacts.run(clips.config, "clips", model, inputs, variant, seed)


def training(clips, **what):
    this = run(clips, **what)
    return PairTraining(clips.config, this, load_sequences(artifacts.interactions("clips")), CPU)


def test_a_run_leaves_the_files_of_every_run(clips):
    this = run(clips, "lightgcn")
    metrics = train_run(clips.config, this)
    folder = Path(this.folder)
    assert {path.name for path in folder.iterdir()} == set(OUTPUTS)
    assert set(metrics["test"]) == {*METRICS, *RECALLS, "users"}
    history = pd.read_csv(folder / "history.csv")
    assert metrics["validation"]["Recall@20"] == history["Recall@20"].max()
    assert metrics["best_epoch"] == history["Recall@20"].idxmax() + 1
    assert metrics["trainable_parameters"] == (40 + 24) * 8
    assert metrics["settings"].keys() == set(artifacts.recorded_settings(this))
    ranks = pd.read_parquet(folder / "ranks.parquet")
    raw = pd.read_csv("raw/clips.inter", sep="\t", dtype=str)
    for split, label in (("validation", "1"), ("test", "2")):
        some = ranks[ranks["split"] == split]
        expected = raw[raw["x_label"] == label]
        assert some[["user", "target"]].to_numpy().tolist() == expected[["userID", "itemID"]].to_numpy().tolist()
        of = some["user"].factorize()[0]
        assert metrics[split]["users"] == of.max() + 1
        assert metrics_from_ranks(some["rank"].to_numpy(), of) == pytest.approx(
            {name: metrics[split][name] for name in (*METRICS, *RECALLS)}
        )
    assert train_run(clips.config, this) == metrics  # finished: nothing is trained again


@pytest.mark.parametrize(("model", "inputs"), [("mf", "ID"), ("lightgcn", "ID"), ("bm3", "ID+V"), ("mgcn", "ID+V")])
def test_it_learns_which_items_go_together(clips, model, inputs):
    variant = {"max_epochs": 40, "patience": 40, "learning_rate": 0.02}
    task = training(clips, model=model, inputs=inputs, variant=variant)
    best = task.fit(None, "").best_score
    assert best > 0.95  # chance is .87: 18 items that a user does not have, and 20 places
    ranks = metrics_from_ranks(task.rank("test"), owners(task.sequences, "test"))
    assert ranks["Recall@10"] > 0.8  # chance: about a half


def test_same_seed_same_bits_and_another_seed_others(clips):
    weights = [training(clips, seed=seed).fit(None, "").best_weights for seed in (0, 0, 1)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(weights[0]["users"], weights[2]["users"])


@pytest.mark.parametrize(("model", "inputs"), [("lightgcn", "ID"), ("freedom", "ID+V")])  # freedom draws edges anew
def test_a_killed_run_goes_on_and_ends_with_the_same_bits(clips, model, inputs, monkeypatch):
    monkeypatch.setattr(pairs, "SAVE_SECONDS", 0.0)
    whole = training(clips, model=model, inputs=inputs).fit(None, "")
    state = clips.folder / STATE_FILE

    def kill(progress):
        if len(progress.epochs) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training(clips, model=model, inputs=inputs).fit(state, "same", kill)
    done = []
    resumed = training(clips, model=model, inputs=inputs).fit(state, "same", lambda p: done.append(len(p.epochs)))
    assert done == [3, 4]
    assert [e["loss"] for e in resumed.epochs] == [e["loss"] for e in whole.epochs]
    assert all(torch.equal(resumed.best_weights[name], whole.best_weights[name]) for name in whole.best_weights)


def test_state_is_not_written_more_often_than_it_pays(clips):
    training(clips).fit(clips.folder / STATE_FILE, "same")
    assert not (clips.folder / STATE_FILE).exists()


def test_fitting_never_looks_at_the_test_split(clips, monkeypatch):
    asked = []
    targets = Sequences.targets
    monkeypatch.setattr(
        Sequences, "targets", lambda self, split, *more: asked.append(split) or targets(self, split, *more)
    )
    training(clips).fit(None, "")
    assert set(asked) == {"validation"}


def test_a_loss_that_is_no_number_stops_the_run(clips):
    with pytest.raises(DivergenceError, match="smaller learning rate"):
        training(clips, variant={"learning_rate": 1e30}).fit(None, "")


class Listener(PairModel):
    """Keeps what it is shown, and learns nothing."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen, self.epochs = [], 0

    def start_epoch(self):
        self.epochs += 1

    def loss(self, users_B, positives_B, negatives_B):
        self.seen.append(torch.stack([users_B, positives_B, negatives_B], 1))
        return self.weight.sum()

    def score(self, users_B):
        raise AssertionError("an epoch scores nobody")


def test_an_epoch_shows_every_interaction_once_with_an_item_the_user_does_not_have(clips):
    sequences = load_sequences(artifacts.interactions("clips"))
    user_N, item_N = training_pairs(sequences)
    taken = set(zip(user_N.tolist(), item_N.tolist(), strict=True))
    negatives = Negatives(user_N, item_N, sequences.user_count, sequences.item_count)
    settings = run(clips).settings
    shown = []
    for epoch in (1, 2, 1):
        model = Listener()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        train_epoch(model, user_N, item_N, negatives, optimizer, settings, 0, epoch, CPU)
        assert model.epochs == 1
        assert [len(batch) for batch in model.seen] == [64, 64, 64, 48]
        triples = torch.cat(model.seen).tolist()
        assert sorted((u, i) for u, i, _ in triples) == sorted(taken)
        assert not {(u, n) for u, _, n in triples} & taken
        shown.append(triples)
    assert shown[0] == shown[2] != shown[1]


class Known(PairModel):
    """Scores that are given."""

    def __init__(self, scores_UI):
        super().__init__()
        self.scores_UI = scores_UI

    def loss(self, users_B, positives_B, negatives_B):
        raise AssertionError("ranking trains nothing")

    def score(self, users_B):
        return self.scores_UI[users_B].clone()


def test_ranks_mask_what_the_user_had_before_and_nothing_else(clips):
    sequences = load_sequences(artifacts.interactions("clips"))
    scores = torch.randn(40, 24, generator=torch.Generator().manual_seed(1))
    for split in ("validation", "test"):
        found = rank_pairs(Known(scores), sequences, split, CPU).tolist()
        (held, offsets), (seen, begins) = sequences.targets(split), sequences.history(split)
        expected = []
        for user, ((a, b), (c, d)) in enumerate(zip(pairwise(offsets), pairwise(begins), strict=True)):
            left = [i for i in range(1, 25) if i not in seen[c:d]]
            order = sorted(left, key=lambda item: -scores[user, item - 1])
            expected += [order.index(item) + 1 for item in held[a:b]]
        assert found == expected


def test_leave_one_out_data_sets_take_them_too(clips):
    values = copy.deepcopy(clips.values)
    data = values["datasets"]["clips"]
    values["datasets"]["ordered"] = {**data, "split": "leave-one-out", "min_interactions": 3}
    config = load_config(values)
    from sanrec.data.prepare import prepare_dataset

    outputs = artifacts.interactions("ordered"), artifacts.statistics("ordered")
    prepare_dataset(config, "ordered", artifacts.items("clips"), *outputs)
    this = artifacts.run(config, "ordered", "bm3", "ID+V")
    metrics = train_run(config, this)
    assert set(metrics["test"]) == {*METRICS, "users"}
    ranks = pd.read_parquet(Path(this.folder) / "ranks.parquet")
    assert list(ranks.columns) == ["user", "split", "rank"]
    assert len(ranks) == 2 * 40
    history = pd.read_csv(Path(this.folder) / "history.csv")
    assert metrics["best_epoch"] == history["HR@10"].idxmax() + 1


def test_a_finished_run_of_an_older_version_is_trained_anew_and_says_so(clips, caplog):
    this = run(clips)
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setitem(STEPS, "train", STEPS["train"] - 1)
        old = train_run(clips.config, this)
    new = train_run(clips.config, this)
    assert new["step_version"] == old["step_version"] + 1
    assert f"{this.folder}: this run was made by version {old['step_version']} of the training step" in caplog.text
    assert "trained anew" in caplog.text


def test_sequence_methods_are_refused_on_a_given_split(clips):
    with pytest.raises(ConfigError, match="SASRec reads what a user took in its order"):
        run(clips, "sasrec")


def test_the_watched_metric_is_a_choice(clips):
    values = copy.deepcopy(clips.values)
    values["datasets"]["clips"]["watched_metric"] = "NDCG@5"
    this = run(clips)
    metrics = train_run(load_config(values), this)
    history = pd.read_csv(Path(this.folder) / "history.csv")
    assert metrics["best_epoch"] == history["NDCG@5"].idxmax() + 1
    assert np.isclose(metrics["validation"]["NDCG@5"], history["NDCG@5"].max())
    again = train_run(clips.config, this)  # the other metric: another run
    assert again["config_hash"] != metrics["config_hash"]
