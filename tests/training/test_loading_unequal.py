"""Runs over encoders of unequal width or depth: what is loaded, cached against uncached, and a training that learns."""

import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import transformers

from sanrec import artifacts
from sanrec.backbones.extract import extract
from sanrec.backbones.inputs import build_input_store
from sanrec.backbones.store import USED, open_hidden
from sanrec.data.interactions import load_sequences
from sanrec.data.split import log_popularity
from sanrec.errors import ConfigError
from sanrec.files import write_json
from sanrec.models.registry import Recommender
from sanrec.training.batches import epoch_batches
from sanrec.training.count import count_parameters, planned_shape
from sanrec.training.information import last_outputs
from sanrec.training.loading import load_source
from sanrec.training.loop import adam, training_loss
from sanrec.training.run import train_run
from sanrec.training.sequences import training_windows, untrained
from sanrec.training.sources import HiddenSource, UncachedSource, UnequalHiddenSource, standardized
from sanrec.training.streamed import load_streamed
from tests.training.bare import bare

CPU = torch.device("cpu")
WIDTH, BLOCKS = 24, 5  # of the wide text encoder; the others have 16 and 3
TOWERS = ["crossan", "indsan", "iisan", "iisan-e"]


@pytest.fixture(scope="module")
def wide(made_shop):
    """The working folder with one text encoder more, wider and deeper than the others, and its stores of titles."""
    folder, config = made_shop
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        torch.manual_seed(1)
        sizes = {
            "hidden_size": WIDTH, "num_hidden_layers": BLOCKS, "num_attention_heads": 2, "intermediate_size": 32,
        }  # fmt: skip
        shutil.copytree("checkpoints/tiny-bert", "checkpoints/wide-bert")  # the tokenizer is the same
        words = transformers.BertConfig.from_pretrained("checkpoints/tiny-bert")
        bert = transformers.BertConfig(vocab_size=words.vocab_size, max_position_embeddings=32, **sizes)
        model = transformers.BertModel(bert)
        with torch.no_grad():  # larger than the usual initialisation, so that states tell items apart
            for key, parameter in model.named_parameters():
                if parameter.ndim > 1 and "position" not in key:
                    parameter.mul_(10)
        model.save_pretrained("checkpoints/wide-bert")
        write_json(artifacts.checkpoint("wide-bert"), {"folder": "checkpoints/wide-bert"})
        changes = {"checkpoint": "checkpoints/wide-bert", "width": WIDTH, "blocks": BLOCKS}
        record = config.backbones["tiny-bert"].model_copy(update=changes)
        config = config.model_copy(update={"backbones": {**config.backbones, "wide-bert": record}})
        extract(config, "shop", "title", "wide-bert")
        build_input_store(config, "shop", "title", "wide-bert")
    return folder, config


@pytest.fixture
def shop(wide, monkeypatch):
    folder, config = wide
    monkeypatch.chdir(folder)
    return SimpleNamespace(folder=folder, config=config, sequences=load_sequences(artifacts.interactions("shop")))


def run(shop, model="iisan", inputs="title@wide-bert+cover", **settings):
    return artifacts.run(shop.config, "shop", model, inputs, settings)


def stored(shop, channel, backbone, layers):
    """Hidden states [L, I, D] of the data set's items, as the store has them."""
    states = open_hidden(artifacts.hidden("shop", channel, backbone)).read_layers(layers, shop.sequences.item_rows[1:])
    return torch.from_numpy(states).transpose(0, 1)


def test_each_channel_has_a_bank_of_its_own_width_and_layers(shop):
    source, shape = load_source(shop.config, run(shop, layers="full+top2"), shop.sequences, CPU)
    source = bare(source)
    assert isinstance(source, UnequalHiddenSource)
    assert (shape.widths, shape.layers, shape.equal) == ((WIDTH, 16), (6, 3), False)
    assert [bank.dtype for bank in source.banks] == [torch.float16] * 2
    items = torch.tensor([9, 1, 24, 4])
    title, cover = source.gather(items)
    assert title.dtype == cover.dtype == torch.float32
    assert torch.equal(title, stored(shop, "title", "wide-bert", range(6))[:, items - 1].float())
    assert torch.equal(cover, stored(shop, "cover", "tiny-vit", [0, 2, 3])[:, items - 1].float())


