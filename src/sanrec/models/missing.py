"""Items that lack a medium: their towers are left out, and the weights of the others are made to sum to what they did.

Not in the papers, whose items have all media. Shapes: M channels, K towers, n items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

NOTHING = -1e9  # a score whose exponential is zero; finite, for an item may have no medium at all


@dataclass(frozen=True)
class Masked:
    """An item encoder's input, and which channels each item has."""

    inputs: Any
    """As it would be alone; what is missing may hold anything finite."""
    present: Tensor
    """[M, n], true where an item has the medium."""


def unmasked(inputs: Any) -> tuple[Any, Tensor | None]:
    """An item encoder's input as it is alone, and which channels items have [M, n]: None where they have all."""
    if not isinstance(inputs, Masked):
        return inputs, None
    return inputs.inputs, None if bool(inputs.present.all()) else inputs.present


@dataclass(frozen=True)
class Groups:
    """Items in an order in which those that have the same channels stand together: G groups."""

    order: Tensor
    """[n] items."""
    sizes: list[int]
    """How many items each group has [G]; they add up to n."""
    present: Tensor
    """The channels that each group has [G, M]."""


def groups_of(present_Mn: Tensor) -> Groups:
    """The items' groups, of at most 2^M kinds, one of them perhaps with no channel at all."""
    powers_M = 2 ** torch.arange(len(present_Mn), device=present_Mn.device)
    codes, order = (present_Mn * powers_M[:, None]).sum(0).sort(stable=True)
    kinds, sizes = codes.unique_consecutive(return_counts=True)
    return Groups(order, sizes.tolist(), (kinds[:, None] & powers_M) > 0)


def masked_softmax(scores: Tensor, present: Tensor, dim: int) -> Tensor:
    """Softmax over those that are present, the others at zero; all at zero where none is. Shapes broadcast."""
    return scores.masked_fill(~present, NOTHING).softmax(dim) * present


def evened(parts: Sequence[Tensor], present_Mn: Tensor | None) -> list[Tensor]:
    """Parts [n, ...] of a sum or concatenation, one per channel: zero where missing, those left scaled by M / present.

    So what reads them sees as much as of an item that has all, as under dropout.
    """
    if present_Mn is None:
        return list(parts)
    weights_Mn = present_Mn * (len(present_Mn) / present_Mn.sum(0).clamp_min(1))
    shape = (-1, *[1] * (parts[0].ndim - 1))
    return [
        part.masked_fill(~here.view(shape), 0) * weight.to(part.dtype).view(shape)
        for part, here, weight in zip(parts, present_Mn, weights_Mn, strict=True)
    ]


def renormalised(weights_M: Tensor, present_Mn: Tensor | None) -> Tensor:
    """Channels' weights that sum to one [M], as each item's [M, n], which sum to one over what it has ([M, 1]: all)."""
    if present_Mn is None:
        return weights_M[:, None]
    weights_Mn = weights_M[:, None] * present_Mn
    return weights_Mn / weights_Mn.sum(0).clamp_min(torch.finfo(weights_M.dtype).tiny)
