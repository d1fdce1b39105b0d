import shutil

import numpy as np
import pytest
import torch
import transformers

from sanrec.backbones.checkpoints import load_backbone, open_checkpoint
from sanrec.backbones.conversion import text_input, to_model_input
from sanrec.backbones.extract import extract
from sanrec.backbones.inputs import build_input_store, expected_input_settings, open_inputs
from sanrec.backbones.pooling import encode
from sanrec.backbones.readers import AudioInputs, model_inputs
from sanrec.backbones.store import USED, open_hidden, read_rows
from sanrec.errors import ConfigError, DataError, StoreError
from sanrec.media.audio import read_waveform
from sanrec.media.image import read_image

KINDS = ("text", "image", "video", "audio", "whisper")


@pytest.mark.parametrize("kind", KINDS)
def test_cached_inputs_give_the_states_of_extraction(world, checkpoints, tmp_path, kind):
    extract(*world.arguments(kind, tmp_path / "hidden.json"), device="cpu")
    build_input_store(*world.arguments(kind, tmp_path / "inputs.json"))
    states, stored = open_hidden(tmp_path / "hidden.json"), open_inputs(tmp_path / "inputs.json")
    used = np.flatnonzero(states.read_valid() == USED)
    assert np.array_equal(read_rows(stored.group["valid"]), states.read_valid())
    record = world.config.backbones[kind]
    model = load_backbone(checkpoints / f"{kind}.json")
    for budget in (0, 1 << 30):  # from the store, and from memory
        read = stored.reader(used, "cpu", budget)
        for start in range(0, len(used), 3):
            positions = torch.arange(start, min(start + 3, len(used)))
            with torch.inference_mode():
                hidden, final = encode(model, *read(positions), record.pooling)
            rows = used[positions.numpy()]
            np.testing.assert_allclose(hidden.numpy(), states.read_layers([0, 1, 2], rows), rtol=2e-3, atol=2e-3)
            np.testing.assert_allclose(final.numpy(), states.read_final(rows), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_stored_is_what_is_read(world, checkpoints, tmp_path, kind):
    manifest = build_input_store(*world.arguments(kind, tmp_path / "inputs.json"))
    inputs = model_inputs(
        world.config.backbones[kind], open_checkpoint(checkpoints / f"{kind}.json"), world.channel[kind]
    )
    found = open_inputs(tmp_path / "inputs.json").read(np.array([10, 0]))
    for place, row in enumerate((10, 0)):
        fresh = inputs.read(world.rows[row][world.channel[kind]])
        assert fresh.keys() == found.keys()
        for name, integers in fresh.items():
            assert integers.dtype == found[name].dtype == inputs.arrays[name][0]
            assert np.array_equal(integers, found[name][place])
    assert manifest["kind"] == "inputs"
    assert manifest["used"] + manifest["missing"] == 11


def test_stores_of_other_settings_are_refused(world, tmp_path):
    build_input_store(*world.arguments("image", tmp_path / "x.json"))
    asked = expected_input_settings(world.config, "tiny", "cover", "image")
    open_inputs(tmp_path / "x.json", asked)
    with pytest.raises(StoreError, match=r"chunk_rows: the store has 4, asked is 8"):
        open_inputs(tmp_path / "x.json", asked | {"chunk_rows": 8})
    again = build_input_store(*world.arguments("image", tmp_path / "x.json"))  # finished: nothing is done
    assert again["fingerprint"]


def test_pixels_are_normalised_as_transformers_does(world, checkpoints):
    inputs = model_inputs(world.config.backbones["image"], open_checkpoint(checkpoints / "image.json"), "cover")
    path = world.rows[0]["cover"]
    batch = {name: value[None] for name, value in inputs.read(path).items()}
    kwargs, mask = to_model_input("image", inputs.settings, batch)
    processor = transformers.ViTImageProcessorPil.from_pretrained(checkpoints / "image")
    theirs = processor(read_image(path), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(kwargs["pixel_values"], theirs.float(), atol=1e-5, rtol=0)
    assert mask is None


@pytest.mark.parametrize("kind", ["audio", "whisper"])
def test_quantised_sound_is_within_a_thousandth(world, checkpoints, kind):
    inputs = AudioInputs(open_checkpoint(checkpoints / f"{kind}.json"))
    for row in (0, 10):
        path = world.rows[row]["audio"]
        batch = {name: value[None] for name, value in inputs.read(path).items()}
        kwargs, _ = to_model_input("audio", inputs.settings, batch)
        if kind == "audio":
            extractor = transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=320)
            theirs = extractor(read_waveform(path), sampling_rate=16000, return_tensors="pt")["input_values"]
        else:
            theirs = transformers.WhisperFeatureExtractor()(
                read_waveform(path), sampling_rate=16000, return_tensors="pt"
            )
            theirs = theirs["input_features"]
        torch.testing.assert_close(next(iter(kwargs.values())), theirs.float(), atol=1e-3, rtol=0)


def test_leading_bos_is_attended_to_but_not_pooled():
    batch = {"input_ids": torch.tensor([[1, 5, 6, 0], [5, 1, 0, 0], [1, 0, 0, 0]]), "length": torch.tensor([3, 2, 1])}
    kwargs, mask = text_input({"bos": 1}, batch)
    assert kwargs["input_ids"].shape == (3, 3)
    assert kwargs["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0], [1, 0, 0]]
    assert mask.tolist() == [[0, 1, 1], [1, 1, 0], [1, 0, 0]]
    assert text_input({"bos": None}, batch)[1].tolist() == kwargs["attention_mask"].tolist()


def test_a_missing_text_among_others_gives_numbers(checkpoints):
    model = load_backbone(checkpoints / "text.json")
    batch = {"input_ids": np.array([[2, 7, 3], [0, 0, 0]], np.int32), "length": np.array([3, 0], np.int32)}
    kwargs, mask = to_model_input("text", {"bos": None}, batch)
    hidden, _ = encode(model, kwargs, mask, "mean")
    assert hidden.isfinite().all()


def test_preprocessors_that_do_not_fit_are_refused(world, checkpoints, tmp_path):
    shutil.copytree(checkpoints / "image", tmp_path / "image")
    (tmp_path / "image.json").write_text('{"folder": "image"}')
    config = tmp_path / "image" / "preprocessor_config.json"
    record = world.config.backbones["image"]
    config.write_text('{"image_processor_type": "ViTImageProcessor", "size": 48}')
    with pytest.raises(ConfigError, match=r"makes images of \(48, 48\), but the model's image_size is \(32, 32\)"):
        model_inputs(record, open_checkpoint(tmp_path / "image.json"), "cover")
    config.write_text('{"image_processor_type": "ViTImageProcessor", "size": {"longest_edge": 48}}')
    with pytest.raises(ConfigError, match="a size is a number or has height and width"):
        model_inputs(record, open_checkpoint(tmp_path / "image.json"), "cover")
    config.unlink()
    with pytest.raises(DataError, match=r"no preprocessor_config\.json to say how image is prepared"):
        model_inputs(record, open_checkpoint(tmp_path / "image.json"), "cover")
