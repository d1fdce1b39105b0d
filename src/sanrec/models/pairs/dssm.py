"""DSSM (Huang et al. 2013), as MicroLens' benchmark has it: a tower over users' ids and one over items'.

Shapes: U users, I items, B interactions, D width of a channel's features, E width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.config import Settings
from sanrec.models.pairs.base import RankingLoss, VectorModel, embeddings, linear, rows
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.losses import half_squares


def tower(width: int, hidden: int) -> nn.Sequential:
    """So many layers tanh(Wx + b), each E to E (DSSM, Section 3); none leaves the vector as it is."""
    return nn.Sequential(*(part for _ in range(hidden) for part in (linear(width, width), nn.Tanh())))


class DSSM(VectorModel):
    """score = tower(p_u) · tower(q_i + Σ_m W_m f_i^m): with features, their projections are added to the item's own.

    MicroLens' settings have no hidden layer: the towers then are the vectors themselves.
    """

    def __init__(self, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> None:
        super().__init__()
        width = settings.recommender_width
        self.users, self.items = embeddings(graph.users, width), embeddings(graph.items, width)
        for m, channel in enumerate(features):
            self.register_buffer(f"features_{m}", functional.normalize(channel), persistent=False)
        self.projections = nn.ModuleList(linear(channel.shape[1], width, bias=False) for channel in features)
        self.user_tower, self.item_tower = tower(width, settings.hidden_layers), tower(width, settings.hidden_layers)
        self.ranking = RankingLoss(graph, settings)
        self.regularization = settings.regularization

    def _items(self, places_B: Tensor) -> tuple[Tensor, Tensor]:
        """The own vectors [B, E] of some items, and what their tower makes of them [B, E]."""
        own = rows(self.items, places_B)
        seen = own
        for m, projection in enumerate(self.projections):
            seen = seen + projection(self.get_buffer(f"features_{m}")[places_B])
        return own, self.item_tower(seen)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Both towers' outputs, [U, E] and [I, E]."""
        return self.user_tower(self.users), self._items(torch.arange(len(self.items), device=self.items.device))[1]

    def loss(self, users_B: Tensor, positives_B: Tensor, negatives_B: Tensor) -> Tensor:
        """The in-batch softmax (MicroLens) or BPR, with the squared lengths of the batch's own vectors."""
        user = rows(self.users, users_B)
        (own_positive, positive), (own_negative, negative) = self._items(positives_B), self._items(negatives_B)
        ranking = self.ranking(self.user_tower(user), positive, negative, positives_B)
        return ranking + self.regularization * half_squares(user, own_positive, own_negative)
