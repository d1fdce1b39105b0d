"""The demo's captioner: a true LLaVA-NeXT, trained on what captioning shows it, that tells what the generator knows."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from sanrec.backbones.registry import BACKBONES
from sanrec.captions.caption import caption_corpus
from sanrec.captions.llava import Llava
from sanrec.captions.prompts import load_prompt
from sanrec.captions.registry import CAPTIONERS
from sanrec.data.prepare import prepare_corpus
from sanrec.demo.backbones import make_backbone
from sanrec.demo.captioner import (
    Lessons,
    count_right,
    draw_covers,
    draw_videos,
    encode_captions,
    learn_to_tell,
    make_captioner,
    model_pictures,
    normal,
    shrink,
    tell,
)
from sanrec.demo.draw import draw_cover, draw_frames, frame_times
from sanrec.demo.llava import build_llava
from sanrec.demo.media import make_world
from sanrec.demo.sentences import SENTENCES, WORDS, caption_words, read_caption, write_caption
from sanrec.demo.world import FACTORS, World, shown
from sanrec.errors import ConfigError
from sanrec.files import write_json
from sanrec.load import load_config

SHORT = Lessons(covers=30, videos=30, held=6, seeing=1, telling=2, batch_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Trained for a moment: enough for whatever does not depend on what it learnt."""
    folder = tmp_path_factory.mktemp("captioner") / "llava"
    make_captioner("llava", folder, SHORT)
    write_json(folder.with_suffix(".json"), {"folder": str(folder)})
    return folder


def all_values(medium):
    names = shown(medium)
    for values in itertools.product(*(FACTORS[name].values for name in names)):
        yield dict(zip(names, values, strict=True))


@pytest.mark.parametrize("medium", SENTENCES)
def test_a_sentence_tells_its_factors_and_nothing_else_does(medium):
    for values in all_values(medium):
        assert read_caption(medium, write_caption(medium, values)) == values
    assert read_caption(medium, None) == dict.fromkeys(shown(medium))
    assert read_caption(medium, " ".join(WORDS[shown(medium)[0]]))[shown(medium)[0]] is None  # says all of them


def test_counting_counts_what_is_wrong_and_what_is_not_said():
    truth = [{"mood": "angry", "texture": "rows"}] * 4
    said = ["a red cover with level stripes", "a blue cover with level stripes", "a red cover with", None]
    assert count_right("cover", said, truth) == {"mood": 0.5, "texture": 0.5}


def test_it_loads_by_auto_class_with_all_weights_and_knows_all_words(folder):
    model, report = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert type(model).__name__ == "LlavaNextForConditionalGeneration"
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    tokenizer = AutoProcessor.from_pretrained(folder).tokenizer
    prompts = [load_prompt(name).text for name in CAPTIONERS["llava"].prompts.values()]
    captions = [write_caption(medium, values) for medium in SENTENCES for values in all_values(medium)]
    assert all(tokenizer.unk_token_id not in tokenizer(text)["input_ids"] for text in (*prompts, *captions))
    longest = max(len(tokenizer(caption)["input_ids"]) for caption in captions)
    assert longest < CAPTIONERS["llava"].max_new_tokens


def test_one_seed_makes_one_captioner(folder, tmp_path):
    make_captioner("llava", tmp_path / "llava", SHORT)
    for file in ("model.safetensors", "config.json", "processor_config.json", "tokenizer.json", "training.json"):
        assert (tmp_path / "llava" / file).read_bytes() == (folder / file).read_bytes(), file


