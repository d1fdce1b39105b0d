"""What an item encoder reads, by item: hidden states, cached or not, the frozen last state, or model-ready inputs.

Shapes: L kept layers, M channels, I items, n items asked for, D width; L_m, D_m of channel m where channels differ.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sanrec.backbones.conversion import ModelInput
from sanrec.backbones.pooling import in_type_of, pool
from sanrec.models.backward import working_type
from sanrec.models.missing import Masked
from sanrec.models.workspace import Room


class ItemSource(Protocol):
    """Gives the item encoder's input for any items, by index from 1."""

    items: int
    at_once: int
    """Items per forward pass when all item vectors are wanted."""

    def expect(self, items: Tensor) -> None:
        """Be told which items [n] are asked for next but one, so that they can be fetched meanwhile."""

    def gather(self, items: Tensor) -> Any:
        """The encoder's input for `items` [n]."""

    def release(self) -> None:
        """Be told that nothing gathered so far is in use any more, so that its memory can be written anew."""


class Source:
    """What sources share: most have all at hand, nothing to fetch beforehand, and give new tensors."""

    def expect(self, items: Tensor) -> None:
        """See `ItemSource`."""

    def release(self) -> None:
        """See `ItemSource`."""


class MaskedSource:
    """Another source, with what is known of items that lack media: the item encoder leaves these out."""

    def __init__(self, source: ItemSource, present_MI: Tensor) -> None:
        """`present` lies on the device of the source: which channels each item has."""
        self.source, self.present = source, present_MI
        self.items, self.at_once = source.items, source.at_once

    def expect(self, items: Tensor) -> None:
        """See `ItemSource`."""
        self.source.expect(items)

    def release(self) -> None:
        """See `ItemSource`."""
        self.source.release()

    def gather(self, items: Tensor) -> Masked:
        """What the source gives for `items` [n], and which channels each has."""
        return Masked(self.source.gather(items), self.present[:, items - 1])


class ZeroedSource(MaskedSource):
    """The same with zeros for states that are missing, as if these were data: what published code does."""

    def gather(self, items: Tensor) -> Any:
        """What the source gives for `items` [n], states [..., n, D] of each channel."""
        states, missing_Mn = self.source.gather(items), ~self.present[:, items - 1]
        if isinstance(states, Tensor):
            return states.masked_fill(missing_Mn[..., None], 0)
        return [of_one.masked_fill(lacking[:, None], 0) for of_one, lacking in zip(states, missing_Mn, strict=True)]


CACHED_AT_ONCE = 1024
STATISTICS_ROWS = 2048  # items at once where a layer's mean and spread are taken; the sums depend on it
SMALLEST_SPREAD = 1e-3  # what is left below it is the rounding of half precision


class HiddenSource(Source):
    """Kept hidden states of all items at half precision, on the device: [L, M, I, D].

    Float16, or bfloat16 where the towers compute in it: the same numbers as if they were rounded at each step.
    """

    def __init__(self, bank_LMID: Tensor) -> None:
        self.bank, self.room = bank_LMID, Room()
        self.items, self.at_once = bank_LMID.shape[2], CACHED_AT_ONCE

    def release(self) -> None:
        """See `ItemSource`."""
        self.room.release()

    def gather(self, items: Tensor) -> Tensor:
        """[L, M, n, D] as they are kept; towers widen them layer by layer."""
        layers, channels, _, width = self.bank.shape
        out = self.room.take((layers, channels, len(items), width), self.bank.dtype, self.bank.device)
        return torch.index_select(self.bank, 2, items - 1, out=out)


class UnequalHiddenSource(Source):
    """The same for channels of unequal width or number of layers: one bank [L_m, I, D_m] each."""

    def __init__(self, banks: Sequence[Tensor]) -> None:
        self.banks = list(banks)
        self.items, self.at_once = self.banks[0].shape[1], CACHED_AT_ONCE

    def gather(self, items: Tensor) -> list[Tensor]:
        """One [L_m, n, D_m] per channel, in float32, or bfloat16 under autocast."""
        return [bank.index_select(1, items - 1).to(working_type(items.device)) for bank in self.banks]


def standardized(states_ID: np.ndarray, used_I: np.ndarray) -> np.ndarray:
    """Hidden states of one layer [I, D] without their mean over the items, scaled to a spread of one over all of them.

    One scale per layer, so that features keep their relative sizes. Sequential training sees raw states mostly as one
    large vector that all items share; what tells items apart is small beside it. Items without the medium stay zero,
    and a layer in which all items are alike (a first token's embedding) becomes zero.
    """
    blocks = (slice(start, start + STATISTICS_ROWS) for start in range(0, len(states_ID), STATISTICS_ROWS))
    return scaled(states_ID, used_I, *statistics((states_ID[some], used_I[some]) for some in blocks))


