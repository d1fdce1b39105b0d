"""What models of towers of unequal widths share: a head per tower, and their fusion.

Shapes: K towers, n items, D_k width of a tower, E recommender width.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


def tower_head(width: int, outputs: int) -> nn.Sequential:
    """From a tower's last output to its vector e: Linear(D, E), Linear(E, E), nothing between.

    As the published code of IISAN-VA has it for its intra towers.
    """
    return nn.Sequential(nn.Linear(width, outputs), nn.Linear(outputs, outputs))


def fused(
    fusion: nn.Module, heads: Iterable[nn.Module], towers: Sequence[Tensor], present_Kn: Tensor | None = None
) -> Tensor:
    """Item vectors [n, E] of the towers' last outputs, [n, D_k] each; `present` as for a fusion."""
    return fusion(torch.stack([head(z) for head, z in zip(heads, towers, strict=True)]), present_Kn)