@pytest.mark.parametrize("medium", SENTENCES)
def test_training_sees_and_asks_what_captioning_sees_and_asks(folder, medium):
    llava = Llava(
        folder.with_suffix(".json"), CAPTIONERS["llava"], medium, load_prompt(f"demo-{medium}"), torch.device("cpu")
    )
    rng = np.random.default_rng(5)
    values = next(all_values(medium))
    drawn = (draw_covers if medium == "cover" else draw_videos)(4)
    if medium == "cover":
        pictures = [Image.fromarray(draw_cover(rng, world=World(), **values))]
    else:
        times = frame_times(World())[[2, 12, 21]]
        pictures = [Image.fromarray(frame) for frame in draw_frames(rng, world=World(), times=times, **values)]
    theirs = llava.processor(images=pictures, text=[llava.text], return_tensors="pt")
    pixels = np.stack([shrink(np.asarray(picture)) for picture in pictures])[None]
    mine = model_pictures(pixels)
    assert (theirs["pixel_values"] - mine["pixel_values"]).abs().max() < 1e-2
    assert torch.equal(theirs["image_sizes"], mine["image_sizes"])
    ids, start = encode_captions(llava.processor, drawn)
    np.testing.assert_array_equal(ids[0, :start], theirs["input_ids"][0])
    said = tell(llava.model, llava.processor, medium, pixels)
    assert said == [text for text, _ in llava.describe([pictures], 0)]


def test_the_tower_measures_what_is_drawn():
    videos = draw_videos(3)
    assert videos.pixels.shape == (3, 3, 32, 32, 3)
    assert videos.places.shape == (3, 3, 3)
    assert normal(videos.pixels).shape == (3, 3, 3, 32, 32)
    assert -1 <= float(normal(videos.pixels).min()) <= float(normal(videos.pixels).max()) <= 1


def test_the_caption_encoder_reads_every_word_of_every_caption(tmp_path):
    make_backbone("bert-captions", tmp_path, steps=1)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for medium in SENTENCES:
        for values in all_values(medium):
            ids = tokenizer(write_caption(medium, values))["input_ids"]
            assert tokenizer.unk_token_id not in ids
            assert len(ids) <= 16
    assert json.loads((tmp_path / "config.json").read_text())["max_position_embeddings"] == 128
    assert set(json.loads((tmp_path / "training.json").read_text())["accuracy"]) == {
        "mood",
        "texture",
        "motion",
        "pace",
    }
    assert BACKBONES["bert-captions"].width == json.loads((tmp_path / "config.json").read_text())["hidden_size"]
    assert len(caption_words()) < len(tokenizer)


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'llava'"):
        make_captioner("lava", tmp_path / "lava")
    assert not (tmp_path / "lava").exists()


def test_importing_the_captioner_leaves_torch_alone():
    code = "import sys, sanrec.demo.captioner, sanrec.demo.llava; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_language_model_alone_is_trained_in_the_second_lesson(tmp_path):
    torch.manual_seed(0)
    model, processor = build_llava(tmp_path)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    learn_to_tell(model, processor, {"cover": draw_covers(12), "video": draw_videos(12)}, SHORT)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not any("vision_tower" in name for name in moved)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.slow
def test_it_tells_what_the_generator_knows(tmp_path, monkeypatch):
    """Of the items' own files, through the step and its codecs: at least four attributes in five are right."""
    monkeypatch.chdir(tmp_path)
    make_captioner("llava", tmp_path / "llava")
    write_json(tmp_path / "llava.json", {"folder": "llava"})
    held = json.loads((tmp_path / "llava/training.json").read_text())["accuracy"]
    make_world(tmp_path / "results/demo/raw", World(items=240, users=10))
    config, items = load_config(), tmp_path / "items.parquet"
    prepare_corpus(config, "demo", items)
    truth = pd.read_csv(tmp_path / "results/demo/raw/truth.csv").to_dict("records")
    told = {}
    for medium in SENTENCES:
        made = caption_corpus(config, "demo", medium, items, tmp_path / "llava.json", tmp_path / f"{medium}.parquet")
        told |= count_right(medium, pd.read_parquet(made)["caption"], truth)
    for shares in (held, told):
        assert np.mean(list(shares.values())) >= 0.8, shares
        assert min(shares.values()) > 0.6, shares  # chance is one in six
