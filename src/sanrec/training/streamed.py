"""Hidden states that stay in the machine's memory and move to the model with each step: only their cost is measured.

Runs keep the bank of all items where the model is. IISAN-Versa (VI-D, Figure 7) loads each batch's cached states anew,
either all layers of them or only those that feed the towers. The numbers are the same in all three.

Shapes: I items, n items asked for, S layers that are loaded, L layers that feed the towers, M channels, D width; S_m,
L_m, D_m of channel m where channels differ.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sanrec.artifacts import Run
from sanrec.config import Config
from sanrec.data.split import Sequences
from sanrec.models.backward import working_type
from sanrec.models.registry import Shape
from sanrec.training.loading import (
    fill_banks,
    hidden_states,
    kept_of_towers,
    masked,
    modalities_of,
    store_type,
    with_ids,
)
from sanrec.training.precision import kept_type
from sanrec.training.sources import CACHED_AT_ONCE, ItemSource, Source

CPU = torch.device("cpu")


class StreamedSource(Source):
    """One bank [S_m, I, D_m] per channel, at half precision in the machine's memory, and which layers are kept."""

    def __init__(
        self, banks: Sequence[Tensor], kept: Sequence[Sequence[int]], equal: bool, device: torch.device
    ) -> None:
        self.banks, self.equal = list(banks), equal
        self.kept = [torch.tensor(places, device=device) for places in kept]
        self.items, self.at_once = self.banks[0].shape[1], CACHED_AT_ONCE

    def gather(self, items: Tensor) -> Tensor | list[Tensor]:
        """[L, M, n, D], or one [L_m, n, D_m] per channel where they are not equal; types as `HiddenSource` gives.

        All S layers of the items are taken out of the bank and moved; those that are not kept are dropped there.
        """
        places = (items - 1).to(CPU)
        states = []
        for bank, kept in zip(self.banks, self.kept, strict=True):
            moved = bank.index_select(1, places).to(items.device)
            if len(kept) < len(bank):
                moved = moved.index_select(0, kept)
            states.append(moved)
        return torch.stack(states, 1) if self.equal else [x.to(working_type(items.device)) for x in states]


def load_streamed(
    config: Config, run: Run, sequences: Sequences, device: torch.device, every_layer: bool
) -> tuple[ItemSource, Shape]:
    """As `load_source`, of a run on stored hidden states: with `every_layer` of the backbones in memory, or the kept.

    Raises StoreError where a store was made by other settings than the config has now, or lacks layers.
    """
    rows = sequences.item_rows[1:]
    stores = [hidden_states(config, run, source) for source in run.features]
    kept = kept_of_towers(run, [store.layers - 1 for store in stores])
    shape = Shape(modalities_of(run), tuple(store.width for store in stores), tuple(map(len, kept)))
    loaded = [tuple(range(store.layers)) for store in stores] if every_layer else kept
    together = [store_type(store) for store in stores]
    types = [kept_type(together if shape.equal else [own], run.settings, device) for own in together]
    banks = [
        torch.empty(len(layers), len(rows), store.width, dtype=dtype)
        for store, layers, dtype in zip(stores, loaded, types, strict=True)
    ]
    fill_banks(banks, stores, loaded, rows, run.settings.standardize)
    places = [[layers.index(layer) for layer in wanted] for layers, wanted in zip(loaded, kept, strict=True)]
    source = StreamedSource(banks, places, shape.equal, device)
    return with_ids(masked(source, config, run, rows, device), shape, run)
