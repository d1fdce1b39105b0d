"""What all recommenders on pairs share, and those whose score is a product of a user's and an item's vector.

Shapes: U users, I items, B users or interactions of a batch, E recommender width.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.config import Settings
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.losses import bpr_loss, half_squares, in_batch_softmax
from sanrec.models.pairs.sparse import SparseMatrix


class PairModel(nn.Module, ABC):
    """A recommender of numbered users and items, trained on interactions with one sampled item each."""

    def start_epoch(self) -> None:
        """Draw what is drawn anew in each epoch, by torch's global generator; by default nothing."""

    @abstractmethod
    def loss(self, users_B: Tensor, positives_B: Tensor, negatives_B: Tensor) -> Tensor:
        """The whole loss of a batch, regularisation included."""

    def prepare(self) -> None:
        """Compute once what scoring any users needs; called in evaluation mode. By default nothing."""

    @abstractmethod
    def score(self, users_B: Tensor) -> Tensor:
        """Scores [B, I] of all items for some users, without gradient."""


class VectorModel(PairModel):
    """A score is the product of the user's final vector and the item's."""

    def __init__(self) -> None:
        super().__init__()
        self._final: tuple[Tensor, Tensor] | None = None

    @abstractmethod
    def vectors(self) -> tuple[Tensor, Tensor]:
        """The final vectors of all users [U, E'] and items [I, E']."""

    def train(self, mode: bool = True) -> "VectorModel":
        """Set the mode; vectors kept for scoring are dropped, for training changes them."""
        self._final = None
        return super().train(mode)

    @torch.no_grad()
    def prepare(self) -> None:
        """Keep the final vectors."""
        self._final = self.vectors()

    @torch.no_grad()
    def score(self, users_B: Tensor) -> Tensor:
        """Scores [B, I]."""
        users_UE, items_IE = self._final or self.vectors()
        return users_UE[users_B] @ items_IE.T


class ChannelModel(VectorModel):
    """Learned ids of all nodes, and channels in each of which every user has a learned start (MMGCN, GRCN).

    Subclasses set `ids` [U + I, E], `user_count`, `channels` with a `preference` [U, E] each, and `regularization`.
    """

    ids: nn.Parameter
    user_count: int
    channels: nn.ModuleList
    regularization: float

    def loss(self, users_B: Tensor, positives_B: Tensor, negatives_B: Tensor) -> Tensor:
        """BPR with the squared lengths of the batch's ids and preferences."""
        users, items = self.vectors()
        user, positive, negative = rows(users, users_B), rows(items, positives_B), rows(items, negatives_B)
        ranking = bpr_loss((user * positive).sum(1), (user * negative).sum(1))
        places = users_B, positives_B + self.user_count, negatives_B + self.user_count
        learned = [rows(self.ids, place) for place in places]
        learned += [rows(channel.preference, users_B) for channel in self.channels]
        return ranking + self.regularization * half_squares(*learned)


def embeddings(count: int, width: int) -> nn.Parameter:
    """Learned vectors [count, width], Xavier-uniform as the papers start them."""
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(count, width)))


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """A linear map with Xavier-normal weights and no offset at the start."""
    layer = nn.Linear(inputs, outputs, bias)
    nn.init.xavier_normal_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def rows(vectors: Tensor, places_B: Tensor) -> Tensor:
    """The vectors [B, E] at some places of [n, E]: an embedding look-up, whose gradient is the fastest of them."""
    return functional.embedding(places_B, vectors)


def propagate(adjacency: SparseMatrix, x_nE: Tensor, layers: int) -> Tensor:
    """The mean of x, Ax, A²x … up to so many layers: light graph convolution (LightGCN, Eq. 3, 4 and 6)."""
    total = x_nE
    for _ in range(layers):
        x_nE = adjacency(x_nE)
        total = total + x_nE
    return total / (layers + 1)


class RankingLoss(nn.Module):
    """The ranking loss that a method's `pair_loss` names, from scores computed by two functions."""

    def __init__(self, graph: Interactions, settings: Settings) -> None:
        super().__init__()
        self.kind = settings.pair_loss
        self.register_buffer("log_popularity", graph.log_popularity, persistent=False)

    def forward(self, user_BE: Tensor, positive_BE: Tensor, negative_BE: Tensor, positives_B: Tensor) -> Tensor:
        """Of vectors whose product is the score."""
        if self.kind == "softmax":
            return in_batch_softmax(user_BE @ positive_BE.T, positives_B, self.log_popularity)
        return bpr_loss((user_BE * positive_BE).sum(1), (user_BE * negative_BE).sum(1))
