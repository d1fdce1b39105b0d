"""What is recommended is what the run's own ranks say, and the towers' weights are those that the fusion applied."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from sanrec import artifacts
from sanrec.data.interactions import load_sequences
from sanrec.errors import DataError, DivergenceError, SanrecError
from sanrec.load import load_config
from sanrec.models.missing import unmasked
from sanrec.serving import catalogue
from sanrec.serving import recommend as module
from sanrec.serving.recommend import recommend
from sanrec.serving.views import to_table
from sanrec.training.loop import encode_items
from sanrec.training.restore import restore
from sanrec.training.run import STATE_FILE, train_run
from sanrec.training.towers import fused_towers, weighed_items, why_no_weights
from sanrec.versions import STEPS
from tests.training.conftest import CONFIG

WITHOUT_TITLE, WITHOUT_COVER = 3, 5  # rows, as the folder's maker has it


def trained(place, model, inputs, variant=None, dataset="shop"):
    run = artifacts.run(place.config, dataset, model, inputs, {"max_epochs": 1, **(variant or {})})
    train_run(place.config, run)
    return run


def ranks_of(run):
    table = pd.read_parquet(run.ranks)
    return table[table["split"] == "test"]


@pytest.mark.parametrize(("model", "inputs"), [("crossan", "TI"), ("iisan", "TI"), ("sasrec", "ID"), ("mf", "ID")])
def test_the_lists_are_those_that_the_runs_ranks_come_from(shop, model, inputs):
    run = trained(shop, model, inputs)
    sequences = load_sequences(artifacts.interactions("shop"))
    found = recommend(shop.config, run, sequences.users.tolist(), k=6)
    assert [one.person.user for one in found.people] == sequences.users.tolist()
    assert [one.ranks.tolist() for one in found.people] == [[rank] for rank in ranks_of(run)["rank"]]
    places = Counter()
    for user, one in enumerate(found.people):
        taken = sequences.items[sequences.offsets[user] : sequences.offsets[user + 1]]
        assert one.person.history.tolist() == taken[:-1].tolist()
        assert one.person.truth.tolist() == [taken[-1]]
        assert len(set(one.items)) == 6
        assert not set(one.items) & set(one.person.history)
        assert (np.diff(one.scores) <= 0).all()
        rank = int(one.ranks[0])
        assert [place for place, item in enumerate(one.items, 1) if item == taken[-1]] == [rank] * (1 <= rank <= 6)
        places[rank] += 1
    assert len(places) > 3  # else the lists could be anything


def test_all_that_are_left_are_recommended_where_more_are_asked_for(shop):
    run = trained(shop, "sasrec", "ID")
    one = recommend(shop.config, run, ["u3"], k=1000).people[0]
    assert sorted([*one.items, *set(one.person.history)]) == list(range(1, 25))
    assert np.isfinite(one.scores).all()


def test_a_given_split_has_any_number_of_held_out_items(clips):
    run = trained(clips, "lightgcn", "ID", dataset="clips")
    sequences = load_sequences(artifacts.interactions("clips"))
    found = recommend(clips.config, run, sequences.users.tolist(), k=24)
    expected = ranks_of(run).groupby("user")["rank"].apply(list)
    assert {len(one.ranks) for one in found.people} == {0, 1, 2}
    for one in found.people:
        assert one.ranks.tolist() == expected.get(one.person.user, [])
        places = {item: place for place, item in enumerate(one.items, 1)}
        assert [places[item] for item in one.person.truth] == one.ranks.tolist()
    assert found.reads is None


@pytest.mark.parametrize(("model", "inputs"), [("crossan", "TI"), ("gru4rec", "ID")])
def test_a_history_is_recommended_to_as_the_user_who_has_it(shop, model, inputs):
    run = trained(shop, model, inputs)
    for user in ("u2", "u5"):  # of six and of ten items
        known = recommend(shop.config, run, [user], k=5)
        ids = [known.catalogue.ids[item - 1] for item in known.people[0].person.history]
        stranger = recommend(shop.config, run, history=ids, k=5).people[0]
        assert stranger.items.tolist() == known.people[0].items.tolist()
        np.testing.assert_array_equal(stranger.scores, known.people[0].scores)
        assert stranger.person.user is None
        assert len(stranger.person.truth) == len(stranger.ranks) == 0


def test_of_a_long_history_the_last_items_are_read_and_all_are_masked(shop):
    run = trained(shop, "sasrec", "ID")
    long = [f"a{n}" for n in range(15)]
    whole, last = (recommend(shop.config, run, history=items, k=24).people[0] for items in (long, long[-10:]))
    assert len(whole.items) == 24 - 15
    assert len(last.items) == 24 - 10
    assert [item for item in last.items if item in whole.items] == whole.items.tolist()


def test_methods_on_pairs_say_why_they_take_no_history(shop):
    run = artifacts.run(shop.config, "shop", "mf", "ID", {"max_epochs": 1}, seed=9)  # before anything is read
    with pytest.raises(SanrecError, match=r"MF-BPR learns a vector of each user .* reads histories: crossan, indsan"):
        recommend(shop.config, run, history=["a1"])


def test_unknown_ids_are_refused_with_those_that_are_near(shop, by_hand):
    run = trained(shop, "sasrec", "ID")
    with pytest.raises(DataError, match=r"no user 'u333': did you mean 'u3\d?' or .* \(it has 40"):
        recommend(shop.config, run, ["u3", "u333"])
    with pytest.raises(DataError, match=r"data set 'shop': no item 'a99': did you mean 'a9' or"):
        recommend(shop.config, run, history=["a1", "a99"])
    with pytest.raises(DataError, match=r"no item '\?'$"):
        recommend(shop.config, run, history=["?"])
    with pytest.raises(DataError, match="item 'i9' is in its corpus, but in no interaction that the data set kept"):
        by_hand.found.catalogue.numbers(["i1", "i9"])
    with pytest.raises(DataError, match=r"no item 'q1', 'q2', 'q3' and 2 more"):
        by_hand.found.catalogue.numbers([f"q{n}" for n in range(1, 6)])


def test_a_run_that_is_not_finished_says_what_makes_it(shop):
    run = artifacts.run(shop.config, "shop", "sasrec", "ID", {"max_epochs": 1}, seed=5)
    with pytest.raises(DataError, match=r"safetensors: no such file. Train it: snakemake results/shop/runs/sasrec"):
        recommend(shop.config, run, ["u1"])
    Path(run.folder).mkdir(parents=True)
    (Path(run.folder) / STATE_FILE).touch()
    with pytest.raises(DataError, match="no such file: its training has begun and is not finished"):
        recommend(shop.config, run, ["u1"])


def test_a_run_of_another_version_says_so(shop, monkeypatch):
    run, then = trained(shop, "sasrec", "ID", {"dropout": 0.2}), STEPS["train"]
    monkeypatch.setitem(STEPS, "train", 99)
    with pytest.raises(DataError, match=f"trained by version {then} of the training step, which has number 99 now"):
        recommend(shop.config, run, ["u1"])


def test_a_table_of_items_that_was_made_anew_is_refused(shop, monkeypatch):
    run = trained(shop, "sasrec", "ID")
    true = catalogue.read_items

    def turned(path):
        table = true(path)
        return table.take(pa.array(range(table.num_rows - 1, -1, -1)))

    monkeypatch.setattr(catalogue, "read_items", turned)
    with pytest.raises(DataError, match=r"items.parquet: its items are not those that .*interactions.parquet was made"):
        recommend(shop.config, run, ["u1"])


def test_scores_that_are_no_numbers_are_refused(shop, monkeypatch):
    run = trained(shop, "sasrec", "ID")
    true = module.score
    monkeypatch.setattr(module, "score", lambda *given: (true(*given)[0] * torch.nan, None))
    with pytest.raises(DivergenceError):
        recommend(shop.config, run, history=["a1"])


def vectors_of_towers(shop, run):
    """The model, what its fusion is given [K, I, E], and which towers each item has [K, I]; by hand."""
    training = restore(shop.config, run, load_sequences(artifacts.interactions("shop"))).training
    encoder = training.model.eval().item_encoder
    with torch.no_grad():
        inputs = training.source.gather(torch.arange(1, 25))
        e_KIE = encoder.heads(encoder.towers(inputs))
    present = unmasked(inputs)[1]
    return training, e_KIE, present if present is None else getattr(encoder, "present", lambda p: p)(present)


@pytest.mark.parametrize("model", ["crossan", "iisan"])
@pytest.mark.parametrize("top_k", [1, 2])
def test_momefs_weights_are_the_softmax_over_its_best_towers(shop, model, top_k):
    run = trained(shop, model, "TI", {"fusion": "momef", "top_k": top_k})
    found = recommend(shop.config, run, ["u1"])
    training, e_KIE, present_KI = vectors_of_towers(shop, run)
    gate = training.model.item_encoder.fusion.gate
    whole = present_KI.all(0).numpy()
    scores_IK = (e_KIE.transpose(0, 1).flatten(1) @ gate.weight.T + gate.bias).detach().numpy()[whole]
    expected = np.zeros_like(scores_IK)
    for row, scores in zip(expected, scores_IK, strict=True):
        best = np.argsort(-scores)[:top_k]
        row[best] = np.exp(scores[best]) / np.exp(scores[best]).sum()
    np.testing.assert_allclose(found.weights[whole], expected, atol=1e-5)
    np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-6)
    assert ((found.weights > 0).sum(1) <= top_k).all()
    assert found.towers == (("title", "cover") if model == "crossan" else ("title", "cover", "inter-modal"))
    rows = load_sequences(artifacts.interactions("shop")).item_rows[1:]
    assert found.weights[rows == WITHOUT_TITLE, 0] == found.weights[rows == WITHOUT_COVER, 1] == 0
    assert found.why_no_weights == ""


def test_a_static_gate_weighs_alike_but_where_a_medium_is_missing(shop):
    run = trained(shop, "crossan", "TI", {"fusion": "static", "learning_rate": 0.05})
    found = recommend(shop.config, run, ["u1"])
    training, _, present_KI = vectors_of_towers(shop, run)
    gates = training.model.item_encoder.fusion.logits.softmax(-1).detach().numpy()
    assert abs(gates[0] - gates[1]) > 1e-3
    np.testing.assert_allclose(found.weights[present_KI.all(0).numpy()], np.tile(gates, (22, 1)), rtol=1e-6)
    rows = load_sequences(artifacts.interactions("shop")).item_rows[1:]
    assert found.weights[rows == WITHOUT_TITLE].tolist() == [[0, 1]]
    assert found.weights[rows == WITHOUT_COVER].tolist() == [[1, 0]]


def test_noting_weights_changes_no_vector_and_leaves_nothing_behind(shop):
    run = trained(shop, "crossan", "TI")
    training = restore(shop.config, run, load_sequences(artifacts.interactions("shop"))).training
    training.source.at_once = 7
    noted, weights = weighed_items(training.model, training.source, run, training.device)
    plain = encode_items(training.model, training.source, run.settings, training.device)
    assert torch.equal(noted, plain)
    assert weights.shape == (24, 2)
    assert not training.model.item_encoder.fusion._forward_pre_hooks


@pytest.mark.parametrize(
    ("model", "inputs", "variant", "why"),
    [
        ("crossan", "TI", {"fusion": "concat"}, "fusion=concat reads all towers through one linear map"),
        ("lora", "TI", {}, "LoRA has no towers"),
        ("sasrec", "ID", {}, "SASRec has no towers"),
        ("sasrec", "ID+I", {}, "SASRec has no towers"),
    ],
)
def test_runs_whose_towers_have_no_weights_say_why(shop, model, inputs, variant, why):
    run = trained(shop, model, inputs, variant)
    found = recommend(shop.config, run, ["u1"])
    assert found.weights is None
    assert found.towers == ()
    assert found.shares(1) is None
    assert found.why_no_weights.startswith(why)


OWN = """
import torch
from torch import nn

