"""Backbones that run in every step give what their stored hidden states give: the same states, losses and metrics."""

import numpy as np
import pandas as pd
import pytest
import torch

from sanrec import artifacts
from sanrec.data.interactions import load_sequences
from sanrec.data.split import log_popularity
from sanrec.errors import ConfigError
from sanrec.load import load_config
from sanrec.models.registry import trainable_parameters
from sanrec.training.batches import epoch_batches
from sanrec.training.loading import load_source
from sanrec.training.loop import adam, training_loss
from sanrec.training.precision import autocast
from sanrec.training.run import train_run
from sanrec.training.sequences import training_windows, untrained
from sanrec.training.sources import HiddenSource, UncachedSource
from tests.training.bare import bare

CPU = torch.device("cpu")
WITHOUT_TITLE, WITHOUT_COVER = 3, 5  # rows, as the folder's maker has it


def pair(shop, model="crossan", inputs="TI", **settings):
    """The cached and the uncached run of the same system."""
    return [
        artifacts.run(shop.config, "shop", model, inputs, {**settings, "cached": cached}) for cached in (True, False)
    ]


def losses(shop, run, epochs=2):
    """The loss of every step."""
    sequences = load_sequences(artifacts.interactions("shop"))
    source, model = untrained(shop.config, run, sequences, CPU)
    optimizer, found = adam(model, run.settings), []
    log_p = torch.from_numpy(log_popularity(sequences))
    for epoch in range(1, epochs + 1):
        torch.manual_seed(epoch)
        model.train()
        for batch in epoch_batches(training_windows(sequences), run.settings.batch_size, run.seed, epoch):
            with autocast(run.settings, CPU):
                loss = training_loss(model, source, batch, log_p)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
    return np.array(found), bare(source), model


def test_the_path_says_that_nothing_is_cached(shop):
    cached, uncached = pair(shop)
    assert (cached.variant, uncached.variant) == ("default", "cached=false")
    assert all("/hidden/" in path for path in artifacts.run_needs(shop.config, cached)[1:])
    assert {path.split("/")[1] for path in artifacts.run_needs(shop.config, uncached)[1:]} == {"shop", "checkpoints"}
    assert not any("/hidden/" in path for path in artifacts.run_needs(shop.config, uncached))


def test_states_are_those_of_the_store_also_where_a_medium_is_missing(shop):
    sequences = load_sequences(artifacts.interactions("shop"))
    cached, uncached = (bare(load_source(shop.config, run, sequences, CPU)[0]) for run in pair(shop))
    assert isinstance(cached, HiddenSource)
    assert isinstance(uncached, UncachedSource)
    items = torch.randperm(24, generator=torch.Generator().manual_seed(0)) + 1
    assert max(channel.at_once for channel in uncached.channels) == 8  # so they go through in three groups
    stored, ran = cached.gather(items).float(), uncached.gather(items)
    assert stored.shape == ran.shape == (3, 2, 24, 16)
    assert ran.dtype == torch.float32
    assert not ran.requires_grad
    torch.testing.assert_close(ran, stored, rtol=1e-3, atol=2e-3)  # half precision
    assert not torch.equal(ran, stored)
    rows = sequences.item_rows[items]
    for channel, row in enumerate((WITHOUT_TITLE, WITHOUT_COVER)):
        place = rows.tolist().index(row)
        assert not ran[:, channel, place].any()
        assert ran[:, 1 - channel, place].abs().max() > 0.1


@pytest.mark.parametrize("model", ["crossan", "indsan", "iisan", "iisan-e"])
def test_losses_agree_step_by_step(shop, model):
    (cached, _, one), (uncached, source, other) = (losses(shop, run) for run in pair(shop, model))
    assert len(cached) == 2 * 3
    np.testing.assert_allclose(uncached, cached, rtol=1e-3)
    assert cached[-1] < 0.97 * cached[0]  # they moved, and together
    assert trainable_parameters(one) == trainable_parameters(other)
    # the backbones take part in nothing but the forward pass: no gradient, no dropout while the model trains
    assert other.training
    assert not any(channel.model.training for channel in source.channels)
    assert all(p.grad is None for channel in source.channels for p in channel.model.parameters())


def test_half_precision_runs_the_backbones_in_it_too(shop):
    run = pair(shop, precision="bfloat16")[1]
    source = bare(load_source(shop.config, run, load_sequences(artifacts.interactions("shop")), CPU)[0])
    with autocast(run.settings, CPU):
        assert source.gather(torch.tensor([1, 2])).dtype == torch.bfloat16
    assert losses(shop, run)[0] == pytest.approx(losses(shop, pair(shop)[0])[0], rel=0.03)


def test_a_whole_run_ends_as_the_cached_one(shop):
    metrics = [train_run(shop.config, run) for run in pair(shop)]
    history = [pd.read_csv(shop.folder / run.folder / "history.csv") for run in pair(shop)]
    np.testing.assert_allclose(history[1]["loss"], history[0]["loss"], rtol=2e-3)
    assert metrics[1]["trainable_parameters"] == metrics[0]["trainable_parameters"]
    assert metrics[1]["test"]["MRR@20"] == pytest.approx(metrics[0]["test"]["MRR@20"], abs=0.05)


def test_standardized_states_need_the_store(shop):
    with pytest.raises(ConfigError, match="standardize=true needs the mean over all items, so cached=true"):
        artifacts.run(shop.config, "shop", "crossan", "TI", {"standardize": True, "cached": False})
    with pytest.raises(ConfigError, match=r"crossan.*cached=true"):
        load_config({"datasets": {"demo": {"settings": {"crossan": {"standardize": True, "cached": False}}}}})


def test_methods_without_stored_states_have_no_such_setting(shop):
    with pytest.raises(ConfigError, match="unknown setting 'cached'"):
        artifacts.run(shop.config, "shop", "full", "TI", {"cached": False})


def test_activation_checkpointing_changes_no_number(shop):
    """Dropout included: what it left out is left out again when states are computed anew."""
    run = artifacts.run(shop.config, "shop", "full", "T", {"max_epochs": 1, "batch_size": 4})
    sequences = load_sequences(artifacts.interactions("shop"))
    losses, kept = [], []
    for again in (False, True):
        config = shop.config.model_copy(update={"activation_checkpointing": again})
        source, model = untrained(config, run, sequences, CPU)
        model.train()
        batch = next(epoch_batches(training_windows(sequences), 4, 0, 1))
        log_p = torch.from_numpy(log_popularity(sequences))
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t):
            torch.manual_seed(3)
            loss = training_loss(model, source, batch, log_p)
        loss.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        losses.append([loss.detach(), *gradients])
        kept.append(sum(sizes))
    assert all(torch.equal(*pair) for pair in zip(*losses, strict=True))
    assert kept[1] < kept[0]
