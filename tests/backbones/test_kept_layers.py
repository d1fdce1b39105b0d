"""Stores that hold only the layers that runs read."""

import numpy as np
import pytest

from sanrec.backbones import extract as step
from sanrec.backbones.inputs import expected_input_settings
from sanrec.backbones.store import open_hidden, verify
from sanrec.disk import store_bytes
from sanrec.errors import ConfigError, StoreError
from sanrec.load import load_config
from sanrec.models.layerdrop import kept_layers

NAMES = "tiny", "title", "llama"
RECORD = {
    "modality": "text", "source": "folder", "checkpoint": "llama", "pooling": "mean", "blocks": 7, "width": 16,
    "max_tokens": 8, "chunk_rows": 4, "batch_size": 3,
}  # fmt: skip


def config_with(world, **changes):
    corpora = {"tiny": world.config.corpora["tiny"].model_dump()}
    return load_config({"backbones": {"llama": RECORD | changes}, "corpora": corpora})


def extracted(world, decoders, out, **changes):
    config = config_with(world, **changes)
    step.extract(config, *NAMES, world.items, decoders / "llama.json", out, device="cpu")
    return open_hidden(out, step.expected_settings(config, *NAMES))


@pytest.mark.parametrize(
    ("rule", "layers"),
    [("even", (0, 2, 3, 4, 5, 6, 7)), ("even3", (0, 1, 4, 7)), ("down2", (0, 1, 2)), ("3-6", (0, 3, 6))],
)
def test_a_store_of_some_layers_gives_them_by_the_backbones_own_numbers(world, decoders, tmp_path, rule, layers):
    full = extracted(world, decoders, tmp_path / "full.json")
    some = extracted(world, decoders, tmp_path / "some.json", kept_layers=rule)
    assert kept_layers(7, rule) == layers  # written out above by hand
    assert some.manifest["settings"]["layers"] == list(layers)
    assert some.group["hidden"].shape == (11, len(layers), 16)
    assert (some.layers, full.layers) == (8, 8)
    wanted, rows = list(reversed(layers)), np.array([10, 0, 4])
    assert np.array_equal(some.read_layers(wanted, rows), full.read_layers(wanted, rows))
    assert np.array_equal(some.read_final(), full.read_final())
    verify(tmp_path / "some.json")


def test_a_layer_that_is_not_stored_is_refused_with_what_to_do(world, decoders, tmp_path):
    store = extracted(world, decoders, tmp_path / "some.json", kept_layers="even3")
    with pytest.raises(StoreError) as error:
        store.read_layers([0, 2, 4, 5])
    message = str(error.value)
    for part in ("holds layers 0, 1, 4, 7 of", "0 to 7", "2, 5", "backbones.llama.kept_layers", "snakemake"):
        assert part in message
    with pytest.raises(StoreError, match="has layers 0 to 7, not 8"):
        store.read_layers([8])


def test_another_choice_of_layers_is_another_store(world, decoders, tmp_path):
    extracted(world, decoders, tmp_path / "x.json", kept_layers="even3")
    with pytest.raises(StoreError, match=r"settings\.layers: the store has \[0, 1, 4, 7\], asked is None"):
        extracted(world, decoders, tmp_path / "x.json")


def test_where_nothing_is_set_settings_are_as_they_were(world):
    plain, some = config_with(world), config_with(world, kept_layers="even3")
    assert set(step.expected_settings(plain, *NAMES)) == {
        "corpus", "channel", "backbone", "checkpoint", "revision", "pooling", "chunk_rows", "batch_size",
        "step_version", "max_tokens",
    }  # fmt: skip
    assert expected_input_settings(plain, *NAMES) == expected_input_settings(some, *NAMES)


@pytest.mark.parametrize("rule", ["full", "even3"])
@pytest.mark.parametrize("rows", [4, 16])
def test_what_a_store_takes_follows_from_its_shapes(world, decoders, tmp_path, rule, rows):
    store = extracted(world, decoders, tmp_path / "x.json", kept_layers=rule, chunk_rows=rows)
    folder = tmp_path / "x.zarr"
    chunks = [p for p in folder.rglob("*") if p.is_file() and p.name != "zarr.json"]
    need = store_bytes(11, len(store.stored), 16, rows)
    assert sum(p.stat().st_size for p in chunks) == need
    assert 0 < store.manifest["bytes"] - need < 6000  # the arrays' descriptions


def test_the_papers_own_figures():
    items = 20_314  # of Scientific
    rows = -(-items // 256) * 256
    assert store_bytes(items, 81, 8192, 256) == rows * (82 * 8192 * 2 + 1)
    assert store_bytes(items, 81, 8192, 1) / 1e9 == pytest.approx(27.3, abs=0.05)  # of it 27.0 in hidden states
    assert store_bytes(items, 7, 8192, 1) / 1e9 == pytest.approx(2.66, abs=0.01)  # with the final state


@pytest.mark.parametrize("rule", ["even9", "2-8"])
def test_a_rule_that_the_backbone_is_too_shallow_for(world, rule):
    with pytest.raises(ConfigError, match=r"backbones\.llama\.kept_layers: .*only 7 blocks"):
        step.expected_settings(config_with(world, kept_layers=rule), *NAMES)


@pytest.mark.parametrize("rule", ["odd", "3-2", "even+even", "even4_top2"])
def test_what_is_no_rule_is_refused(world, rule):
    with pytest.raises(ConfigError, match="kept_layers"):
        config_with(world, kept_layers=rule)
