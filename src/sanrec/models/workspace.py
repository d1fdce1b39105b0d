"""Memory that goes from step to step.

What one step needs, the next one needs again. The system would else hand out hundreds of megabytes anew each time: in
pieces that end up between each other, and each page of which it fills with zeros first, which takes longer than to fill
it with what is wanted.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Workspace:
    """One piece of memory, lent to one step at a time and kept as large as the largest that asked for it."""

    def __init__(self) -> None:
        self._free: Tensor | None = None

    def take(self, numbers: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """A piece of at least so many numbers, with anything in it; a new one while the kept one is out."""
        kept, self._free = self._free, None
        if kept is None or kept.dtype != dtype or kept.device != device or len(kept) < numbers:
            del kept  # before its successor is asked for
            return torch.empty(numbers, dtype=dtype, device=device)
        return kept

    def give_back(self, piece: Tensor) -> None:
        """What was taken, to be lent again; the largest piece stays."""
        if self._free is None or len(self._free) < len(piece):
            self._free = piece

    def release(self) -> None:
        """Let go of what is kept, for a time without steps: an evaluation needs room of its own."""
        self._free = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Workspace":
        return Workspace()  # a copied model has its own


class Room:
    """Tensors that are all let go of at once, at the end of a step: one of them has the memory of the last step's."""

    def __init__(self) -> None:
        self._workspace = Workspace()
        self._lent: Tensor | None = None

    def take(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """A tensor of that shape with anything in it, its holder's until the next `release`."""
        numbers = math.prod(shape)
        with torch.inference_mode(False):  # else what an evaluation leaves behind could not take part in training
            self._lent = self._workspace.take(numbers, dtype, device)
        return self._lent[:numbers].view(*shape)

    def release(self) -> None:
        """Be told that nothing that was taken is in use any more."""
        if self._lent is not None:
            self._workspace.give_back(self._lent)
            self._lent = None
