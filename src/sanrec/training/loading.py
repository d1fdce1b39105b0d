"""What a run's item encoder reads, opened from its artifacts, and the shape the encoder is built for."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from sanrec import artifacts
from sanrec.artifacts import Input, Run
from sanrec.backbones.store import USED, open_store, read_rows
from sanrec.config import CHANNELS, Config
from sanrec.data.split import Sequences
from sanrec.errors import ConfigError
from sanrec.models.layerdrop import tower_layers
from sanrec.models.registry import Shape
from sanrec.training.budget import Packed, load_budgeted
from sanrec.training.precision import kept_type
from sanrec.training.sources import (
    FinalSource,
    FrozenBackbone,
    HiddenSource,
    IdSource,
    InputSource,
    ItemSource,
    MaskedSource,
    UncachedSource,
    UnequalHiddenSource,
    ZeroedSource,
    standardized,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sanrec.backbones.inputs import StoredInputs
    from sanrec.backbones.store import HiddenStates

SourceLoader = Callable[[Config, Run, Sequences, torch.device], tuple[ItemSource, Shape]]
FROZEN_BATCHES = 8  # of extraction, in one pass of a frozen backbone: no file is decoded, and a fast GPU would wait


def load_source(config: Config, run: Run, sequences: Sequences, device: torch.device) -> tuple[ItemSource, Shape]:
    """What the run's item encoder reads, for the data set's items in their order, and the shape it is built for.

    Raises StoreError where a store was made by other settings than the config has now.
    """
    rows = sequences.item_rows[1:]
    reads = run.spec.reads
    if run.spec.ids:
        return _load_ids(config, run, rows, device)
    if reads == "hidden" and run.settings.cached:
        source, shape = _load_hidden(config, run, sequences, device)
    else:
        loaders = {"hidden": _load_frozen, "final": _load_final, "inputs": _load_inputs}
        source, shape = loaders[reads](config, run, rows, device)
    return with_ids(masked(source, config, run, rows, device), shape, run)


def with_ids(source: ItemSource, shape: Shape, run: Run) -> tuple[ItemSource, Shape]:
    """The same where each item has a vector beside, if the run's inputs ask for it."""
    if artifacts.IDS not in run.inputs:
        return source, shape
    return IdSource(source.items, source), replace(shape, items=source.items, beside=True)


def masked(source: ItemSource, config: Config, run: Run, rows: np.ndarray, device: torch.device) -> ItemSource:
    """The source, told which items lack media; as it is where none does."""
    present_MI = present_media(config, run, rows)
    if present_MI.all():
        return source
    kinds = {"masked": MaskedSource, "zeros": ZeroedSource}
    return kinds[run.settings.missing](source, torch.from_numpy(present_MI).to(device))


def present_media(config: Config, run: Run, rows: np.ndarray) -> np.ndarray:
    """Which of the items in `rows` have each source's medium, [M, I]: those whose store has it.

    Of these the setting `missing_share` takes some away, drawn by the run's seed for each source by itself.
    """
    place = artifacts.inputs if artifacts.reads_inputs(run) else artifacts.hidden
    corpus, present = config.datasets[run.dataset].corpus, []
    for number, source in enumerate(run.features):
        valid = read_rows(open_store(place(corpus, source.channel, source.backbone))["valid"], rows) == USED
        drawn = np.random.default_rng([run.seed, number]).random(len(rows))
        present.append(valid & (drawn >= run.settings.missing_share))
    return np.array(present)


def modalities_of(run: Run) -> tuple[str, ...]:
    """The modality of each source of the run."""
    return tuple(CHANNELS[source.channel] for source in run.features)


def kept_of_towers(run: Run, depths: Sequence[int]) -> list[tuple[int, ...]]:
    """The hidden states that feed each tower of a run, whose backbones have so many blocks. Raises ConfigError."""
    names = [f"{source.channel}@{source.backbone}" for source in run.features]
    return tower_layers(depths, run.settings.layers, run.settings.blocks, names)


def hidden_states(config: Config, run: Run, source: Input) -> "HiddenStates":
    """A source's hidden states, refused where they were made by other settings than the config has now."""
    from sanrec.backbones.extract import expected_settings
    from sanrec.backbones.store import open_hidden

    names = config.datasets[run.dataset].corpus, source.channel, source.backbone
    return open_hidden(artifacts.hidden(*names), expected_settings(config, *names))


def _load_hidden(config: Config, run: Run, sequences: Sequences, device: torch.device) -> tuple[ItemSource, Shape]:
    rows = sequences.item_rows[1:]
    stores = [hidden_states(config, run, source) for source in run.features]
    kept = kept_of_towers(run, [store.layers - 1 for store in stores])
    shape = Shape(modalities_of(run), tuple(store.width for store in stores), tuple(map(len, kept)))
    types = [store_type(store) for store in stores]
    widest = kept_type(types, run.settings, device)
    dtypes = [widest if shape.equal else kept_type([one], run.settings, device) for one in types]
    item_bytes = sum(
        len(layers) * store.width * dtype.itemsize for layers, store, dtype in zip(kept, stores, dtypes, strict=True)
    )
    if config.memory_budget is not None and item_bytes * len(rows) > config.memory_budget:
        often = np.bincount(sequences.training_items()[0], minlength=len(rows) + 1)[1:]
        packed = Packed(stores, kept, rows, dtypes, run.settings.standardize)
        return load_budgeted(packed, often, config.memory_budget, Path(run.folder), device, shape.equal), shape
    if not shape.equal:
        banks = [
            torch.empty(len(layers), len(rows), store.width, dtype=dtype, device=device)
            for store, layers, dtype in zip(stores, kept, dtypes, strict=True)
        ]
        fill_banks(banks, stores, kept, rows, run.settings.standardize)
        return UnequalHiddenSource(banks), shape
    bank_LMID = torch.empty(len(kept[0]), len(stores), len(rows), stores[0].width, dtype=widest, device=device)
    fill_banks(bank_LMID.unbind(1), stores, kept, rows, run.settings.standardize)
    return HiddenSource(bank_LMID), shape


