"""GRU4Rec's user encoder (Hidasi et al. 2016, arXiv 1511.06939), in the form that MicroLens has published.

Shapes: B users, S positions, E recommender width.
"""

import torch
from torch import Tensor, nn


class Gru4Rec(nn.Module):
    """Dropout on the item vectors, then GRU layers of width E without bias terms; states are the last layer's.

    Without bias a GRU at rest stays at rest while zeros come in: h = (1 - z) tanh(0) + z 0. So left padding, as zeros,
    leaves no trace. Weights start xavier-uniform.
    """

    def __init__(self, width: int, layers: int = 1, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(width, width, layers, bias=False, batch_first=True)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-uniform weights, of all three gates in one matrix, as published."""
        for weight in self.gru.parameters():
            nn.init.xavier_uniform_(weight)

    def forward(self, items_BSE: Tensor, present_BS: Tensor) -> Tensor:
        """Item vectors [B, S, E], left-padded, and which are real [B, S], to user states [B, S, E].

        State s has seen items 0 to s and no padding; states at padded positions mean nothing.
        """
        real = torch.where(present_BS[..., None], items_BSE, torch.zeros_like(items_BSE))
        return self.gru(self.dropout(real))[0]