@pytest.mark.parametrize("every_layer", [True, False])
def test_what_moves_with_each_batch_is_what_a_bank_of_all_items_gives(shop, every_layer):
    resident, shape = load_source(shop.config, run(shop, blocks=2), shop.sequences, CPU)
    streamed, same = load_streamed(shop.config, run(shop, blocks=2), shop.sequences, CPU, every_layer)
    wanted, resident, streamed = torch.tensor([9, 2, 24]), bare(resident), bare(streamed)
    assert same == shape
    assert all(torch.equal(*both) for both in zip(streamed.gather(wanted), resident.gather(wanted), strict=True))
    assert [bank.shape for bank in streamed.banks] == [
        (BLOCKS + 1 if every_layer else 3, 24, WIDTH), (4 if every_layer else 3, 24, 16)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "layers", "kinds"),
    [
        ("title@wide-bert+cover", "even", (UnequalHiddenSource, [(3, WIDTH), (3, 16)])),
        ("TI", "full+top2", (UnequalHiddenSource, [(4, 16), (3, 16)])),
        ("TI", "down2+top2", (HiddenSource, [(3, 16), (3, 16)])),
        ("title+title@wide-bert", "even", (UnequalHiddenSource, [(3, 16), (3, WIDTH)])),
    ],
)
def test_what_is_planned_is_what_is_loaded(shop, inputs, layers, kinds):
    this = run(shop, inputs=inputs, layers=layers)
    source, shape = load_source(shop.config, this, shop.sequences, CPU)
    assert isinstance(bare(source), kinds[0])
    assert list(zip(shape.depths, shape.widths, strict=True)) == kinds[1]
    assert planned_shape(shop.config, this) == shape
    uncached, also = load_source(
        shop.config, run(shop, inputs=inputs, layers=layers, cached=False), shop.sequences, CPU
    )
    assert isinstance(bare(uncached), UncachedSource)
    assert also == shape
    model = Recommender("iisan", shape, this.settings)
    assert sum(count_parameters(shop.config, this).values()) == sum(p.numel() for p in model.parameters())


def test_maps_between_widths_are_counted_as_a_part(shop):
    assert count_parameters(shop.config, run(shop))["alignment"] == 3 * (WIDTH * 16 + 16)
    assert count_parameters(shop.config, run(shop, "crossan"))["alignment"] == 2 * WIDTH * 16
    assert "alignment" not in count_parameters(shop.config, run(shop, inputs="TI", layers="full+top2"))
    assert "gates" not in count_parameters(shop.config, run(shop, gating=False))


def test_each_channel_is_standardized_by_itself(shop):
    source, _ = load_source(shop.config, run(shop, standardize=True), shop.sequences, CPU)
    rows = shop.sequences.item_rows[1:]
    for bank, (channel, backbone, layers) in zip(
        bare(source).banks, [("title", "wide-bert", (0, 1, 5)), ("cover", "tiny-vit", (0, 1, 3))], strict=True
    ):
        used = open_hidden(artifacts.hidden("shop", channel, backbone)).read_valid(rows) == USED
        for place, states in enumerate(stored(shop, channel, backbone, layers)):
            np.testing.assert_array_equal(bank[place].numpy(), standardized(states.numpy(), used))


def losses(shop, this, epochs=2):
    """The loss of every step."""
    source, model = untrained(shop.config, this, shop.sequences, CPU)
    optimizer, found = adam(model, this.settings), []
    log_p = torch.from_numpy(log_popularity(shop.sequences))
    for epoch in range(1, epochs + 1):
        torch.manual_seed(epoch)
        model.train()
        for batch in epoch_batches(training_windows(shop.sequences), this.settings.batch_size, this.seed, epoch):
            loss = training_loss(model, source, batch, log_p)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
    return np.array(found)


@pytest.mark.parametrize("model", TOWERS)
def test_cached_and_uncached_losses_agree_step_by_step(shop, model):
    cached, uncached = (losses(shop, run(shop, model, layers="even3+even", cached=c)) for c in (True, False))
    np.testing.assert_allclose(uncached, cached, rtol=2e-3)
    assert cached[-1] < 0.97 * cached[0]


def test_a_whole_run_trains_and_is_scored(shop):
    this = run(shop, layers="even3+even", max_epochs=20, patience=20)
    metrics = train_run(shop.config, this)
    history = pd.read_csv(shop.folder / this.folder / "history.csv")
    assert history["loss"].iloc[-1] < 0.8 * history["loss"].iloc[0]
    assert history["MRR@20"].max() > 2 * history["MRR@20"].iloc[0]
    assert metrics["trainable_parameters"] == sum(count_parameters(shop.config, this).values())
    assert metrics["run"]["variant"].startswith("layers=even3+even")
    assert train_run(shop.config, this) == metrics  # finished: left as it is


@pytest.mark.parametrize("model", TOWERS)
def test_towers_of_their_own_widths_can_be_compared(shop, model):
    source, recommender = untrained(shop.config, run(shop, model, layers="even3+even"), shop.sequences, CPU)
    outputs = last_outputs(recommender, source, CPU)
    assert [tower.shape for tower in outputs[:2]] == [(24, WIDTH), (24, 16)]


def test_too_few_blocks_name_the_tower(shop):
    with pytest.raises(ConfigError, match="cover@tiny-vit: layers=top4: the backbone has only 3 blocks"):
        load_source(shop.config, run(shop, layers="top4"), shop.sequences, CPU)


def test_methods_that_read_the_last_state_need_no_layers(shop):
    """The frozen row takes no LayerDrop: its encoders may have fewer blocks than towers keep by default."""
    assert planned_shape(shop.config, run(shop, "frozen")).layers == 1
    assert load_source(shop.config, run(shop, "frozen"), shop.sequences, CPU)[1] == planned_shape(
        shop.config, run(shop, "frozen")
    )
