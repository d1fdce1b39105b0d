"""FREEDOM: a frozen graph of similar items, a denoised graph of interactions (Zhou and Shen 2023, arXiv 2211.06924).

Shapes: U users, I items, P edges, B interactions, D width of a channel's features, E width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sanrec.config import Settings
from sanrec.models.pairs.base import VectorModel, embeddings, linear, propagate, rows
from sanrec.models.pairs.graph import Interactions, similar_items
from sanrec.models.pairs.losses import bpr_loss


def channel_weights(channels: int, first: float) -> list[float]:
    """The weight of each channel's graph: the first's, and the rest shared; one channel alone has all."""
    return [1.0] if channels == 1 else [first, *[(1 - first) / (channels - 1)] * (channels - 1)]


def sampled_edges(graph: Interactions, dropped: float) -> Tensor:
    """Places of the edges to keep: ⌊P (1 − ρ)⌋ without replacement, each as likely as 1/(√|N_u| √|N_i|).

    The largest keys ln(uniform)/weight are such a sample (Efraimidis and Spirakis 2006); torch's own sampling without
    replacement stops at 2^24 edges.
    """
    weights_P = graph.symmetric_weights()
    keys = torch.empty_like(weights_P).exponential_() / weights_P
    return keys.topk(max(1, int(len(keys) * (1 - dropped))), largest=False).indices.sort().values


class FREEDOM(VectorModel):
    """Items: Ŝ^L q + the propagated vector; users: the propagated vector, over edges sampled anew each epoch.

    Loss: BPR + λ Σ_m BPR with the item's vector replaced by W_m f_m; an offset would cancel.
    """

    def __init__(self, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> None:
        super().__init__()
        width = settings.recommender_width
        self.graph, self.dropped = graph, settings.edge_dropout
        self.users, self.items = embeddings(graph.users, width), embeddings(graph.items, width)
        self.adjacency = graph.symmetric()
        self.sampled = self.adjacency
        weights = channel_weights(len(features), settings.first_channel)
        self.similar = similar_items(features, settings.neighbours, weights, binary=True)
        for m, channel in enumerate(features):
            self.register_buffer(f"features_{m}", channel, persistent=False)
        self.projections = nn.ModuleList(linear(channel.shape[1], width, bias=False) for channel in features)
        self.layers, self.item_layers = settings.graph_layers, settings.item_graph_layers
        self.by_features = settings.contrastive_weight

    def start_epoch(self) -> None:
        """Sample the epoch's graph; its degrees are those of the edges kept."""
        if self.dropped:
            kept = sampled_edges(self.graph, self.dropped)
            self.sampled = self.graph.symmetric(kept).to(self.users.device)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The final vectors; in training over the sampled edges, in scoring over all."""
        adjacency = self.sampled if self.training else self.adjacency
        nodes = propagate(adjacency, torch.cat([self.users, self.items]), self.layers)
        users, items = nodes.split([len(self.users), len(self.items)])
        similar = self.items
        for _ in range(self.item_layers):
            similar = self.similar(similar)
        return users, items + similar

    def loss(self, users_B: Tensor, positives_B: Tensor, negatives_B: Tensor) -> Tensor:
        """BPR by the final vectors, and by each channel's features alone."""
        users, items = self.vectors()
        user, positive, negative = rows(users, users_B), rows(items, positives_B), rows(items, negatives_B)
        total = bpr_loss((user * positive).sum(1), (user * negative).sum(1))
        for m, projection in enumerate(self.projections):
            channel = self.get_buffer(f"features_{m}")
            liked, other = projection(channel[positives_B]), projection(channel[negatives_B])
            total = total + self.by_features * bpr_loss((user * liked).sum(1), (user * other).sum(1))
        return total
