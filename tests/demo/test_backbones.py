"""The demo's backbones: real classes, loaded as from the hub, fed as extraction feeds them."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoModel, AutoTokenizer

from sanrec.backbones.checkpoints import open_checkpoint
from sanrec.backbones.conversion import to_model_input
from sanrec.backbones.readers import TextInputs
from sanrec.backbones.registry import BACKBONES
from sanrec.demo.backbones import FRAMES, RECIPES, make_backbone
from sanrec.demo.draw import draw_cover, draw_frames, draw_sound, draw_title, frame_times
from sanrec.demo.naming import POOLED, draw_examples
from sanrec.demo.words import NOUNS, PATTERNS, TONES
from sanrec.demo.world import FACTORS, World, shown
from sanrec.errors import ConfigError

CLASSES = {
    "bert": "BertModel", "bert-deep": "BertModel", "llama": "LlamaModel", "vit": "ViTModel",
    "videomae": "VideoMAEModel", "ast": "ASTModel",
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """All of them, trained for one step on few examples: enough for whatever does not depend on what they learnt."""
    base = tmp_path_factory.mktemp("backbones")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sanrec.demo.backbones.RECIPES", {k: replace(r, examples=40) for k, r in RECIPES.items()})
        for name in CLASSES:
            make_backbone(name, base / name, steps=1)
    return base


def examples(folders, name, count=3):
    inputs, _ = draw_examples(RECIPES[name].channel, RECIPES[name].reader(folders / name), count)
    return {key: torch.from_numpy(values) for key, values in inputs.items() if key != POOLED}


@pytest.mark.parametrize("name", CLASSES)
def test_it_loads_by_auto_class_with_all_weights(folders, name):
    # as in extraction, BERT and ViT are asked for without a pooler: none is stored, and none may be made up
    options = {"add_pooling_layer": False} if name in ("bert", "bert-deep", "vit") else {}
    model, report = AutoModel.from_pretrained(folders / name, output_loading_info=True, **options)
    assert type(model).__name__ == CLASSES[name]
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


@pytest.mark.parametrize("name", CLASSES)
def test_it_is_what_the_registry_says(folders, name):
    record = BACKBONES[name]
    model = AutoModel.from_pretrained(folders / name).eval()
    with torch.inference_mode():
        output = model(**examples(folders, name), output_hidden_states=True)
    assert len(output.hidden_states) == record.blocks + 1
    assert {tuple(h.shape[::2]) for h in output.hidden_states} == {(3, record.width)}
    assert output.last_hidden_state.isfinite().all()
    assert record.pooling == RECIPES[name].pooling


@pytest.mark.parametrize("name", ["bert", "vit"])
def test_other_examples_give_other_states(folders, name):
    model = AutoModel.from_pretrained(folders / name).eval()
    with torch.inference_mode():
        final = model(**examples(folders, name)).last_hidden_state[:, 0]
    assert (final[0] - final[1]).abs().max() > 1e-3


def test_one_seed_makes_one_checkpoint(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("sanrec.demo.backbones.RECIPES", {"vit": replace(RECIPES["vit"], examples=40)})
    make_backbone("vit", tmp_path / "vit", steps=1)
    for file in ("model.safetensors", "config.json", "preprocessor_config.json", "training.json"):
        assert (tmp_path / "vit" / file).read_bytes() == (folders / "vit" / file).read_bytes(), file


def test_the_tokenizer_knows_every_title_and_cuts_none(folders):
    tokenizer = AutoTokenizer.from_pretrained(folders / "bert")
    for pattern in PATTERNS:
        for tone, noun in zip(sum(TONES.values(), ()), sum(NOUNS.values(), ()), strict=False):
            ids = tokenizer(pattern.format(tone=tone, noun=noun, number="five"))["input_ids"]
            assert tokenizer.unk_token_id not in ids
            assert ids[0] == tokenizer.cls_token_id
            assert ids[-1] == tokenizer.sep_token_id
            assert len(ids) <= BACKBONES["bert"].max_tokens
    assert tokenizer("Zyzzyva")["input_ids"][1] == tokenizer.unk_token_id


def test_the_decoder_reads_titles_as_extraction_does(folders, tmp_path):
    manifest = tmp_path / "llama.json"
    manifest.write_text(json.dumps({"folder": str(folders / "llama")}))
    inputs = TextInputs(open_checkpoint(manifest), BACKBONES["llama"].max_tokens)
    title = draw_title(np.random.default_rng(3), **first_values("title"))
    stored = {key: values[None] for key, values in inputs.read(title).items()}
    kwargs, pooled = to_model_input("text", inputs.settings, stored)
    mine = RECIPES["llama"].reader(folders / "llama")(np.random.default_rng(3), first_values("title"))
    length = kwargs["input_ids"].shape[1]
    for name, theirs in {**kwargs, POOLED: pooled}.items():
        assert theirs[0].tolist() == mine[name][:length].tolist()
    assert not mine["attention_mask"][length:].any()
    assert inputs.settings["bos"] == kwargs["input_ids"][0, 0]
    assert pooled[0].tolist() == [0] + [1] * (length - 1)


def first_values(channel):
    return {name: FACTORS[name].values[1] for name in shown(channel)}


def test_covers_are_read_as_the_saved_processor_reads_them(folders):
    world, values = World(), first_values("cover")
    mine = RECIPES["vit"].reader(folders / "vit")(np.random.default_rng(3), values)["pixel_values"]
    processor = AutoImageProcessor.from_pretrained(folders / "vit")
    cover = Image.fromarray(draw_cover(np.random.default_rng(3), world=world, **values))
    assert np.abs(processor(cover, return_tensors="np")["pixel_values"][0] - mine).max() < 1e-2


def test_videos_are_read_as_the_saved_processor_reads_them(folders):
    world, values = World(), first_values("video")
    mine = RECIPES["videomae"].reader(folders / "videomae")(np.random.default_rng(3), values)["pixel_values"]
    times = frame_times(world)
    times = times[np.linspace(0, len(times) - 1, FRAMES).round().astype(int)]
    frames = draw_frames(np.random.default_rng(3), world=world, times=times, **values)
    processor = AutoImageProcessor.from_pretrained(folders / "videomae")
    theirs = processor(list(frames), return_tensors="np")["pixel_values"][0]
    assert theirs.shape == mine.shape
    assert np.abs(theirs - mine).max() < 1e-2


def test_sounds_are_read_as_the_saved_extractor_reads_them(folders):
    world, values = World(), first_values("audio")
    mine = RECIPES["ast"].reader(folders / "ast")(np.random.default_rng(3), values)["input_values"]
    extractor = AutoFeatureExtractor.from_pretrained(folders / "ast")
    sound = draw_sound(np.random.default_rng(3), world=world, **values)
    theirs = extractor(sound, sampling_rate=world.sample_rate, return_tensors="np")["input_values"][0]
    assert np.abs(theirs - mine).max() < 1e-2
    assert 0.2 < mine.std() < 2  # the saved mean and deviation suit the sounds


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_it_learns_to_name_what_its_medium_shows(tmp_path, name):
    make_backbone(name, tmp_path)
    for factor, share in json.loads((tmp_path / "training.json").read_text())["accuracy"].items():
        assert share > 0.8, factor  # chance is one in six


def test_an_unknown_name_gets_the_nearest_one(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'bert'"):
        make_backbone("brt", tmp_path / "brt")
    assert not (tmp_path / "brt").exists()


def test_importing_the_demo_leaves_torch_alone():
    code = "import sys, sanrec.demo.media, sanrec.demo.backbones; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
