"""Training batches in which each unique item stands once.

Shapes: B users, S + 1 positions of a training sequence (S inputs, each with the next item as its target), n unique
items of the batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Training sequences of B users, as positions among the batch's unique items."""

    items: Tensor
    """[n] item indices (from 1), ascending, each once."""
    counts: Tensor
    """[n] how often each stands in the batch."""
    places: Tensor
    """[B, S + 1] where in `items` each position's item is; 0 at padding."""
    present: Tensor
    """[B, S + 1] which positions are real, not padding."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(*(t.to(device, non_blocking=True) for t in (self.items, self.counts, self.places, self.present)))


def make_batch(sequences: np.ndarray) -> Batch:
    """The batch of left-padded training sequences [B, S + 1] of item indices, 0 at padding."""
    present = sequences > 0
    items, places, counts = np.unique(sequences[present], return_inverse=True, return_counts=True)
    table = np.zeros(sequences.shape, dtype=np.int64)
    table[present] = places
    return Batch(*(torch.from_numpy(a) for a in (items.astype(np.int64), counts, table, present)))


def epoch_batches(sequences: np.ndarray, batch_size: int, seed: int, epoch: int) -> Iterator[Batch]:
    """All users once, in an order that depends on seed and epoch alone, so that a resumed run sees the same batches."""
    order = np.random.default_rng([seed, epoch]).permutation(len(sequences))
    for start in range(0, len(order), batch_size):
        yield make_batch(sequences[order[start : start + batch_size]])
