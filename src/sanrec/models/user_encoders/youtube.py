"""YouTube's user encoder: the mean of the history under a perceptron (Covington et al. 2016, Section 3 and Figure 3).

Shapes: B users, S positions, E recommender width.
"""

import torch
from torch import Tensor, nn


class YouTube(nn.Module):
    """Mean of the item vectors so far, then layers of dropout, Linear(E, E) and ReLU, the last one's output the state.

    Order is not seen. Trained on the next item at every position, as every sequence method here; the paper trains on
    one held-back watch per example. Xavier-normal weights, zero biases.
    """

    def __init__(self, width: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-normal weights, zero biases."""
        for layer in self.layers:
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, items_BSE: Tensor, present_BS: Tensor) -> Tensor:
        """Item vectors [B, S, E], left-padded, and which are real [B, S], to user states [B, S, E].

        State s has seen items 0 to s and no padding; states at padded positions mean nothing.
        """
        real = torch.where(present_BS[..., None], items_BSE, torch.zeros_like(items_BSE))
        x = real.cumsum(1) / present_BS.cumsum(1).clamp(min=1)[..., None]
        for layer in self.layers:
            x = layer(self.dropout(x)).relu()
        return x
