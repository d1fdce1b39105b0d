"""Numbers of parameters: from the config alone where it gives the architecture, else from the checkpoint."""

import json

import pytest
from transformers import BertConfig, BertModel

from sanrec import cli, snakefile
from sanrec.backbones.counting import count_backbone, write_counts
from sanrec.errors import ConfigError, DataError
from sanrec.load import load_config
from sanrec.media.download import write_checkpoint_manifest

SHAPE = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 11}
RECORD = {"modality": "text", "checkpoint": "x/y", "revision": "a" * 40, "pooling": "first", "blocks": 2, "width": 8}
# embeddings (words, positions, types) and their norm; per block attention, feed-forward and two norms; no pooler
BY_HAND = (11 + 512 + 2) * 8 + 16 + 2 * (4 * (64 + 8) + 16 + (8 * 16 + 16) + (16 * 8 + 8) + 16)


def config_of(**changes):
    return load_config({"backbones": {"mine": {**RECORD, **changes}}})


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A small BERT, with its pooler, as the checkpoint of backbone `mine`."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/checkpoints/mine"
    BertModel(BertConfig(**SHAPE)).save_pretrained(folder)
    write_checkpoint_manifest(tmp_path / "results/checkpoints/mine.json", folder, {})


def test_a_checkpoint_is_counted_without_its_pooler(checkpoint):
    counted = count_backbone(config_of(), "mine")
    assert counted == {"blocks": 2, "width": 8, "parameters": BY_HAND, "counted_from": "checkpoint", "why": ""}


def test_an_architecture_counts_whatever_lies_on_disk(checkpoint):
    wider = {"model_type": "bert", **SHAPE, "intermediate_size": 32}
    counted = count_backbone(config_of(architecture=wider), "mine")
    assert (counted["parameters"], counted["counted_from"]) == (BY_HAND + 2 * 16 * (8 + 1 + 8), "architecture")


@pytest.mark.parametrize(
    ("architecture", "why"),
    [
        ({"model_type": "no-such-model"}, "no-such-model"),
        ({"hidden_size": 8}, "has no key 'model_type'"),
        ({"model_type": "bert", **SHAPE, "hidden_size": 16}, "width is 8, but checkpoint x/y has 16"),
    ],
)
def test_what_cannot_be_counted_says_why(architecture, why):
    counted = count_backbone(config_of(architecture=architecture), "mine")
    assert counted["parameters"] is None
    assert why in counted["why"]


def test_without_architecture_and_checkpoint_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"results/checkpoints/mine\.json: no such checkpoint manifest"):
        write_counts(config_of(), ["mine"], tmp_path / "out.json")
    with pytest.raises(ConfigError, match="unknown backbone 'bert-bas'"):
        write_counts(config_of(), ["bert-bas"], tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_the_subcommand_counts_what_the_rule_asks_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config()
    names = snakefile.counted_backbones(config)
    assert "llama-3-70b-gptq" in names
    assert "bert" not in names  # the demo's are counted from their checkpoints
    assert cli.main(["count-backbones", "results/backbones.json", "bert-base", "vit-huge"]) == 0
    written = json.loads((tmp_path / "results/backbones.json").read_text())
    assert written["backbones"]["vit-huge"]["parameters"] == 630_764_800
    assert set(written["backbones"]) == {"bert-base", "vit-huge"}


def test_a_count_is_made_anew_when_the_architecture_changes_and_not_else():
    before = snakefile.count_record(load_config(), ["bert-base"])
    assert snakefile.count_record(load_config({"backbones": {"bert-base": {"batch_size": 8}}}), ["bert-base"]) == before
    other = load_config({"backbones": {"bert-base": {"architecture": {"model_type": "roberta"}}}})
    assert snakefile.count_record(other, ["bert-base"]) != before
