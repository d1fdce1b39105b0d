"""What an item encoder reads, by item: cached hidden states, the frozen last state, or model-ready inputs.

Shapes: L kept layers, M channels, I items, n items asked for, D width.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sanrec.backbones.conversion import ModelInput


class ItemSource(Protocol):
    """Gives the item encoder's input for any items, by index from 1."""

    items: int
    at_once: int
    """Items per forward pass when all item vectors are wanted."""

    def gather(self, items: Tensor) -> Any:
        """The encoder's input for `items` [n]."""


CACHED_AT_ONCE = 1024
SMALLEST_SPREAD = 1e-3  # what is left below it is the rounding of half precision


class HiddenSource:
    """Kept hidden states of all items at half precision, on the device: [L, M, I, D]."""

    def __init__(self, bank_LMID: Tensor) -> None:
        self.bank = bank_LMID
        self.items, self.at_once = bank_LMID.shape[2], CACHED_AT_ONCE

    def gather(self, items: Tensor) -> Tensor:
        """[L, M, n, D] in float32, or bfloat16 under autocast."""
        dtype = torch.bfloat16 if torch.is_autocast_enabled(items.device.type) else torch.float32
        return self.bank.index_select(2, items - 1).to(dtype)


def standardized(states_ID: np.ndarray, used_I: np.ndarray) -> np.ndarray:
    """Hidden states of one layer [I, D] without their mean over the items, scaled to a spread of one over all of them.

    One scale per layer, so that features keep their relative sizes. Sequential training sees raw states mostly as one
    large vector that all items share; what tells items apart is small beside it. Items without the medium stay zero,
    and a layer in which all items are alike (a first token's embedding) becomes zero.
    """
    values = states_ID.astype(np.float32)
    values[used_I] -= values[used_I].mean(0)
    spread = values[used_I].std()
    values[used_I] /= spread if spread > SMALLEST_SPREAD else np.inf
    values[~used_I] = 0
    return values.astype(states_ID.dtype)


class FinalSource:
    """The pooled last state of each backbone, one [I, D] per channel."""

    def __init__(self, finals: Sequence[Tensor]) -> None:
        self.finals = list(finals)
        self.items, self.at_once = len(self.finals[0]), CACHED_AT_ONCE

    def gather(self, items: Tensor) -> list[Tensor]:
        """One [n, D] per channel, in float32."""
        return [final.index_select(0, items - 1).float() for final in self.finals]


class InputSource:
    """Model-ready integers of all items, turned into each backbone's keyword arguments when asked for."""

    def __init__(self, items: int, readers: Sequence[Callable[[Tensor], ModelInput]], at_once: int) -> None:
        self.items, self.readers, self.at_once = items, list(readers), at_once

    def gather(self, items: Tensor) -> list[ModelInput]:
        """One set of keyword arguments, with the real tokens, per channel."""
        return [reader(items - 1) for reader in self.readers]
