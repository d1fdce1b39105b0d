"""An item encoder of one's own: channels, each standardised over its numbers, meet in a small perceptron."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MeetingPoint(nn.Module):
    """Layer norm per channel, concatenation, one hidden layer: from one [n, D] per channel to item vectors [n, E]."""

    def __init__(self, shape, settings, hidden: int = 32) -> None:  # Shape and Settings of sanrec
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in shape.widths)
        self.perceptron = nn.Sequential(
            nn.Linear(sum(shape.widths), hidden),
            nn.GELU(),
            nn.Dropout(settings.dropout),
            nn.Linear(hidden, settings.recommender_width),
        )

    def forward(self, finals: Sequence[Tensor]) -> Tensor:
        """Final states, or ready-made features, of n items."""
        parts = [norm(x) for norm, x in zip(self.norms, finals, strict=True)]
        return self.perceptron(torch.cat(parts, 1))
