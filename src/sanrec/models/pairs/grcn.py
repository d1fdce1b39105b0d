"""GRCN: a graph refined by what the channels say of each interaction (Wei et al. 2020, arXiv 2111.02036).

Shapes: U users, I items, P edges, M channels, B interactions, D width of a channel's features, E width, G = U + I
nodes; 2P directed edges: first those to users, then those to items.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.config import Settings
from sanrec.models.pairs.base import ChannelModel, embeddings, linear, rows
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.sparse import SparseMatrix


def row_softmax(matrix: SparseMatrix, scores_N: Tensor) -> Tensor:
    """Softmax [N] of entries' scores over each row; scores are cosines, so that no exponential overflows."""
    exponentials = scores_N.exp()
    return exponentials / matrix.row_sums(exponentials)[matrix.rows]


class Prototypes(nn.Module):
    """The refining layer of one channel: users' prototypes, routed to by their items, and each edge's affinity."""

    def __init__(self, users: int, features_ID: Tensor | None, items: int, width: int, routing: int) -> None:
        super().__init__()
        self.preference, self.routing = embeddings(users, width), routing
        if features_ID is None:
            self.learned, self.projection = embeddings(items, width), None
        else:
            self.register_buffer("features", features_ID, persistent=False)
            self.projection = linear(features_ID.shape[1], width)

    def forward(self, edges: SparseMatrix, both_ways: SparseMatrix) -> tuple[Tensor, Tensor]:
        """Affinities [2P] of the directed edges, and the channel's vectors [G, E].

        Rounds of u ← unit(u + Σ_i softmax_i(u · i) i) over the user's items; then the affinity of an edge
        is the softmax of u · i over the receiving node's edges, and each node adds what it so receives.
        """
        projected = self.learned if self.projection is None else self.projection(self.features)
        items = functional.normalize(functional.leaky_relu(projected))
        users = functional.normalize(self.preference)
        for _ in range(self.routing):
            shares = row_softmax(edges, edges.dots(users, items))
            users = functional.normalize(users + edges(items, shares))
        affinity = row_softmax(both_ways, edges.dots(users, items).repeat(2))
        nodes = torch.cat([users, items])
        return affinity, nodes + both_ways(nodes, affinity)


class GRCN(ChannelModel):
    """Ids propagated over edges weighted by ReLU(max_m confidence_m affinity_m), beside the channels' own vectors.

    Weights may grow or vanish, so false positives are pruned softly; a node's id vector is the sum over
    layers, and the final vector its concatenation with the channels'. The confidence is that of
    the node an edge comes from. Each training step may leave out a share of the edges (`edge_dropout`), drawn anew.
    Without features, one channel of learned item vectors.
    """

    def __init__(self, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> None:
        super().__init__()
        width, self.user_count = settings.recommender_width, graph.users
        nodes = graph.users + graph.items
        self.ids = embeddings(nodes, width)
        self.edges, self.both_ways = graph.plain(), graph.symmetric()
        self.dropped = settings.edge_dropout
        self.channels = nn.ModuleList(
            Prototypes(graph.users, channel, graph.items, width, settings.routing) for channel in features or [None]
        )
        # near zero, as other parameters start, half of the edges would be pruned before anything is learned
        self.confidence = nn.Parameter(torch.ones(nodes, len(self.channels)))
        self.layers, self.regularization = settings.graph_layers, settings.regularization

    def graphs(self) -> tuple[SparseMatrix, SparseMatrix]:
        """The edges [U, I], and the same both ways [G, G]; in training without those that this step leaves out.

        A user whose own items all stand in the graph knows the answer beforehand, and learns nothing for other items.
        """
        if not (self.training and self.dropped):
            return self.edges, self.both_ways
        kept = torch.rand(len(self.edges.rows), device=self.edges.rows.device) >= self.dropped
        users, items = self.edges.rows[kept], self.edges.cols[kept]
        nodes = users, items + self.user_count
        both_ways = SparseMatrix(torch.cat(nodes), torch.cat(nodes[::-1]), None, self.both_ways.shape)
        return SparseMatrix(users, items, None, self.edges.shape), both_ways

    def refined(self, edges: SparseMatrix, both_ways: SparseMatrix) -> tuple[Tensor, list[Tensor]]:
        """The weights [2P] of the directed edges, and each channel's vectors [G, E]."""
        affinities, contents = zip(*(channel(edges, both_ways) for channel in self.channels), strict=True)
        trusted = torch.stack(affinities, 1) * rows(self.confidence, both_ways.cols)
        return functional.relu(trusted.amax(1)), list(contents)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The id vectors beside the channels', [U, (1 + M) E] and [I, (1 + M) E]."""
        edges, both_ways = self.graphs()
        weights, contents = self.refined(edges, both_ways)
        x = total = self.ids  # not at unit length: the regularisation would weigh what no score depends on
        for _ in range(self.layers):
            x = both_ways(x, weights)
            total = total + x
        nodes = torch.cat([total, *contents], 1)
        return nodes.split([self.user_count, len(nodes) - self.user_count])
