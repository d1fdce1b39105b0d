"""Model-ready inputs of a corpus' channel, decoded once, for training through the backbones."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sanrec import artifacts
from sanrec.backbones.extract import expected_settings, identity, missing_media
from sanrec.backbones.filling import fill
from sanrec.backbones.sources import Integers, Reading, channel_sources
from sanrec.backbones.store import check_settings, open_store, read_manifest, read_rows
from sanrec.backbones.writing import finish, inputs_plan, open_for_writing, unfinished
from sanrec.config import CHANNELS, Config
from sanrec.versions import STEPS

if TYPE_CHECKING:
    import torch

    from sanrec.backbones.conversion import ModelInput

IN_MEMORY_BYTES = 8 << 30
"""Inputs up to this size are read into memory as a whole; larger ones from the store, batch by batch."""

log = logging.getLogger(__name__)


def expected_input_settings(config: Config, corpus: str, channel: str, backbone: str) -> dict[str, Any]:
    """The settings of a store of inputs made by this configuration: those of hidden states that touch the inputs."""
    settings = expected_settings(config, corpus, channel, backbone)
    of_the_pass = ("pooling", "batch_size", "layers", "blocks", "dtype", "store_dtype")
    kept = {k: v for k, v in settings.items() if k not in of_the_pass}
    return kept | {"step_version": STEPS["inputs"]}


def build_input_store(
    config: Config,
    corpus: str,
    channel: str,
    backbone: str,
    items_path: str | Path | None = None,
    checkpoint_manifest: str | Path | None = None,
    manifest_out: str | Path | None = None,
    threads: int | None = None,
    captions_path: str | Path | None = None,
) -> dict[str, Any]:
    """Make the compressed store of integers that `manifest_out` vouches for, or go on with it; returns the manifest.

    Paths, missing media, limits, resuming and errors are those of `sanrec.backbones.extract.extract`. The model is
    not loaded.
    """
    from sanrec.backbones.checkpoints import open_checkpoint
    from sanrec.backbones.readers import model_inputs

    settings = expected_input_settings(config, corpus, channel, backbone)
    record = config.find("backbone", backbone)
    manifest = Path(manifest_out or artifacts.inputs(corpus, channel, backbone))
    checkpoint = open_checkpoint(checkpoint_manifest or artifacts.checkpoint(backbone))
    inputs = model_inputs(record, checkpoint, channel)
    sources = channel_sources(items_path or artifacts.items(corpus), corpus, channel, captions_path)
    made_by = identity(settings, inputs, checkpoint, sources)
    # the weights have no part in the inputs
    made_by["checkpoint_files"] = {
        k: v for k, v in made_by["checkpoint_files"].items() if not k.endswith(".safetensors")
    }
    plan = inputs_plan(inputs.arrays, record.chunk_rows)
    group, resumed = open_for_writing(
        manifest,
        made_by,
        len(sources),
        plan,
        record.chunk_rows,
        lambda count: made_by | {"data": sources.first(count).fingerprint()},
    )
    if not unfinished(group) and manifest.is_file():
        log.info("%s is finished, with these settings", manifest)
        return read_manifest(manifest)
    if resumed:
        log.info("going on with %s, where %d units are left", artifacts.store_of(str(manifest)), len(unfinished(group)))
    missing = missing_media(config, corpus, sources, manifest)
    seconds = config.find("corpus", corpus).seconds_per_item
    reading = Reading(inputs.read, threads or config.threads.extract, seconds)
    fill(group, sources, reading, missing, _as_they_are, record.batch_size, by_length=False)
    missing.write()
    return finish(manifest, "inputs", {"missing_report": missing.report.name})


def _as_they_are(rows: list[int], batch: Integers) -> dict[str, np.ndarray]:
    return batch


class StoredInputs:
    """A finished store of model-ready inputs. Missing items are zeros, and a text has no token."""

    def __init__(self, manifest: str | Path) -> None:
        self.group = open_store(manifest)
        self.manifest = read_manifest(manifest)
        self.arrays = {name: array for name, array in self.group.arrays() if name != "valid"}

    def read(self, rows: np.ndarray | None = None) -> Integers:
        """The integers of all items or of `rows`, by array name."""
        return {name: read_rows(array, rows) for name, array in self.arrays.items()}

    def read_valid(self, rows: np.ndarray | None = None) -> np.ndarray:
        """USED or MISSING per item."""
        return read_rows(self.group["valid"], rows)

    def reader(
        self, rows: np.ndarray, device: "torch.device | str" = "cpu", budget: int = IN_MEMORY_BYTES
    ) -> "Callable[[torch.Tensor], ModelInput]":
        """A function from positions [n] among `rows` to the model's input for these items, on the device."""
        from sanrec.backbones.conversion import to_model_input

        rows = np.asarray(rows)
        item_bytes = sum(a.dtype.itemsize * int(np.prod(a.shape[1:])) for a in self.arrays.values())
        loaded = self.read(rows) if item_bytes * len(rows) <= budget else None
        modality = CHANNELS[self.manifest["settings"]["channel"]]

        def read(positions: "torch.Tensor") -> "ModelInput":
            wanted = positions.cpu().numpy()
            batch = self.read(rows[wanted]) if loaded is None else {k: v[wanted] for k, v in loaded.items()}
            return to_model_input(modality, self.manifest["preprocessing"], batch, device)

        return read


def open_inputs(manifest: str | Path, asked: dict[str, Any] | None = None) -> StoredInputs:
    """The inputs of a manifest; with `asked`, refused where they were made by other settings (StoreError)."""
    if asked is not None:
        check_settings(manifest, asked)
    return StoredInputs(manifest)
