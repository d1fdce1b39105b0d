"""LightGCN (He et al. 2020, arXiv 2002.02126): propagation without weights or non-linearities.

Shapes: U users, I items, B interactions, E width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sanrec.config import Settings
from sanrec.models.pairs.base import RankingLoss, VectorModel, embeddings, propagate, rows
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.losses import half_squares


class LightGCN(VectorModel):
    """e^(l+1) = D^-1/2 A D^-1/2 e^(l); the final vectors are the mean over layers 0 to L (Eq. 3, 4; α = 1/(L + 1))."""

    def __init__(self, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> None:
        super().__init__()
        self.users = embeddings(graph.users, settings.recommender_width)
        self.items = embeddings(graph.items, settings.recommender_width)
        self.adjacency = graph.symmetric()
        self.ranking = RankingLoss(graph, settings)
        self.layers, self.regularization = settings.graph_layers, settings.regularization

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The mean over layers, of users [U, E] and items [I, E]."""
        nodes = propagate(self.adjacency, torch.cat([self.users, self.items]), self.layers)
        return nodes.split([len(self.users), len(self.items)])

    def loss(self, users_B: Tensor, positives_B: Tensor, negatives_B: Tensor) -> Tensor:
        """BPR, or the in-batch softmax, with the squared lengths of the batch's vectors of layer 0 (Eq. 15)."""
        users, items = self.vectors()
        ranking = self.ranking(rows(users, users_B), rows(items, positives_B), rows(items, negatives_B), positives_B)
        if not self.regularization:
            return ranking
        ego = rows(self.users, users_B), rows(self.items, positives_B), rows(self.items, negatives_B)
        return ranking + self.regularization * half_squares(*ego)
