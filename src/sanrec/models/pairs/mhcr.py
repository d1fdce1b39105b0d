"""MHCR: views by graph and by hypergraph, held together by contrast (Lyu et al. 2024, arXiv 2409.09638).

Shapes: U users, I items, M channels, H hyperedges, B interactions, D width of a channel's features, E width, G = U + I
nodes.
"""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.config import Settings
from sanrec.models.pairs.base import rows
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.losses import bpr_loss, half_squares, info_nce
from sanrec.models.pairs.mgcn import MGCN
from sanrec.models.pairs.sparse import SparseMatrix

SHARPNESS = 0.2  # temperature of the softmax over hyperedges


class Hypergraph(nn.Module):
    """One channel's hyperedges: how far each item and each user belongs to each, learned from the features."""

    def __init__(self, features_ID: Tensor, hyperedges: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("features", features_ID, persistent=False)
        self.edges = nn.Parameter(nn.init.xavier_uniform_(torch.empty(features_ID.shape[1], hyperedges)))
        self.layers, self.dropout = layers, dropout

    def membership(self, interactions_UI: SparseMatrix) -> tuple[Tensor, Tensor]:
        """Shares of users [U, H] and items [I, H] in the hyperedges: softmax(F V / τ) and softmax(A F V / τ).

        In training under Gumbel noise.
        """
        items = self.features @ self.edges
        users = interactions_UI(items)
        if self.training:
            return tuple(functional.gumbel_softmax(scores, SHARPNESS, dim=1) for scores in (users, items))
        return (users / SHARPNESS).softmax(1), (items / SHARPNESS).softmax(1)

    def forward(self, items_IE: Tensor, interactions_UI: SparseMatrix) -> Tensor:
        """Vectors [G, E] by way of the hyperedges: H_u H_iᵀ x and H_i H_iᵀ x, in so many layers."""
        shares = self.membership(interactions_UI)
        of_users, of_items = (functional.dropout(share, self.dropout, self.training) for share in shares)
        for _ in range(self.layers):
            gathered_HE = of_items.T @ items_IE
            items_IE, users_UE = of_items @ gathered_HE, of_users @ gathered_HE
        return torch.cat([users_UE, items_IE])


class MHCR(MGCN):
    """MGCN's two views, and α times the unit vector of the sum of the channels' hypergraph vectors.

    Loss: MGCN's, and over the batch's users and items the contrast between each two channels' hypergraph vectors, and
    between each channel's hypergraph vectors and those of its graph.
    """

    def __init__(self, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> None:
        super().__init__(graph, features, settings)
        self.interactions = graph.plain()
        self.hypergraphs = nn.ModuleList(
            Hypergraph(channel, settings.hyperedges, settings.hypergraph_layers, settings.dropout)
            for channel in features
        )
        self.share, self.hypergraph_contrast = settings.hypergraph_weight, settings.hypergraph_contrast

    def all_views(self) -> tuple[Tensor, list[Tensor], Tensor, list[Tensor]]:
        """Of all nodes [G, E]: behaviour, each channel's graph, these fused, each channel's hypergraph."""
        behaviour, count = self.behaviour(), len(self.users)
        graphs = [view(self.items, self.of_users) for view in self.views]
        hyper = [hypergraph(behaviour[count:], self.interactions) for hypergraph in self.hypergraphs]
        return behaviour, graphs, self.fuser(graphs, behaviour), hyper

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The sums of the views, of users [U, E] and items [I, E]."""
        behaviour, _, fused, hyper = self.all_views()
        return self._joined(behaviour, fused, hyper).split([len(self.users), len(self.items)])

    def _joined(self, behaviour: Tensor, fused: Tensor, hyper: list[Tensor]) -> Tensor:
        return behaviour + fused + self.share * functional.normalize(sum(hyper))

    def loss(self, users_B: Tensor, positives_B: Tensor, negatives_B: Tensor) -> Tensor:
        """BPR, the contrasts, and the squared lengths of the batch's final vectors."""
        behaviour, graphs, fused, hyper = self.all_views()
        joined = self._joined(behaviour, fused, hyper)
        places = users_B, positives_B + len(self.users), negatives_B + len(self.users)
        user, positive, negative = (rows(joined, place) for place in places)
        total = bpr_loss((user * positive).sum(1), (user * negative).sum(1))
        for place in places[:2]:
            total = total + self.contrast * info_nce(rows(fused, place), rows(behaviour, place), self.temperature)
            pairs = [*combinations(hyper, 2), *zip(hyper, graphs, strict=True)]
            for one, other in pairs:
                apart = info_nce(rows(one, place), rows(other, place), self.temperature)
                total = total + self.hypergraph_contrast * apart
        return total + self.regularization * half_squares(user, positive, negative)
