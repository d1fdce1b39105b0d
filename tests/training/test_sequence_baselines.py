"""Sequence baselines on ids: they learn, train as written down by hand, and care for no one's number."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from sanrec import artifacts, cli
from sanrec.data.interactions import load_sequences
from sanrec.errors import ConfigError, DataError
from sanrec.evaluation.metrics import metrics_from_ranks
from sanrec.evaluation.ranking import rank_targets
from sanrec.files import read_json
from sanrec.load import load_config
from sanrec.models.registry import Recommender, Shape
from sanrec.training.count import count_parameters
from sanrec.training.loading import load_source
from sanrec.training.loop import adam, encode_histories, encode_items, fit, train_epoch
from sanrec.training.run import train_run
from sanrec.training.sources import FinalSource, IdSource
from tests.training.bare import bare

CPU = torch.device("cpu")
ITEMS, USERS = 30, 60
MODELS = ["sasrec", "gru4rec", "nextitnet", "youtube"]
PLAIN = {"recommender_width": 16, "batch_size": 16, "learning_rate": 1e-2, "dropout": 0.0, "weight_decay": 0.0}


def chain_sequences():
    """Users walk along a ring of items: the next item is known from the last one."""
    starts = np.random.default_rng(0).integers(0, ITEMS, USERS)
    return (starts[:, None] + np.arange(12)) % ITEMS + 1


def settings_of(model, **changes):
    base = artifacts.default_settings(load_config(), "demo", model)
    return base.model_copy(update=PLAIN | changes)


def build(model, items=ITEMS, features=None, **changes):
    settings = settings_of(model, **changes)
    widths = () if features is None else (features.shape[1],)
    source = IdSource(items, None if features is None else FinalSource([features]))
    torch.manual_seed(0)
    return Recommender(model, Shape(("video",) * len(widths), widths, 1, items=items), settings), source, settings


def ranks(model, source, settings, sequences):
    items = encode_items(model, source, settings, CPU)
    states = encode_histories(model, items, sequences[:, :10], settings, CPU)
    history = torch.from_numpy(sequences[:, :10])
    return rank_targets(states, items, torch.from_numpy(sequences[:, 10]), history)


@pytest.mark.parametrize("features", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_it_learns_the_chain(name, features, tmp_path):
    table = torch.randn(ITEMS, 5, generator=torch.Generator().manual_seed(1)).half() if features else None
    model, source, settings = build(name, features=table, max_epochs=40, patience=40)
    sequences = chain_sequences()
    log_p = np.full(ITEMS + 1, -np.log(ITEMS), dtype=np.float32)

    def validate():
        return metrics_from_ranks(ranks(model, source, settings, sequences).numpy())

    state = tmp_path / "state.safetensors"
    progress = fit(model, source, sequences[:, :11], log_p, validate, settings, 0, CPU, state, "same")
    assert progress.best_score > 0.95
    assert progress.epochs[-1]["loss"] < 0.7 * progress.epochs[0]["loss"]


def numpy_loss(table, w, u, sequences, log_p):
    """Debiased in-batch loss of a GRU without bias, candidate by candidate."""
    occurrences = sequences[sequences > 0]
    losses = []
    for sequence in sequences:
        known = [item for item in sequence if item]
        h = np.zeros(table.shape[1])
        for item, target in pairwise(known):
            (w_r, w_z, w_n), (u_r, u_z, u_n) = np.split(w, 3), np.split(u, 3)
            x = table[item]
            r, z = (1 / (1 + np.exp(-(a @ x + b @ h))) for a, b in ((w_r, u_r), (w_z, u_z)))
            h = (1 - z) * np.tanh(w_n @ x + r * (u_n @ h)) + z * h
            positive = h @ table[target] - log_p[target]
            others = [h @ table[i] - log_p[i] for i in occurrences if i not in known]
            losses.append(np.log(np.exp([positive, *others]).sum()) - positive)
    return np.mean(losses)


def numpy_gradient(function, parameters, place, step=1e-6):
    gradient = np.zeros_like(parameters[place])
    for index in np.ndindex(gradient.shape):
        values = []
        for sign in (1, -1):
            moved = [p.copy() for p in parameters]
            moved[place][index] += sign * step
            values.append(function(*moved))
        gradient[index] = (values[0] - values[1]) / (2 * step)
    return gradient


def test_two_steps_of_gru4rec_are_those_written_down_by_hand():
    """Loss, gradient (by differences) and AdamW in numpy; rows of items that are not in the batch shrink too."""
    sequences = np.zeros((3, 11), dtype=np.int64)
    sequences[0, -4:], sequences[1, -3:], sequences[2, -2:] = [1, 2, 3, 4], [5, 2, 6], [4, 1]
    log_p = np.log(np.array([1, 0.2, 0.3, 0.1, 0.15, 0.05, 0.1, 0.1], dtype=np.float32))
    rate, decay = 0.01, 0.5
    changes = {"recommender_width": 3, "learning_rate": rate, "weight_decay": decay, "batch_size": 8}
    model, source, settings = build("gru4rec", items=7, **changes)
    with torch.no_grad():
        model.item_encoder.weight[1:] *= 2  # larger gradients
    names = ["item_encoder.weight", "user_encoder.gru.weight_ih_l0", "user_encoder.gru.weight_hh_l0"]
    found = dict(model.named_parameters())
    expected = [found[name].detach().numpy().astype(np.float64) for name in names]
    assert len(found) == len(names)
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in expected]
    optimizer = adam(model, settings)
    for step in (1, 2):
        loss, _ = train_epoch(model, source, sequences, torch.from_numpy(log_p), optimizer, settings, 0, step, CPU)

        def batch_loss(*parameters):
            return numpy_loss(*parameters, sequences, log_p.astype(np.float64))

        assert loss == pytest.approx(batch_loss(*expected), rel=1e-5)
        gradients = [numpy_gradient(batch_loss, expected, place) for place in range(3)]
        for place, gradient in enumerate(gradients):
            m, v = moments[place]
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            moments[place] = m, v
            ahead = (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
            expected[place] = expected[place] * (1 - rate * decay) - rate * ahead
        for name, value in zip(names, expected, strict=True):
            np.testing.assert_allclose(found[name].detach().numpy(), value, rtol=1e-3, atol=2e-5)
    assert not found[names[0]][0].any()


@pytest.mark.parametrize("name", MODELS)
def test_the_numbers_of_items_and_users_do_not_matter(name):
    """Trained on relabelled items and users, the same users get the same ranks."""
    rng = np.random.default_rng(4)
    sequences = rng.integers(1, ITEMS + 1, (USERS, 12))
    for row, start in enumerate(rng.integers(0, 8, USERS)):
        sequences[row, :start] = 0  # histories of many lengths
    log_p = np.concatenate([[0], np.log(rng.dirichlet(np.ones(ITEMS)))]).astype(np.float32)
    new = np.concatenate([[0], rng.permutation(ITEMS) + 1])  # new[i]: the number that item i gets
    order = rng.permutation(USERS)
    results = []
    for relabelled in (False, True):
        model, source, settings = build(name, batch_size=USERS)
        theirs, popularity = sequences, log_p
        if relabelled:
            table = model.item_encoder.weight
            with torch.no_grad():
                table[torch.from_numpy(new)] = table.clone()
            theirs, popularity = new[sequences][order], np.empty_like(log_p)
            popularity[new] = log_p
        optimizer = adam(model, settings)
        for epoch in (1, 2, 3):
            args = optimizer, settings, 0, epoch, CPU
            train_epoch(model, source, theirs[:, :11], torch.from_numpy(popularity), *args)
        found = ranks(model, source, settings, theirs)
        results.append((found, encode_items(model, source, settings, CPU)))
    (before, items), (after, moved) = results
    torch.testing.assert_close(moved[new], items, rtol=1e-4, atol=1e-5)
    assert (after == before[order]).float().mean() > 0.98  # near ties may turn in the last bits


def test_ids_are_gathered_and_nothing_else():
    model, source, settings = build("sasrec")
    items = torch.tensor([4, 2, 9])
    assert source.gather(items) is items
    assert source.at_once == source.items
    assert torch.equal(encode_items(model, source, settings, CPU), model.item_encoder.weight)


def test_decay_is_adamws_and_its_absence_adam():
    model, _, settings = build("sasrec", weight_decay=0.1)
    assert isinstance(adam(model, settings), torch.optim.AdamW)
    assert {group["weight_decay"] for group in adam(model, settings).param_groups} == {0.1}
    plain = adam(model, settings.model_copy(update={"weight_decay": 0.0}))
    assert type(plain) is torch.optim.Adam


@pytest.mark.parametrize(
    ("model", "inputs", "variant"),
    [
        ("sasrec", "ID", "default"),
        ("gru4rec", "ID+TI", "default"),
        ("nextitnet", "ID+T", "feature_layer=1"),
        ("crossan", "TI", "user_encoder=gru4rec,user_blocks=1"),
        ("crossan", "ID+T", "recipe=modern"),
        ("iisan", "ID+TI", "cached=false"),
        ("frozen", "T", "user_encoder=nextitnet"),
        ("full", "T", "user_encoder=youtube,batch_size=40,max_epochs=1"),
    ],
)
def test_a_run_from_its_path_to_its_files(shop, model, inputs, variant):
    run = artifacts.run(shop.config, "shop", model, inputs, variant)
    metrics = train_run(shop.config, run)
    assert metrics == read_json(run.metrics)
    assert metrics["settings"] == run.settings.model_dump(include=artifacts.recorded_settings(run))
    assert ("user_encoder" in metrics["settings"]) == variant.startswith("user_encoder")
    assert [s["channel"] for s in metrics["run"]["sources"]] == [source.channel for source in run.features]
    assert metrics["trainable_parameters"] > 0
    assert 0 <= metrics["test"]["HR@10"] <= 1


def test_the_count_is_the_trained_models(shop):
    for model, inputs in (("sasrec", "ID"), ("crossan", "ID+T"), ("youtube", "ID+TI")):
        assert "embedding" in count_parameters(shop.config, artifacts.run(shop.config, "shop", model, inputs))
        run = artifacts.run(shop.config, "shop", model, inputs, {"max_epochs": 1})
        counts = count_parameters(shop.config, run)
        assert sum(counts.values()) == train_run(shop.config, run)["trainable_parameters"]
    items = load_sequences(artifacts.interactions("shop")).item_count
    assert counts == {"embedding": (items + 1) * 8, "fusion": (8 + 2 * 16) * 8 + 8, "user encoder": 8 * 8 + 8}


def test_a_count_before_the_items_are_counted_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = artifacts.run(load_config(), "microlens-100k", "sasrec", "ID")
    with pytest.raises(DataError, match=r"snakemake results/microlens-100k/statistics\.json"):
        count_parameters(load_config(), run)
    assert cli.main(["count", run.folder]) == 1
    assert "nobody has counted the items" in capsys.readouterr().err


def test_features_of_a_layer_are_that_layers(shop):
    run = artifacts.run(shop.config, "shop", "sasrec", "ID+T", "feature_layer=2")
    sequences = load_sequences(artifacts.interactions("shop"))
    source, shape = load_source(shop.config, run, sequences, CPU)
    hidden = artifacts.run(shop.config, "shop", "crossan", "T", "layers=2")
    bank, _ = load_source(shop.config, hidden, sequences, CPU)
    items = torch.arange(1, source.items + 1)
    features = bare(source.features)
    assert torch.equal(features.gather(items)[0], bare(bank).gather(items)[1, 0])
    assert (shape.items, shape.widths) == (sequences.item_count, (16,))


def test_published_settings_of_microlens():
    config = load_config()
    for model, rate, batch in (("sasrec", 1e-5, 512), ("gru4rec", 1e-4, 512), ("nextitnet", 1e-3, 64)):
        settings = artifacts.default_settings(config, "microlens-100k", model)
        found = settings.learning_rate, settings.batch_size, settings.recommender_width, settings.weight_decay
        assert found == (rate, batch, 2048, 0.1)
    with pytest.raises(ConfigError, match="written 'default'"):
        artifacts.run(config, "microlens-100k", "sasrec", "ID", "recommender_width=2048")
