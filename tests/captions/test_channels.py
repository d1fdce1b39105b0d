"""Captions as text channels: read by a text encoder like titles, missing ones missing in the stores."""

import numpy as np
import pandas as pd
import pytest
import torch
import transformers

from sanrec import artifacts, snakefile
from sanrec.backbones.extract import extract
from sanrec.backbones.inputs import build_input_store, open_inputs
from sanrec.backbones.store import MISSING, USED, open_hidden
from sanrec.config import Backbone
from sanrec.errors import DataError
from sanrec.files import write_json
from sanrec.load import load_config

WIDTH, BLOCKS = 16, 2


@pytest.fixture(scope="module")
def encoder(tmp_path_factory, whole):
    """The manifest of a small BERT over the words of the captions."""
    root = tmp_path_factory.mktemp("bert")
    captions = [c for path in whole.values() for c in pd.read_parquet(path)["caption"].dropna()]
    words = sorted({word for caption in captions for word in caption.split()})
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    transformers.BertTokenizer(vocab=vocabulary).save_pretrained(root / "bert")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=WIDTH, num_hidden_layers=BLOCKS, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=128, initializer_range=0.5,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(root / "bert")
    write_json(root / "bert.json", {"folder": str(root / "bert")})
    return root / "bert.json"


@pytest.fixture(scope="module")
def config(world):
    record = Backbone(
        modality="text", source="folder", checkpoint="bert", pooling="mean", blocks=BLOCKS, width=WIDTH,
        max_tokens=4, chunk_rows=5, batch_size=3,
    )  # fmt: skip
    base = world.configured()
    return load_config({
        "backbones": {"reader": record.model_dump()},
        "captioners": {"tiny": base.captioners["tiny"].model_dump()},
        "corpora": {"tiny": base.corpora["tiny"].model_dump()},
    })  # fmt: skip


@pytest.mark.parametrize("medium", ["cover", "video"])
def test_hidden_states_of_captions_are_those_of_their_texts(world, whole, encoder, config, tmp_path, medium):
    out = tmp_path / "reader.json"
    channel = f"{medium}-caption"
    extract(config, "tiny", channel, "reader", world.items, encoder, out, captions_path=whole[medium])
    store, table = open_hidden(out), pd.read_parquet(whole[medium])
    present = table["state"].to_numpy() == "present"
    np.testing.assert_array_equal(store.read_valid(), np.where(present, USED, MISSING))
    assert store.manifest["settings"]["max_tokens"] == 128
    folder = encoder.with_suffix("")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    row = int(np.flatnonzero(present)[3])
    with torch.inference_mode():
        ids = tokenizer(table["caption"][row], return_tensors="pt")
        assert ids["input_ids"].shape[1] > 4  # longer than a title may be
        expected = model(**ids).last_hidden_state.mean(1)[0].numpy()
    np.testing.assert_allclose(store.read_final()[row], expected, rtol=2e-3, atol=2e-3)
    assert (store.read_final()[~present] == 0).all()


def test_model_ready_inputs_hold_128_tokens_and_no_token_for_what_is_missing(world, whole, encoder, config, tmp_path):
    out, channel = tmp_path / "reader.json", "cover-caption"
    build_input_store(config, "tiny", channel, "reader", world.items, encoder, out, captions_path=whole["cover"])
    stored = open_inputs(out).read()
    present = pd.read_parquet(whole["cover"])["state"].to_numpy() == "present"
    assert stored["input_ids"].shape == (len(present), 128)
    np.testing.assert_array_equal(stored["length"] > 0, present)
    reason = (tmp_path / "reader.missing.csv").read_text().splitlines()[1]
    assert reason == "i2,cover-caption,,its cover has no caption"


def test_captions_of_other_items_are_refused(world, whole, encoder, config, tmp_path):
    items = pd.read_parquet(world.items)
    items.iloc[::-1].to_parquet(tmp_path / "items.parquet")
    with pytest.raises(DataError, match="not of the items of"):
        extract(
            config, "tiny", "cover-caption", "reader", tmp_path / "items.parquet", encoder, tmp_path / "x.json",
            captions_path=whole["cover"],
        )  # fmt: skip


def test_without_captions_it_is_said_how_to_make_them(world, encoder, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"captions/cover.parquet: no such file; make it with: snakemake"):
        extract(config, "tiny", "cover-caption", "reader", world.items, encoder, tmp_path / "x.json")


def test_the_workflow_makes_captions_before_their_states():
    config = load_config()
    needs = snakefile.store_needs(config, "demo", "video-caption", "bert-captions")
    assert needs["captions"] == artifacts.captions("demo", "video") == "results/demo/captions/video.parquet"
    assert "captions" not in snakefile.store_needs(config, "demo", "title", "bert")
    assert snakefile.caption_needs(config, "demo", "cover") == {
        "item_table": "results/demo/items.parquet",
        "checkpoint": "results/checkpoints/llava.json",
    }
    asked = snakefile.caption_record(config, "demo", "cover")
    assert asked != snakefile.caption_record(config, "demo", "video")  # another prompt


def test_licences_do_not_make_captions_anew_but_other_words_do(tmp_path):
    def record(**changes):
        captioners = {"llava": changes}
        return snakefile.caption_record(load_config({"captioners": captioners}), "demo", "cover")

    (tmp_path / "mine.txt").write_text("Say what you see.")
    assert record(license="mit") == record()
    assert record(max_new_tokens=30) != record()
    mine = record(prompts={"cover": str(tmp_path / "mine.txt")})
    assert mine != record()
    (tmp_path / "mine.txt").write_text("Say what you feel.")
    assert record(prompts={"cover": str(tmp_path / "mine.txt")}) != mine
