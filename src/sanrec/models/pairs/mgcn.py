"""MGCN: features purified by behaviour, views by channel, fused by preference (Yu et al. 2023, arXiv 2308.03588).

Shapes: U users, I items, M channels, B interactions, D width of a channel's features, E width, G = U + I nodes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sanrec.config import Settings
from sanrec.models.pairs.base import VectorModel, embeddings, linear, propagate, rows
from sanrec.models.pairs.graph import Interactions, similar_items
from sanrec.models.pairs.losses import bpr_loss, half_squares, info_nce
from sanrec.models.pairs.sparse import SparseMatrix


class ItemView(nn.Module):
    """One channel's view of all nodes: purified features, propagated over similar items, then to users."""

    def __init__(self, features_ID: Tensor, width: int, neighbours: int, layers: int) -> None:
        super().__init__()
        self.register_buffer("features", features_ID, persistent=False)
        self.projection, self.gate = linear(features_ID.shape[1], width), linear(width, width)
        self.similar = similar_items([features_ID], neighbours, [1.0], binary=False)
        self.layers = layers

    def purified(self, items_IE: Tensor) -> Tensor:
        """What of the items' vectors q the features let through [I, E]: q ⊙ σ(W_2 (W_1 f + b_1) + b_2)."""
        return items_IE * torch.sigmoid(self.gate(self.projection(self.features)))

    def forward(self, items_IE: Tensor, of_users: SparseMatrix) -> Tensor:
        """The view [G, E]: users' are sums over their items, weighted 1/(√|N_u| √|N_i|)."""
        x = self.purified(items_IE)
        for _ in range(self.layers):
            x = self.similar(x)
        return torch.cat([of_users(x), x])


class Fuser(nn.Module):
    """What channels share, and what is each one's own, as far as the node's behaviour prefers it."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(linear(width, width), nn.Tanh(), linear(width, 1, bias=False))
        self.preferences = nn.ModuleList(linear(width, width) for _ in range(channels))

    def forward(self, views: Sequence[Tensor], behaviour_GE: Tensor) -> Tensor:
        """Shared + mean over channels of σ(W_m b + b_m) ⊙ (view − shared) [G, E].

        Shared is Σ_m softmax_m(qᵀ tanh(W view_m + b)) view_m.
        """
        stacked_MGE = torch.stack(list(views))
        shared = (self.attention(stacked_MGE).softmax(0) * stacked_MGE).sum(0)
        own = [
            torch.sigmoid(prefer(behaviour_GE)) * (view - shared)
            for prefer, view in zip(self.preferences, views, strict=True)
        ]
        return shared + sum(own) / len(own)


class MGCN(VectorModel):
    """The final vectors are the sum of the behaviour view (LightGCN's) and the fused view of the features.

    Loss: BPR + w Σ InfoNCE(fused, behaviour) over the batch's users and items + λ ½ Σ ‖final vectors‖².
    The published code divides the shared part by M + 1 too; here, as in the paper, it stands whole.
    """

    def __init__(self, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> None:
        super().__init__()
        width = settings.recommender_width
        self.users, self.items = embeddings(graph.users, width), embeddings(graph.items, width)
        self.adjacency, self.of_users = graph.symmetric(), graph.of_users()
        self.views = nn.ModuleList(
            ItemView(channel, width, settings.neighbours, settings.item_graph_layers) for channel in features
        )
        self.fuser = Fuser(len(features), width)
        self.layers, self.regularization = settings.graph_layers, settings.regularization
        self.contrast, self.temperature = settings.contrastive_weight, settings.temperature

    def behaviour(self) -> Tensor:
        """The behaviour view of all nodes [G, E]: LightGCN's."""
        return propagate(self.adjacency, torch.cat([self.users, self.items]), self.layers)

    def both_views(self) -> tuple[Tensor, Tensor]:
        """The behaviour view and the fused one, of all nodes [G, E]."""
        behaviour = self.behaviour()
        return behaviour, self.fuser([view(self.items, self.of_users) for view in self.views], behaviour)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The sums of both views, of users [U, E] and items [I, E]."""
        behaviour, fused = self.both_views()
        return (behaviour + fused).split([len(self.users), len(self.items)])

    def loss(self, users_B: Tensor, positives_B: Tensor, negatives_B: Tensor) -> Tensor:
        """BPR, contrast of the two views, and the squared lengths of the batch's final vectors."""
        behaviour, fused = self.both_views()
        places = users_B, positives_B + len(self.users), negatives_B + len(self.users)
        user, positive, negative = (rows(behaviour + fused, place) for place in places)
        total = bpr_loss((user * positive).sum(1), (user * negative).sum(1))
        for place in places[:2]:
            total = total + self.contrast * info_nce(rows(fused, place), rows(behaviour, place), self.temperature)
        return total + self.regularization * half_squares(user, positive, negative)
