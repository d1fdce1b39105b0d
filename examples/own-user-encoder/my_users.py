"""A user encoder of one's own: the history's mean, in which an item weighs less the longer ago it was."""

import torch
from torch import Tensor, nn


class Decay(nn.Module):
    """State s is the mean of items 0 to s, each weighed by rate^(s - its place), through one linear layer."""

    def __init__(self, settings, rate: float = 0.8) -> None:  # Settings of sanrec
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(float(rate)).logit())  # between 0 and 1, and learned
        self.linear = nn.Linear(settings.recommender_width, settings.recommender_width)

    def forward(self, items_BSE: Tensor, present_BS: Tensor) -> Tensor:
        """Item vectors [B, S, E], left-padded, and which are real [B, S], to user states [B, S, E]."""
        places = torch.arange(items_BSE.shape[1], device=items_BSE.device)
        ago = places[:, None] - places  # [S, S]: of each state (row) how long ago each item (column) was
        weights = torch.where(ago >= 0, self.rate.sigmoid() ** ago.clamp(min=0), 0.0)
        weights = weights * present_BS[:, None, :]  # [B, S, S]
        total = weights.sum(2, keepdim=True).clamp(min=1e-9)
        return self.linear(weights / total @ items_BSE)
