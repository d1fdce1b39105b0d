"""The loop: it learns, stops, resumes to the same bits, and encodes what it is asked for."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from sanrec.config import Settings
from sanrec.errors import SanrecError
from sanrec.evaluation.metrics import metrics_from_ranks
from sanrec.evaluation.ranking import rank_targets
from sanrec.models.registry import Recommender, Shape
from sanrec.training.batches import make_batch
from sanrec.training.checkpoint import Progress, load_progress, load_weights, save_progress, trained_weights
from sanrec.training.loop import asked_for, encode_histories, encode_items, fit, stopped, training_loss
from sanrec.training.sources import HiddenSource, IdSource
from sanrec.versions import STEPS

CPU = torch.device("cpu")
ITEMS, USERS = 30, 60
SETTINGS = Settings(
    adapter_width=8, recommender_width=16, batch_size=16, max_epochs=6, patience=3,
    learning_rate=5e-3, adapter_learning_rate=5e-3,
)  # fmt: skip


def chain_sequences(items=ITEMS):
    """Users walk along a ring of items: the next item is known from the last one."""
    starts = np.random.default_rng(0).integers(0, items, USERS)
    return (starts[:, None] + np.arange(12)) % items + 1


FROZEN_LOSSES = {
    "crossan": [4.5906, 4.4949, 4.5298],
    "indsan": [4.6186, 4.5019, 4.5152],
    "iisan": [4.5569, 4.1693, 3.666],
    "iisan-e": [4.5596, 4.1744, 3.6793],
}


def build(seed=0, model="crossan", beside=False, **changes):
    torch.manual_seed(seed)
    source = HiddenSource(torch.randn(3, 2, ITEMS, 12, generator=torch.Generator().manual_seed(7)).half())
    settings = SETTINGS.model_copy(update=changes)
    shape = Shape(("text", "image"), (12, 12), 3, items=ITEMS if beside else 0, beside=beside)
    return Recommender(model, shape, settings), IdSource(ITEMS, source) if beside else source, settings


@pytest.mark.parametrize(("model", "beside"), [*((model, False) for model in FROZEN_LOSSES), ("crossan", True)])
def test_nothing_comes_of_the_items_that_fill_a_batch_up(model, beside, monkeypatch):
    made, source, _ = build(model=model, beside=beside)
    batch, log_p = make_batch(chain_sequences()[:7, :11]), torch.randn(ITEMS + 1)
    found = []
    for together in (1, 16):
        monkeypatch.setattr(made.item_encoder, "together", together)
        asked = asked_for(made, batch.items)
        assert torch.equal(asked[: len(batch.items)], batch.items)
        assert len(asked) % together == 0
        assert len(asked) < len(batch.items) + together
        made.zero_grad()
        made.eval()  # without dropout
        loss = training_loss(made, source, batch, log_p)
        loss.backward()
        found.append((loss.detach(), [p.grad.clone() for p in made.parameters() if p.grad is not None]))
    assert len(batch.items) % 16
    (loss, gradients), (same, others) = found
    torch.testing.assert_close(loss, same)
    assert len(gradients) == len(others) > 10
    for one, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def train(folder, seed=0, stop_after=None, met=ITEMS, **changes):
    """Train on a ring of the first `met` items; with `beside` each item has a vector of its own."""
    model, source, settings = build(seed, **changes)
    sequences = chain_sequences(met)
    calls = []

    def validate():
        if stop_after is not None and len(calls) == stop_after:
            raise KeyboardInterrupt
        calls.append(1)
        items = encode_items(model, source, settings, CPU)
        states = encode_histories(model, items, sequences[:, :10], settings, CPU)
        history = torch.from_numpy(sequences[:, :10])
        return metrics_from_ranks(rank_targets(states, items, torch.from_numpy(sequences[:, 10]), history).numpy())

    log_p = np.full(ITEMS + 1, -np.log(ITEMS), dtype=np.float32)
    state = folder / "state.safetensors"
    return fit(model, source, sequences[:, :11], log_p, validate, settings, seed, CPU, state, "same"), len(calls)


def test_it_learns_the_chain(tmp_path):
    progress, _ = train(tmp_path, max_epochs=25, patience=25)
    losses = [epoch["loss"] for epoch in progress.epochs]
    assert losses[-1] < 0.7 * losses[0]
    assert progress.best_score > 0.8


def test_same_seed_same_bits_and_another_seed_others(tmp_path):
    runs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        runs.append(train(tmp_path / name, seed)[0])
    assert [e["loss"] for e in runs[0].epochs] == [e["loss"] for e in runs[1].epochs]
    assert all(torch.equal(runs[0].best_weights[n], runs[1].best_weights[n]) for n in runs[0].best_weights)
    assert [e["loss"] for e in runs[0].epochs] != [e["loss"] for e in runs[2].epochs]


MODERN = {"weight_averaging": 0.9, "cosine_temperature": 0.07, "beside": True}


@pytest.mark.parametrize("changes", [{}, {"weight_averaging": 0.9}, MODERN])
def test_a_killed_run_goes_on_and_ends_with_the_same_bits(tmp_path, changes):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole, _ = train(tmp_path / "whole", **changes)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", stop_after=3, **changes)
    resumed, epochs_done_again = train(tmp_path / "killed", **changes)
    assert epochs_done_again == len(whole.epochs) - 3
    assert [e["loss"] for e in resumed.epochs] == [e["loss"] for e in whole.epochs]
    assert resumed.best_epoch == whole.best_epoch
    assert all(torch.equal(whole.best_weights[n], resumed.best_weights[n]) for n in whole.best_weights)


def test_an_item_that_training_never_meets_keeps_a_vector_of_zeros(tmp_path):
    progress, _ = train(tmp_path, met=ITEMS - 7, **MODERN)
    moved = progress.best_weights["item_ids.weight"].ne(0).any(1)
    assert moved[1 : ITEMS - 6].all()
    assert not moved[ITEMS - 6 :].any()
    assert not moved[0]


def test_what_is_scored_and_kept_are_the_averages(tmp_path):
    (tmp_path / "plain").mkdir()
    plain, _ = train(tmp_path / "plain")
    averaged, _ = train(tmp_path, weight_averaging=0.9)
    # the same steps are taken
    assert [e["loss"] for e in averaged.epochs] == [e["loss"] for e in plain.epochs][: len(averaged.epochs)]
    assert [e["HR@10"] for e in averaged.epochs] != [e["HR@10"] for e in plain.epochs][: len(averaged.epochs)]
    assert not all(torch.equal(averaged.best_weights[n], plain.best_weights[n]) for n in plain.best_weights)


def test_scores_are_cosines_over_the_temperature():
    model, source, settings = build(cosine_temperature=0.05)
    plain = build()[0]
    plain.load_state_dict(model.state_dict())
    histories = chain_sequences()[:, :10].astype(np.int32)
    items = encode_items(model, source, settings, CPU)
    states = encode_histories(model, items, histories, settings, CPU)
    own = functional.normalize(encode_items(plain, source, settings, CPU), dim=-1)
    torch.testing.assert_close(items, own / 0.05**0.5)
    assert not items[0].any()
    raw = plain.encode_users(items[histories.astype(np.int64)], torch.ones(len(histories), 10, dtype=torch.bool))[:, -1]
    cosines = functional.cosine_similarity(raw[:, None], own[None, 1:], dim=-1)
    torch.testing.assert_close(states @ items[1:].T, cosines / 0.05, rtol=1e-4, atol=1e-4)


def test_state_of_another_run_or_a_broken_file_is_not_used(tmp_path):
    model, _, settings = build()
    optimizer = torch.optim.Adam(model.parameter_groups(settings))
    path = tmp_path / "state.safetensors"
    save_progress(path, model, optimizer, Progress(epochs=[{"epoch": 1, "loss": 1.0}]), "one")
    assert load_progress(path, model, optimizer, "one").epochs == [{"epoch": 1, "loss": 1.0}]
    assert load_progress(path, model, optimizer, "another") is None
    path.write_bytes(path.read_bytes()[:100])
    assert load_progress(path, model, optimizer, "one") is None


def test_an_unfinished_run_of_another_version_is_not_taken_up_and_says_so(tmp_path, monkeypatch, caplog):
    model, _, settings = build()
    optimizer = torch.optim.Adam(model.parameter_groups(settings))
    path = tmp_path / "state.safetensors"
    monkeypatch.setitem(STEPS, "train", 1)
    save_progress(path, model, optimizer, Progress(), "digest of version 1")
    monkeypatch.setitem(STEPS, "train", 2)
    assert load_progress(path, model, optimizer, "digest of version 2") is None
    assert f"{path}: an unfinished run" in caplog.text
    assert "another version of the training step (1; here 2)" in caplog.text
    caplog.clear()
    save_progress(path, model, optimizer, Progress(), "digest of version 2")
    assert load_progress(path, model, optimizer, "other settings") is None
    assert "other settings or inputs" in caplog.text
    assert load_progress(path, model, optimizer, "digest of version 2") is not None


def test_patience_counts_epochs_since_the_best():
    settings = Settings(patience=3, max_epochs=10)
    epoch = {"epoch": 1, "loss": 1.0}
    assert not stopped(Progress(epochs=[epoch] * 4, best_epoch=2), settings)
    assert stopped(Progress(epochs=[epoch] * 5, best_epoch=2), settings)
    assert stopped(Progress(epochs=[epoch] * 10, best_epoch=9), settings)


def test_weights_of_another_shape_are_refused():
    model, _, _ = build()
    weights = trained_weights(model)
    name = next(iter(weights))
    with pytest.raises(ValueError, match="shape"):
        load_weights(model, {**weights, name: torch.zeros(1)})
    with pytest.raises(ValueError, match="do not fit"):
        load_weights(model, {n: w for n, w in weights.items() if n != name})


def test_item_vectors_are_those_of_one_pass_with_padding_first():
    model, source, settings = build()
    whole = encode_items(model, source, settings, CPU)
    source.at_once = 7
    torch.testing.assert_close(encode_items(model, source, settings, CPU), whole)
    assert whole.shape == (ITEMS + 1, 16)
    assert not whole[0].any()


def test_learning_rates_go_to_the_published_groups():
    model, _, settings = build(learning_rate=1e-2, adapter_learning_rate=1e-3)
    rest, slow = model.parameter_groups(settings)
    rates = {id(p): g["lr"] for g in (rest, slow) for p in g["params"]}
    named = dict(model.named_parameters())
    assert len(rates) == len(named)
    assert rates[id(named["item_encoder.adapters.0.down.weight"])] == 1e-3
    assert rates[id(named["item_encoder.gates.logits.0"])] == 1e-2  # text
    assert rates[id(named["item_encoder.gates.logits.1"])] == 1e-3  # image
    assert rates[id(named["item_encoder.heads.inner.weight"])] == 1e-2


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    with pytest.raises(SanrecError, match="smaller learning rate"):
        train(tmp_path, learning_rate=1e30)


@pytest.mark.parametrize("model", ["crossan", "indsan", "iisan", "iisan-e"])
def test_losses_stay_what_they_were(model, tmp_path):
    """Frozen figures: a change that moves them is a change of the method, and must raise the step's version."""
    fusion = "momef" if model in ("crossan", "indsan") else "concat"
    progress, _ = train(tmp_path, model=model, fusion=fusion, max_epochs=3)
    assert [e["loss"] for e in progress.epochs] == pytest.approx(FROZEN_LOSSES[model], rel=2e-3)


@pytest.mark.parametrize("model", ["crossan", "indsan", "iisan", "iisan-e"])
@pytest.mark.parametrize("fusion", ["concat", "static", "dynamic", "momef"])
def test_half_precision_gives_nearly_the_same_losses(model, fusion, tmp_path):
    losses = []
    for precision in ("float32", "bfloat16"):
        (tmp_path / precision).mkdir()
        progress, _ = train(tmp_path / precision, model=model, fusion=fusion, max_epochs=2, precision=precision)
        losses.append([e["loss"] for e in progress.epochs])
    assert losses[0] == pytest.approx(losses[1], rel=0.03)
    assert losses[0] != losses[1]
