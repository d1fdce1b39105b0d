"""The model behind the step: padding, several pictures, and what is refused."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from sanrec.captions.llava import Llava
from sanrec.captions.prompts import load_prompt
from sanrec.errors import ConfigError, DataError
from sanrec.files import read_json, write_json


@pytest.fixture
def loaded(world, checkpoint):
    def load(medium="cover", manifest=checkpoint, **changes):
        record = world.configured(**changes).captioners["tiny"]
        return Llava(manifest, record, medium, load_prompt(f"demo-{medium}"), torch.device("cpu"))

    return load


def pictures(count, each=1, height=64, width=64):
    rng = np.random.default_rng(count)
    some = rng.integers(0, 256, (count, each, 4, 4, 3), dtype=np.uint8)
    return [[Image.fromarray(one).resize((width, height)) for one in item] for item in some]


def slow_caption(llava, one, words):
    """Word by word through the plain forward pass, without cache, padding or generate()."""
    inputs = llava.processor(images=one, text=[llava.text], return_tensors="pt")
    asked = inputs["input_ids"].shape[1]
    with torch.inference_mode():
        for _ in range(words):
            best = llava.model(**{k: v for k, v in inputs.items() if k != "attention_mask"}).logits[:, -1].argmax(-1)
            inputs["input_ids"] = torch.cat([inputs["input_ids"], best[:, None]], dim=1)
    said = inputs["input_ids"][0, asked:]
    return " ".join(llava.processor.tokenizer.decode(said, skip_special_tokens=True).split())


@pytest.mark.parametrize(("medium", "each"), [("cover", 1), ("video", 3)])
def test_captions_are_what_the_forward_pass_says_word_by_word(loaded, medium, each):
    llava = loaded(medium)
    some = pictures(2, each)
    assert [text for text, _ in llava.describe(some, 0)] == [slow_caption(llava, one, 8) for one in some]


def test_pictures_of_other_shapes_in_one_batch_change_nothing(loaded):
    llava = loaded()
    tall, wide = pictures(1, height=120, width=40), pictures(3, height=30, width=90)
    mixed = llava.describe([*tall, *wide], 0)
    lengths = [llava.processor(images=one, text=[llava.text])["input_ids"] for one in (tall[0], wide[0])]
    assert len(lengths[0][0]) != len(lengths[1][0])  # so one of them was padded
    assert mixed == [*llava.describe(tall, 0), *llava.describe(wide, 0)]


def test_the_order_of_a_videos_frames_matters(loaded):
    llava = loaded("video")
    (one,) = pictures(1, 3)
    assert llava.describe([one], 0) != llava.describe([one[::-1]], 0)


def test_half_precision_and_the_number_of_frames_are_settings(loaded):
    llava = loaded("video", frames=2, dtype="bfloat16")
    assert llava.model.dtype == torch.bfloat16
    assert llava.text.count("<image>") == 2
    assert len(llava.describe(pictures(1, 2), 0)) == 1


def test_more_tokens_than_the_model_has_places_for_are_refused(loaded):
    with pytest.raises(ValueError, match=r"take 14 tokens and the caption up to 120, but the model has 128 places"):
        loaded(max_new_tokens=120).describe(pictures(1), 0)


def test_videos_may_be_cut_into_other_tiles_than_covers(loaded):
    asked = {}
    for grid in (None, [[64, 64]]):
        llava = loaded("video", video_grid=grid)
        asked[bool(grid)] = len(llava.processor(images=pictures(1, 3)[0], text=[llava.text])["input_ids"][0])
        assert llava.describe(pictures(1, 3), 0)
    # a tile of 32 x 32 is two rows of two tokens and one that ends the row; 64 x 64 is four rows of four
    assert asked == {False: 3 * (4 + 6) + 4, True: 3 * (4 + 20) + 4}


@pytest.fixture
def copied(checkpoint, tmp_path):
    """A copy of the checkpoint to do harm to: its folder, and its manifest."""
    folder = tmp_path / "copy"
    shutil.copytree(read_json(checkpoint)["folder"], folder)
    write_json(tmp_path / "copy.json", {"folder": str(folder)})
    return folder, tmp_path / "copy.json"


def test_a_processor_of_old_that_does_not_know_the_patches_is_told(loaded, copied):
    folder, manifest = copied
    settings = read_json(folder / "processor_config.json")
    for key in ("patch_size", "vision_feature_select_strategy", "num_additional_image_tokens"):
        del settings[key]
    write_json(folder / "processor_config.json", settings)
    assert loaded(manifest=manifest).describe(pictures(3), 0) == loaded().describe(pictures(3), 0)


def test_without_a_chat_template_it_is_not_known_how_to_ask(loaded, copied):
    (copied[0] / "chat_template.jinja").unlink()
    with pytest.raises(DataError, match="no chat template"):
        loaded(manifest=copied[1])


def test_a_template_that_loses_pictures_is_refused(loaded, copied):
    template = copied[0] / "chat_template.jinja"
    template.write_text("{{ messages[0]['content'][-1]['text'] }}")
    with pytest.raises(DataError, match="shows the model 0 pictures, not 1"):
        loaded(manifest=copied[1])


def test_another_kind_of_model_is_refused(loaded, copied):
    config = read_json(copied[0] / "config.json")
    (copied[0] / "config.json").write_text(json.dumps(config | {"model_type": "llava"}))
    with pytest.raises(ConfigError, match=r"captioners are LLaVA-NeXT .*not 'llava'"):
        loaded(manifest=copied[1])


def test_the_registry_is_read_without_torch_or_transformers():
    code = (
        "import sys, sanrec.captions.registry, sanrec.captions.prompts, sanrec.snakefile; "
        "sys.exit(bool({'torch', 'transformers', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