def statistics(blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, float]:
    """One layer's mean over the items [D], and its spread around it, infinite where all items are alike.

    The items come in blocks of `STATISTICS_ROWS`: states [n, D], and which of them are used [n]. Sums of values and of
    squares are in float64, which has room for a large mean beside a small spread of half-precision numbers.
    """
    count, total, squares = 0, np.zeros(()), np.zeros(())
    for states_nD, used_n in blocks:
        values = states_nD[used_n].astype(np.float64)
        count, total, squares = count + len(values), total + values.sum(0), squares + np.square(values).sum(0)
    mean = total / max(count, 1)
    variance = (squares / max(count, 1) - mean**2).mean() if count else 0.0
    spread = float(np.sqrt(max(variance, 0.0)))
    return mean.astype(np.float32), spread if spread > SMALLEST_SPREAD else np.inf


def scaled(states_nD: np.ndarray, used_n: np.ndarray, mean_D: np.ndarray, spread: float) -> np.ndarray:
    """Some items of one layer [n, D] less its mean, by its spread; zero where they are not used."""
    values = (states_nD.astype(np.float32) - mean_D) / np.float32(spread)
    values[~used_n] = 0
    return values.astype(states_nD.dtype)


@dataclass(frozen=True)
class FrozenBackbone:
    """One channel's backbone, run on model-ready inputs whenever items are asked for."""

    reader: Callable[[Tensor], ModelInput]
    """From places [n] among the items to the forward pass' keyword arguments, with the real tokens."""
    model: nn.Module
    pooling: str
    kept: tuple[int, ...]
    """The hidden states that feed the towers, 0 being the embeddings."""
    used: Tensor
    """[I] which items have the medium; the others' states are zeros, as in the store."""
    at_once: int
    """Most items of a forward pass."""

    @torch.no_grad()
    def hidden(self, places: Tensor) -> Tensor:
        """Pooled hidden states [L, n, D] in float32."""
        self.model.eval()
        parts = []
        for some in places.split(self.at_once):
            kwargs, mask = self.reader(some)
            states = self.model(**in_type_of(self.model, kwargs), output_hidden_states=True).hidden_states
            pooled = [pool(states[layer], mask, self.pooling) for layer in self.kept]
            parts.append(torch.stack([one.to(places.device) for one in pooled]))  # a spread model's lie apart
        return torch.cat(parts, 1).masked_fill(~self.used[places][:, None], 0)


class UncachedSource(Source):
    """What `HiddenSource` gives, from frozen backbones that run anew in each step (the papers' uncached rows).

    The same numbers but for rounding: stored states went through float16 (one part in 2,048) after a pass in float32;
    here the pass has the step's own arithmetic, and a text's neighbours, up to whose length it is padded, are others.
    Nothing is kept for a backward pass, so items go through in groups of `at_once`, and memory stays that of one group.
    """

    def __init__(self, channels: Sequence[FrozenBackbone], equal: bool = True) -> None:
        self.channels, self.equal = list(channels), equal
        self.items = len(self.channels[0].used)
        self.at_once = min(channel.at_once for channel in self.channels)

    def gather(self, items: Tensor) -> Tensor | list[Tensor]:
        """[L, M, n, D], or one [L_m, n, D_m] per channel where they are not `equal`; types as of stored states."""
        dtype = working_type(items.device)
        states = [channel.hidden(items - 1) for channel in self.channels]
        return torch.stack(states, 1).to(dtype) if self.equal else [x.to(dtype) for x in states]


class FinalSource(Source):
    """The pooled last state of each backbone, one [I, D] per channel."""

    def __init__(self, finals: Sequence[Tensor]) -> None:
        self.finals = list(finals)
        self.items, self.at_once = len(self.finals[0]), CACHED_AT_ONCE

    def gather(self, items: Tensor) -> list[Tensor]:
        """One [n, D] per channel, in float32."""
        return [final.index_select(0, items - 1).float() for final in self.finals]


class IdSource(Source):
    """Items by their number, for encoders that hold a vector of each; with the frozen features of another source."""

    def __init__(self, items: int, features: ItemSource | None = None) -> None:
        self.items, self.features = items, features
        self.at_once = features.at_once if features else items

    def expect(self, items: Tensor) -> None:
        """See `ItemSource`."""
        if self.features:
            self.features.expect(items)

    def release(self) -> None:
        """See `ItemSource`."""
        if self.features:
            self.features.release()

    def gather(self, items: Tensor) -> Any:
        """The very indices [n], or with features both: indices and what the features' source gives."""
        return (items, self.features.gather(items)) if self.features else items


class InputSource(Source):
    """Model-ready integers of all items, turned into each backbone's keyword arguments when asked for."""

    def __init__(self, items: int, readers: Sequence[Callable[[Tensor], ModelInput]], at_once: int) -> None:
        self.items, self.readers, self.at_once = items, list(readers), at_once

    def gather(self, items: Tensor) -> list[ModelInput]:
        """One set of keyword arguments, with the real tokens, per channel."""
        return [reader(items - 1) for reader in self.readers]
