"""Where weights go, and what is said where a library for them is missing."""

import importlib.util
import json
import shutil

import pytest
import torch

from sanrec import artifacts
from sanrec.backbones import placing
from sanrec.backbones.checkpoints import load_backbone
from sanrec.backbones.extract import extract
from sanrec.backbones.placing import placement
from sanrec.errors import ConfigError
from sanrec.load import load_config

CPU, GPU, SECOND = torch.device("cpu"), torch.device("cuda"), torch.device("cuda:1")


@pytest.mark.parametrize(
    ("device", "half", "device_map", "placed"),
    [
        (CPU, False, None, None),
        (CPU, True, "auto", None),
        (GPU, False, None, None),
        (GPU, True, None, {"": GPU}),
        (GPU, False, "auto", "auto"),
        (GPU, True, "auto", "auto"),
        (SECOND, True, "auto", {"": SECOND}),  # the user named one GPU
    ],
)
def test_large_models_go_straight_to_their_gpus(device, half, device_map, placed):
    assert placement("here", None, device, half, device_map) == placed


def test_quantised_weights_are_placed_by_their_reader(monkeypatch):
    monkeypatch.setattr(placing, "require", lambda packages, command, what: None)
    assert placement("here", "gptq", CPU, True, "auto") == {"": CPU}
    assert placement("here", "gptq", GPU, True, "auto") == "auto"
    with pytest.raises(ConfigError, match="quantised by 'awq'; what can be read is gptq"):
        placement("here", "awq", GPU, True, None)


@pytest.fixture
def quantised(decoders, tmp_path):
    """A checkpoint whose config.json says that its weights are quantised."""
    shutil.copytree(decoders / "llama", tmp_path / "llama")
    config = json.loads((tmp_path / "llama" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": 16, "desc_act": False}
    (tmp_path / "llama" / "config.json").write_text(json.dumps(config))
    (tmp_path / "llama.json").write_text('{"folder": "llama"}')
    return tmp_path / "llama.json"


def test_missing_packages_are_named_with_the_command_that_installs_them(quantised, monkeypatch):
    real = importlib.util.find_spec
    absent = ("gptqmodel", "optimum")
    monkeypatch.setattr(placing.importlib.util, "find_spec", lambda name: None if name in absent else real(name))
    with pytest.raises(ConfigError, match=r"by gptq needs gptqmodel and optimum\. .*pip install --no-deps -r"):
        load_backbone(quantised, dtype="float16")


def test_record_and_checkpoint_must_agree_on_quantisation(world, quantised, tmp_path):
    record = {
        "modality": "text", "source": "folder", "checkpoint": "llama", "pooling": "mean", "blocks": 7, "width": 16,
    }  # fmt: skip
    corpora = {"tiny": world.config.corpora["tiny"].model_dump()}
    config = load_config({"backbones": {"llama": record}, "corpora": corpora})
    with pytest.raises(ConfigError, match=r"backbones.llama.quantization is not set, but .* are quantised by gptq"):
        extract(config, "tiny", "title", "llama", world.items, quantised, tmp_path / "x.json", device="cpu")
    assert not (tmp_path / "x.zarr").exists()


def test_quantised_backbones_are_read_frozen_only():
    config = load_config({"backbones": {"llama-3-70b-gptq": {"revision": "0" * 40}}})
    inputs = "title@llama-3-70b-gptq+cover"
    assert artifacts.run(config, "scientific", "iisan", inputs).inputs[0].backbone == "llama-3-70b-gptq"
    for model in ("full", "lora"):
        with pytest.raises(ConfigError, match="trains its backbones, but the weights of 'llama-3-70b-gptq' are"):
            artifacts.run(config, "scientific", model, inputs)