from sanrec.models.fusion import StaticGate


class Gated(nn.Module):
    def __init__(self, shape, settings):
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, settings.recommender_width) for width in shape.widths * 2)
        self.fusion = StaticGate(len(self.heads), settings.recommender_width)

    def forward(self, finals):
        return self.fusion(torch.stack([head(x) for head, x in zip(self.heads, [*finals, *finals])]))
"""


def test_a_run_of_an_encoder_of_ones_own_recommends_like_any_other(shop):
    Path("gated.py").write_text(OWN)
    method = {"title": "Gated", "code": "gated.py:Gated", "settings": ["fusion"]}
    shop.config = load_config(CONFIG | {"methods": {"gated": method}})
    run = trained(shop, "gated", "TI")
    found = recommend(shop.config, run, ["u3"], k=6)
    assert len(found.people[0].items) == 6
    assert (found.weights, found.towers) == (None, ())
    assert found.why_no_weights.startswith("Gated is an encoder of one's own, whose towers are not known here")
    assert found.why_no_weights in to_table(found)
    assert fused_towers(run) == ["title", "cover"]


def test_towers_that_ablations_leave_out_have_no_name(shop):
    named = {
        name: fused_towers(artifacts.run(shop.config, "shop", "iisan", "TI", {"fusion": "momef", name: False}))
        for name in ("intra", "inter")
    }
    assert named == {"intra": ["inter-modal"], "inter": ["title", "cover"]}
    assert why_no_weights(artifacts.run(shop.config, "shop", "crossan", "TI", {"fusion": "dynamic"})) == ""
