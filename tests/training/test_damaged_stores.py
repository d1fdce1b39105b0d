"""A store with a flipped bit: whoever reads it for a run is told which file is damaged, and what to do."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sanrec import artifacts
from sanrec.backbones import checked
from sanrec.backbones.extract import extract
from sanrec.backbones.inputs import build_input_store
from sanrec.data.interactions import load_sequences
from sanrec.errors import StoreError
from sanrec.files import sha256
from sanrec.training.information import used_items
from sanrec.training.loading import load_source
from sanrec.training.run import train_run
from sanrec.training.streamed import load_streamed

CPU = torch.device("cpu")
HIDDEN = artifacts.hidden("shop", "cover", "tiny-vit")
INPUTS = artifacts.inputs("shop", "cover", "tiny-vit")


@pytest.fixture
def shop(made_shop, tmp_path, monkeypatch):
    """A copy of the working folder, to be damaged."""
    folder, config = made_shop
    shutil.copytree(folder, tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    sequences = load_sequences(artifacts.interactions("shop"))
    return SimpleNamespace(config=config, sequences=sequences)


def flip(manifest: str, chunk: str) -> Path:
    file = Path(artifacts.store_of(manifest), chunk)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)
    return file


def load(shop, model="crossan", **settings):
    run = artifacts.run(shop.config, "shop", model, "TI", settings)
    return load_source(shop.config, run, shop.sequences, CPU)


def within_budget(shop):
    load(SimpleNamespace(config=shop.config.model_copy(update={"memory_budget": 1000}), sequences=shop.sequences))


def streamed(shop):
    run = artifacts.run(shop.config, "shop", "crossan", "TI", {})
    load_streamed(shop.config, run, shop.sequences, CPU, every_layer=True)


def trained(shop):
    train_run(shop.config, artifacts.run(shop.config, "shop", "crossan", "TI", {}))


def validity(shop):
    run = artifacts.run(shop.config, "shop", "crossan", "TI", {})
    used_items(shop.config, run, run.inputs[1], shop.sequences.item_rows[1:])


@pytest.mark.parametrize(
    ("reads", "manifest", "chunk"),
    [
        (load, HIDDEN, "hidden/c/1/3/0"),
        (load, HIDDEN, "valid/c/2"),
        (within_budget, HIDDEN, "hidden/c/2/0/0"),
        (streamed, HIDDEN, "hidden/c/0/1/0"),
        (trained, HIDDEN, "hidden/c/0/0/0"),
        (validity, HIDDEN, "valid/c/0"),
        (lambda shop: load(shop, "frozen"), HIDDEN, "final/c/1/0"),
        (lambda shop: load(shop, "adapter"), INPUTS, "pixels/c/1/0/0/0"),
        (lambda shop: load(shop, cached=False), INPUTS, "pixels/c/0/0/0/0"),
        (load, HIDDEN, "hidden/zarr.json"),
    ],
)
def test_a_flipped_bit_is_named_and_not_used(shop, reads, manifest, chunk):
    file = flip(manifest, chunk)
    with pytest.raises(StoreError) as told:
        reads(shop)
    assert chunk in str(told.value)
    assert str(file).removesuffix(f"/{chunk}") in str(told.value)
    assert f"snakemake {manifest} --cores" in str(told.value)
    assert f"Remove {manifest}" in str(told.value)


def test_what_no_run_reads_is_not_read_for_its_checksum_and_each_file_is_so_once(shop, monkeypatch):
    flip(HIDDEN, "final/c/0/0")
    flip(HIDDEN, "hidden/c/0/1/0")
    found = []
    real = checked.digest
    monkeypatch.setattr(checked, "digest", lambda data: (found.append(len(data)), real(data))[1])
    load(shop, layers="full+top1", blocks=1)
    first = len(found)
    assert first > 0
    load(shop, layers="full+top1", blocks=1)
    assert len(found) == first


@pytest.mark.parametrize(("manifest", "array"), [(HIDDEN, "hidden"), (INPUTS, "pixels")])
@pytest.mark.parametrize("manifest_gone", [True, False])
def test_a_damaged_unit_alone_is_made_again_by_the_step_itself(shop, manifest, array, manifest_gone):
    make = extract if manifest == HIDDEN else build_input_store
    store = Path(artifacts.store_of(manifest))
    chunk = sorted(p for p in store.glob(f"{array}/c/1/**/*") if p.is_file())[0]
    before = {path: (sha256(path), path.stat().st_mtime_ns) for path in store.rglob("c/**/*") if path.is_file()}
    flip(manifest, chunk.relative_to(store).as_posix())
    if manifest_gone:  # as the message says, or Snakemake does
        Path(manifest).unlink()
    make(shop.config, "shop", "cover", "tiny-vit")
    after = {path: (sha256(path), path.stat().st_mtime_ns) for path in store.rglob("c/**/*") if path.is_file()}
    assert {path: digest for path, (digest, _) in after.items()} == {p: digest for p, (digest, _) in before.items()}
    again = {path.relative_to(store).parts[2] for path in after if after[path] != before[path]}
    assert again == {"1"}
    load(shop)
    load(shop, "adapter")
