"""The information between a run's towers: of the right outputs and items, and refused where it has no sense."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sanrec import artifacts
from sanrec.artifacts import Input
from sanrec.data.interactions import load_sequences
from sanrec.errors import DataError, SanrecError
from sanrec.evaluation.donsker_varadhan import EtaDV
from sanrec.evaluation.information import Information
from sanrec.files import read_json
from sanrec.load import load_config
from sanrec.training import information
from sanrec.training.checkpoint import load_weights
from sanrec.training.information import last_outputs, measure_information, used_items
from sanrec.training.run import train_run
from sanrec.training.sequences import untrained
from sanrec.training.towers import tower_names

CPU = torch.device("cpu")
WITHOUT_TITLE, WITHOUT_COVER = 3, 5  # rows, as the folder's maker has it


def trained(shop, model="crossan", inputs="TI"):
    run = artifacts.run(shop.config, "shop", model, inputs, {"max_epochs": 1} if model != "iisan" else "default")
    train_run(shop.config, run)
    return run


@pytest.mark.parametrize(
    ("model", "inputs"), [("crossan", "TI"), ("indsan", "TI"), ("iisan", "TI"), ("crossan", "ID+TI")]
)
def test_the_last_outputs_of_the_channels_towers_are_compared(shop, monkeypatch, model, inputs):
    run, given = trained(shop, model, inputs), []

    def note(x, y, recipe, seed):
        given.append((x, y, seed))
        return Information(0.5, 0.1, len(x), (2, 2))

    monkeypatch.setattr(information, "cross_fitted", note)
    monkeypatch.setattr(information, "nearest_neighbours", note)
    found = measure_information(shop.config, run)
    sequences = load_sequences(artifacts.interactions("shop"))
    source, fresh = untrained(shop.config, run, sequences, CPU)
    before = last_outputs(fresh, source, CPU)
    load_weights(fresh, load_file(run.weights))
    with torch.no_grad():
        gathered = source.gather(torch.arange(1, source.items + 1))
        towers = fresh.item_encoder.towers(gathered[1] if inputs.startswith("ID") else gathered).numpy()
    assert not np.allclose(towers[0], before[0], atol=1e-4)
    rows = sequences.item_rows[1:]
    there = ~np.isin(rows, [WITHOUT_TITLE, WITHOUT_COVER])
    assert there.sum() == 22
    for x, y, seed in given:
        np.testing.assert_allclose(x, towers[0][there], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(y, towers[1][there], rtol=1e-5, atol=1e-6)
        assert seed == 0
    assert len(given) == 2
    assert found["missing"] == {"title": 1, "cover": 1}
    assert (found["items"], found["widths"]) == (24, [16, 16])


def test_the_file_holds_what_was_found(shop, monkeypatch):
    run = trained(shop)
    monkeypatch.setattr(information, "EtaDV", partial(EtaDV, most_steps=30))
    found = measure_information(shop.config, run)
    written = read_json(run.information)
    assert written.keys() == found.keys()
    assert written["run"] == run.folder
    assert written["unit"] == "nats"
    assert list(written["pairs"]) == ["title+cover"]
    estimates = written["pairs"]["title+cover"]
    assert list(estimates) == ["eta_dv", "ksg"]
    for name, estimate in estimates.items():
        assert estimate["value"] == found["pairs"]["title+cover"][name]["value"]
        assert estimate["items"] == 22
        assert np.isfinite([estimate["value"], estimate["spread"]]).all()
    assert written["estimators"]["ksg"]["neighbours"] == 3
    assert written["estimators"]["eta_dv"]["most_steps"] == 30
    assert "scikit-learn" in written["versions"]
    again = measure_information(shop.config, run)
    assert again["pairs"] == found["pairs"]


def test_batches_do_not_change_the_outputs(shop):
    sequences = load_sequences(artifacts.interactions("shop"))
    source, model = untrained(shop.config, artifacts.run(shop.config, "shop", "crossan", "TI"), sequences, CPU)
    whole = last_outputs(model, source, CPU)
    source.at_once = 7
    np.testing.assert_allclose(last_outputs(model, source, CPU), whole, rtol=1e-5, atol=1e-6)
    assert [tower.shape for tower in whole] == [(24, 16)] * 2


def test_missing_media_are_known_where_nothing_is_cached_too(shop):
    rows = load_sequences(artifacts.interactions("shop")).item_rows[1:]
    for channel, row in (("title", WITHOUT_TITLE), ("cover", WITHOUT_COVER)):
        for cached in (True, False):
            run = artifacts.run(shop.config, "shop", "crossan", "TI", {"cached": cached})
            source = next(s for s in run.inputs if s.channel == channel)
            assert rows[~used_items(shop.config, run, source, rows)].tolist() == [row]


def test_methods_without_towers_and_single_towers_are_refused(shop):
    with pytest.raises(SanrecError, match="LoRA has no side adapter towers; these have: crossan, indsan, iisan"):
        measure_information(shop.config, artifacts.run(shop.config, "shop", "lora", "TI"))
    with pytest.raises(SanrecError, match="between two towers"):
        measure_information(shop.config, artifacts.run(shop.config, "shop", "crossan", "T"))


def test_weights_that_are_not_there_or_broken_say_what_to_do(shop):
    run = artifacts.run(shop.config, "shop", "crossan", "TI", seed=7)
    with pytest.raises(DataError, match=r"no such file. Train it: snakemake results/shop/runs/crossan/TI/.*/metrics"):
        measure_information(shop.config, run)
    Path(run.folder).mkdir(parents=True)
    try:
        Path(run.weights).write_bytes(b"no weights")
        with pytest.raises(DataError, match="cannot be read"):
            measure_information(shop.config, run)
    finally:
        shutil.rmtree(run.folder)


def test_weights_of_another_run_or_of_other_settings_are_refused(shop):
    run = trained(shop)
    other = replace(run, seed=8)
    Path(other.folder).mkdir(parents=True)
    try:
        shutil.copy(run.weights, other.weights)
        with pytest.raises(DataError, match="trained from other settings or inputs"):
            measure_information(shop.config, other)
    finally:
        shutil.rmtree(other.folder)
    changed = load_config({**shop.config.model_dump(), "threads": {"train": 2}})
    with pytest.raises(DataError, match="trained from other settings or inputs"):
        measure_information(changed, run)


def test_collapsed_towers_share_nothing_and_those_that_are_no_numbers_are_refused(shop, monkeypatch):
    run = trained(shop)
    monkeypatch.setattr(information, "last_outputs", lambda *_: np.ones((2, 24, 16), np.float32))
    pairs = measure_information(shop.config, run)["pairs"]
    assert [estimate["value"] for estimate in pairs["title+cover"].values()] == [0, 0]
    monkeypatch.setattr(information, "last_outputs", lambda *_: np.full((2, 24, 16), np.nan))
    with pytest.raises(SanrecError, match="no numbers"):
        measure_information(shop.config, run)


def test_too_few_items_with_both_media_are_refused(shop, monkeypatch):
    run = trained(shop)
    monkeypatch.setattr(information, "used_items", lambda *_: np.arange(24) < 19)
    with pytest.raises(DataError, match=r"19 items have both media of title\+cover; at least 20"):
        measure_information(shop.config, run)


def test_without_intra_towers_there_is_nothing_to_compare(shop):
    run = artifacts.run(shop.config, "shop", "iisan", "TI", {"intra": False})
    with pytest.raises(SanrecError, match="with intra=false no channel has a tower of its own"):
        measure_information(shop.config, run)


def test_towers_are_named_by_channel_and_told_apart():
    title, other, cover = Input("title", "bert"), Input("title", "minilm"), Input("cover", "vit")
    assert tower_names((title, cover)) == ["title", "cover"]
    assert tower_names((title, other, cover)) == ["title@bert", "title@minilm", "cover"]
    assert tower_names((title, title, cover)) == ["title@bert (1)", "title@bert (2)", "cover"]
