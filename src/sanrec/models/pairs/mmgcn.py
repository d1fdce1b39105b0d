"""MMGCN: graph convolution per channel, joined by the ids (Wei et al. 2019, ACM MM).

Shapes: U users, I items, B interactions, D width of a channel's features, E width, G = U + I nodes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.config import Settings
from sanrec.models.pairs.base import ChannelModel, embeddings, linear
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.sparse import SparseMatrix


class Layer(nn.Module):
    """x' = f(W_3 [h; ĥ] + b'), h = f(mean over neighbours of W_1 x), ĥ = f(W_2 x + b) + id; f LeakyReLU.

    The paper's combination by concatenation, without the neighbours' bias, as the published code runs it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.neighbours = linear(width, width, bias=False)
        self.own, self.joint = linear(width, width), linear(2 * width, width)

    def forward(self, averaging: SparseMatrix, x_GE: Tensor, ids_GE: Tensor) -> Tensor:
        """[G, E] to [G, E]."""
        around = functional.leaky_relu(averaging(self.neighbours(x_GE)))
        own = functional.leaky_relu(self.own(x_GE)) + ids_GE
        return functional.leaky_relu(self.joint(torch.cat([around, own], 1)))


class Channel(nn.Module):
    """One channel's graph: users start from a learned preference, items from their projected features."""

    def __init__(self, users: int, features_ID: Tensor | None, items: int, width: int, layers: int) -> None:
        super().__init__()
        self.preference = embeddings(users, width)
        if features_ID is None:
            self.learned, self.projection = embeddings(items, width), None
        else:
            self.register_buffer("features", features_ID, persistent=False)
            self.projection = linear(features_ID.shape[1], width)
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))

    def forward(self, averaging: SparseMatrix, ids_GE: Tensor) -> Tensor:
        """The channel's vectors of all nodes [G, E], from unit vectors at the start."""
        items = self.learned if self.projection is None else self.projection(self.features)
        x = functional.normalize(torch.cat([self.preference, items]))
        for layer in self.layers:
            x = layer(averaging, x, ids_GE)
        return x


class MMGCN(ChannelModel):
    """The final vectors are the channels' sums; without features, one channel of learned item vectors."""

    def __init__(self, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> None:
        super().__init__()
        width, self.user_count = settings.recommender_width, graph.users
        self.ids = embeddings(graph.users + graph.items, width)
        self.averaging = graph.averaging()
        self.channels = nn.ModuleList(
            Channel(graph.users, channel, graph.items, width, settings.graph_layers) for channel in features or [None]
        )
        self.regularization = settings.regularization

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The sums over channels, of users [U, E] and items [I, E]."""
        nodes = sum(channel(self.averaging, self.ids) for channel in self.channels)
        return nodes.split([self.user_count, len(nodes) - self.user_count])
