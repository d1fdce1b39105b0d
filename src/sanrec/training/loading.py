"""What a run's item encoder reads, opened from its artifacts, and the shape the encoder is built for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from sanrec import artifacts
from sanrec.artifacts import Input, Run
from sanrec.backbones.store import USED
from sanrec.config import CHANNELS, Config
from sanrec.data.split import Sequences
from sanrec.errors import ConfigError
from sanrec.methods import METHODS
from sanrec.models.layerdrop import kept_layers
from sanrec.models.registry import Shape
from sanrec.training.sources import (
    FinalSource,
    FrozenBackbone,
    HiddenSource,
    InputSource,
    ItemSource,
    UncachedSource,
    standardized,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sanrec.backbones.inputs import StoredInputs
    from sanrec.backbones.store import HiddenStates

FROZEN_BATCHES = 8  # of extraction, in one pass of a frozen backbone: no file is decoded, and a fast GPU would wait


def load_source(config: Config, run: Run, sequences: Sequences, device: torch.device) -> tuple[ItemSource, Shape]:
    """What the run's item encoder reads, for the data set's items in their order, and the shape it is built for.

    Raises StoreError where a store was made by other settings than the config has now.
    """
    rows = sequences.item_rows[1:]
    reads = METHODS[run.model].reads
    if reads == "hidden" and not run.settings.cached:
        return _load_frozen(config, run, rows, device)
    loaders = {"hidden": _load_hidden, "final": _load_final, "inputs": _load_inputs}
    return loaders[reads](config, run, rows, device)


def _modalities(run: Run) -> tuple[str, ...]:
    return tuple(CHANNELS[source.channel] for source in run.inputs)


def _check_one_width(run: Run, widths: Sequence[int]) -> None:
    if len(set(widths)) > 1:
        named = ", ".join(f"{s.channel} {w}" for s, w in zip(run.inputs, widths, strict=True))
        raise ConfigError(f"{run.folder}: its towers need backbones of one width, not {named}")


def _hidden_states(config: Config, run: Run, source: Input) -> "HiddenStates":
    """A source's hidden states, refused where they were made by other settings than the config has now."""
    from sanrec.backbones.extract import expected_settings
    from sanrec.backbones.store import open_hidden

    names = config.datasets[run.dataset].corpus, source.channel, source.backbone
    return open_hidden(artifacts.hidden(*names), expected_settings(config, *names))


def _load_hidden(config: Config, run: Run, rows: np.ndarray, device: torch.device) -> tuple[ItemSource, Shape]:
    stores = [_hidden_states(config, run, source) for source in run.inputs]
    kept = [kept_layers(store.layers - 1, run.settings.layers, run.settings.blocks) for store in stores]
    widths = tuple(store.width for store in stores)
    _check_one_width(run, widths)
    dtype = torch.float32 if any(store.dtype == np.float32 for store in stores) else torch.float16
    # Filled layer by layer, so that loading takes no more than the bank itself and one layer.
    bank_LMID = torch.empty(len(kept[0]), len(stores), len(rows), widths[0], dtype=dtype, device=device)
    for channel, (store, layers) in enumerate(zip(stores, kept, strict=True)):
        for place, layer in enumerate(layers):
            states_ID = store.read_layers([layer], rows)[:, 0]
            if run.settings.standardize:
                states_ID = standardized(states_ID, store.read_valid(rows) == USED)
            bank_LMID[place, channel] = torch.from_numpy(states_ID)
    return HiddenSource(bank_LMID), Shape(_modalities(run), widths, layers=len(kept[0]))


def _load_final(config: Config, run: Run, rows: np.ndarray, device: torch.device) -> tuple[ItemSource, Shape]:
    stores = [_hidden_states(config, run, source) for source in run.inputs]
    finals = [torch.from_numpy(store.read_final(rows)).to(device) for store in stores]
    return FinalSource(finals), Shape(_modalities(run), tuple(f.shape[1] for f in finals), layers=1)


def _inputs_and_backbone(
    config: Config, run: Run, source: Input, device: torch.device
) -> tuple["StoredInputs", "PreTrainedModel"]:
    """A source's model-ready inputs, refused where other settings made them, and the backbone that reads them."""
    from sanrec.backbones.checkpoints import load_backbone
    from sanrec.backbones.inputs import expected_input_settings, open_inputs

    names = config.datasets[run.dataset].corpus, source.channel, source.backbone
    store = open_inputs(artifacts.inputs(*names), expected_input_settings(config, *names))
    return store, load_backbone(artifacts.checkpoint(source.backbone), device)


def _load_inputs(config: Config, run: Run, rows: np.ndarray, device: torch.device) -> tuple[ItemSource, Shape]:
    stores, backbones = zip(*(_inputs_and_backbone(config, run, source, device) for source in run.inputs), strict=True)
    readers = [store.reader(rows, device) for store in stores]
    poolings = tuple(config.backbones[source.backbone].pooling for source in run.inputs)
    widths = tuple(b.config.hidden_size for b in backbones)
    at_once = min(config.backbones[source.backbone].batch_size for source in run.inputs)
    return InputSource(len(rows), readers, at_once), Shape(_modalities(run), widths, 1, poolings, backbones)


def _load_frozen(config: Config, run: Run, rows: np.ndarray, device: torch.device) -> tuple[ItemSource, Shape]:
    channels = []
    for source in run.inputs:
        record = config.backbones[source.backbone]
        store, model = _inputs_and_backbone(config, run, source, device)
        kept = kept_layers(model.config.num_hidden_layers, run.settings.layers, run.settings.blocks)
        used = torch.from_numpy(store.read_valid(rows) == USED).to(device)
        at_once = FROZEN_BATCHES * record.batch_size
        channels.append(FrozenBackbone(store.reader(rows, device), model, record.pooling, kept, used, at_once))
    widths = tuple(channel.model.config.hidden_size for channel in channels)
    _check_one_width(run, widths)
    return UncachedSource(channels), Shape(_modalities(run), widths, layers=len(channels[0].kept))