def store_type(store: "HiddenStates") -> torch.dtype:
    """The type of a store's numbers."""
    return torch.float32 if store.dtype == np.float32 else torch.float16


def fill_banks(
    banks: Sequence[torch.Tensor],
    stores: Sequence["HiddenStates"],
    kept: Sequence[Sequence[int]],
    rows: np.ndarray,
    standardize: bool,
) -> None:
    """Read each channel's kept layers into its bank [L, I, D].

    Layer by layer, so that loading takes no more than the banks themselves and one layer.
    """
    for bank_LID, store, layers in zip(banks, stores, kept, strict=True):
        for place, layer in enumerate(layers):
            states_ID = store.read_layers([layer], rows)[:, 0]
            if standardize:
                states_ID = standardized(states_ID, store.read_valid(rows) == USED)
            bank_LID[place] = torch.from_numpy(states_ID)


def _load_final(config: Config, run: Run, rows: np.ndarray, device: torch.device) -> tuple[ItemSource, Shape]:
    finals = [torch.from_numpy(feature).to(device) for feature in frozen_features(config, run, rows)]
    return FinalSource(finals), Shape(modalities_of(run), tuple(f.shape[1] for f in finals), layers=1)


def frozen_features(config: Config, run: Run, rows: np.ndarray) -> list[np.ndarray]:
    """What each channel's backbone makes of the items in `rows`, [n, D_m] each: the final state, or `feature_layer`.

    Raises ConfigError for a layer that a store does not keep.
    """
    layer = run.settings.feature_layer
    stores = [hidden_states(config, run, source) for source in run.features]
    if layer == "final":
        return [store.read_final(rows) for store in stores]
    return [store.read_layers([int(layer)], rows)[:, 0] for store in stores]


def _load_ids(config: Config, run: Run, rows: np.ndarray, device: torch.device) -> tuple[ItemSource, Shape]:
    if not run.features:
        return IdSource(len(rows)), Shape((), (), layers=1, items=len(rows))
    features, shape = _load_final(config, run, rows, device)
    return IdSource(len(rows), masked(features, config, run, rows, device)), replace(shape, items=len(rows))


def _inputs_and_backbone(
    config: Config, run: Run, source: Input, device: torch.device
) -> tuple["StoredInputs", "PreTrainedModel"]:
    """A source's model-ready inputs, refused where other settings made them, and the backbone that reads them."""
    from sanrec.backbones.checkpoints import load_backbone
    from sanrec.backbones.inputs import expected_input_settings, open_inputs

    names = config.datasets[run.dataset].corpus, source.channel, source.backbone
    store = open_inputs(artifacts.inputs(*names), expected_input_settings(config, *names))
    record, tuned = config.backbones[source.backbone], run.spec.reads == "inputs"
    frozen = () if tuned else (record.dtype, record.device_map)
    backbone = load_backbone(artifacts.checkpoint(source.backbone), device, *frozen)
    if tuned and config.activation_checkpointing:
        if not backbone.supports_gradient_checkpointing:
            raise ConfigError(
                f"config key 'activation_checkpointing' is true, but backbone '{source.backbone}' "
                f"({type(backbone).__name__}) cannot forget its inner states: set it to false"
            )
        backbone.gradient_checkpointing_enable({"use_reentrant": False})
    return store, backbone


def _load_inputs(config: Config, run: Run, rows: np.ndarray, device: torch.device) -> tuple[ItemSource, Shape]:
    stores, backbones = zip(
        *(_inputs_and_backbone(config, run, source, device) for source in run.features), strict=True
    )
    readers = [store.reader(rows, device) for store in stores]
    poolings = tuple(config.backbones[source.backbone].pooling for source in run.features)
    widths = tuple(b.config.hidden_size for b in backbones)
    at_once = min(config.backbones[source.backbone].batch_size for source in run.features)
    return InputSource(len(rows), readers, at_once), Shape(modalities_of(run), widths, 1, poolings, backbones)


def _load_frozen(config: Config, run: Run, rows: np.ndarray, device: torch.device) -> tuple[ItemSource, Shape]:
    stores, models = zip(*(_inputs_and_backbone(config, run, source, device) for source in run.features), strict=True)
    kept = kept_of_towers(run, [model.config.num_hidden_layers for model in models])
    shape = Shape(modalities_of(run), tuple(m.config.hidden_size for m in models), tuple(map(len, kept)))
    channels = []
    for source, store, model, layers in zip(run.features, stores, models, kept, strict=True):
        record = config.backbones[source.backbone]
        used = torch.from_numpy(store.read_valid(rows) == USED).to(device)
        reader = store.reader(rows, device)
        at_once = FROZEN_BATCHES * record.batch_size
        channels.append(FrozenBackbone(reader, model, record.pooling, layers, used, at_once))
    return UncachedSource(channels, shape.equal), shape
