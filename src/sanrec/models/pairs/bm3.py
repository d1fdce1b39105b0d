"""BM3: bootstrapped latent representations, without negatives (Zhou et al. 2023, arXiv 2207.05969).

Shapes: U users, I items, B interactions, D width of a channel's features, E width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.config import Settings
from sanrec.models.pairs.base import VectorModel, embeddings, linear, propagate, rows
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.losses import half_squares


class BM3(VectorModel):
    """LightGCN's vectors, the items' with their own added again; each view predicts another one under dropout.

    With h the vectors, h~ = W h + b the online view and h' = dropout(h), without gradient, the target view, and C the
    mean of 1 − cosine (the paper's −cosine, plus a constant), the loss is
    C(h~_u, h'_i) + C(h~_i, h'_u) + λ ½(‖h_u‖² + ‖h_i‖²) + w Σ_m (C(e~_m, h'_i) + C(e~_m, e'_m)), e_m = W_m f_m + b_m
    (graph reconstruction; inter-modality alignment and intra-modality masking). The sampled item has no part in it.
    The paper's w is 1; its published code has 2.
    """

    def __init__(self, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> None:
        super().__init__()
        width = settings.recommender_width
        self.users, self.items = embeddings(graph.users, width), embeddings(graph.items, width)
        self.adjacency = graph.symmetric()
        for m, channel in enumerate(features):
            self.register_buffer(f"features_{m}", channel, persistent=False)
        self.projections = nn.ModuleList(linear(channel.shape[1], width) for channel in features)
        self.predictor = linear(width, width)
        self.layers, self.dropout = settings.graph_layers, settings.dropout
        self.regularization, self.alignment = settings.regularization, settings.contrastive_weight

    def _propagated(self) -> tuple[Tensor, Tensor]:
        """The vectors h of users [U, E] and items [I, E]."""
        nodes = propagate(self.adjacency, torch.cat([self.users, self.items]), self.layers)
        users, items = nodes.split([len(self.users), len(self.items)])
        return users, items + self.items

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The online views, by which it recommends."""
        users, items = self._propagated()
        return self.predictor(users), self.predictor(items)

    def loss(self, users_B: Tensor, positives_B: Tensor, negatives_B: Tensor) -> Tensor:
        """Reconstruction of the interactions, alignment of channels with items, and of each channel with itself."""
        users, items = self._propagated()
        user, item = rows(users, users_B), rows(items, positives_B)
        user_target, item_target = self._target(user), self._target(item)
        total = distance(self.predictor(user), item_target) + distance(self.predictor(item), user_target)
        for m, projection in enumerate(self.projections):
            channel = projection(self.get_buffer(f"features_{m}")[positives_B])
            online = self.predictor(channel)
            total = total + self.alignment * (distance(online, item_target) + distance(online, self._target(channel)))
        return total + self.regularization * half_squares(user, item)

    def _target(self, x: Tensor) -> Tensor:
        """The target view: under dropout, without gradient."""
        return functional.dropout(x.detach(), self.dropout, self.training)


def distance(online_BE: Tensor, target_BE: Tensor) -> Tensor:
    """Mean of 1 − cosine: the paper's −cosine, so that the least is zero."""
    return 1 - functional.cosine_similarity(online_BE, target_BE, dim=1).mean()
