"""What NFM and DeepFM share: fields of a pair, and scores of all items in blocks.

Shapes: U users, I items, B users or interactions, n items beside each, D width of a channel's features, E width.

The fields of a pair are the user's id, the item's id and each channel of the item's features, projected to width E.
The bias of a user and the global one are left out: they are the same for all items that a user's ranking compares.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.config import Settings
from sanrec.models.pairs.base import PairModel, embeddings, linear, rows
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.losses import bpr_loss, half_squares, in_batch_softmax

NUMBERS_AT_ONCE = 1 << 22  # of the pairs' vectors of one block of items in scoring


class Factorization(PairModel):
    """A factorization machine over the fields of a pair, under a deep part that subclasses define."""

    def __init__(self, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> None:
        super().__init__()
        width = settings.recommender_width
        self.width = width
        self.users, self.items = embeddings(graph.users, width), embeddings(graph.items, width)
        self.item_bias = nn.Parameter(torch.zeros(graph.items))
        for m, channel in enumerate(features):
            self.register_buffer(f"features_{m}", functional.normalize(channel), persistent=False)
        self.projections = nn.ModuleList(linear(channel.shape[1], width, bias=False) for channel in features)
        self.feature_biases = nn.ModuleList(nn.Linear(channel.shape[1], 1, bias=False) for channel in features)
        for bias in self.feature_biases:
            nn.init.zeros_(bias.weight)
        self.register_buffer("log_popularity", graph.log_popularity, persistent=False)
        self.pair_loss, self.regularization = settings.pair_loss, settings.regularization

    def item_fields(self, places_n: Tensor) -> tuple[Tensor, Tensor]:
        """The items' fields [n, 1 + M, E], and their first-order part [n] (FM's Σ w_j x_j)."""
        fields, first = [rows(self.items, places_n)], self.item_bias[places_n]
        for m, (projection, bias) in enumerate(zip(self.projections, self.feature_biases, strict=True)):
            channel = self.get_buffer(f"features_{m}")[places_n]
            fields.append(projection(channel))
            first = first + bias(channel).squeeze(-1)
        return torch.stack(fields, -2), first

    def second_order(self, user: Tensor, fields: Tensor) -> Tensor:
        """Bi-interaction pooling [..., E] of a user's vector [..., E] and an item's fields [..., 1 + M, E].

        ½ ((Σ_j v_j)² − Σ_j v_j²), element by element, over all fields of the pair (NFM, Section 3.1).
        """
        total = fields.sum(-2)
        return user * total + (total.square() - fields.square().sum(-2)) / 2

    def pair_scores(self, user: Tensor, fields: Tensor) -> Tensor:
        """All but the first-order part of the scores [...], from vectors [..., E] and fields [..., 1 + M, E]."""
        raise NotImplementedError

    def loss(self, users_B: Tensor, positives_B: Tensor, negatives_B: Tensor) -> Tensor:
        """The in-batch softmax (MicroLens) or BPR, with the squared lengths of the batch's own vectors."""
        user = rows(self.users, users_B)
        positive, first = self.item_fields(positives_B)
        own = user, positive[:, 0], rows(self.items, negatives_B)
        if self.pair_loss == "softmax":
            scores = self.pair_scores(user[:, None], positive[None]) + first
            ranking = in_batch_softmax(scores, positives_B, self.log_popularity)
        else:
            negative, negative_first = self.item_fields(negatives_B)
            both = torch.stack([positive, negative], 1)  # one pass, so that both are normalised alike
            scores = self.pair_scores(user[:, None].expand(-1, 2, -1), both)
            ranking = bpr_loss(scores[:, 0] + first, scores[:, 1] + negative_first)
        return ranking + self.regularization * half_squares(*own) if self.regularization else ranking

    @torch.no_grad()
    def score(self, users_B: Tensor) -> Tensor:
        """Scores [B, I], in blocks of items."""
        user = rows(self.users, users_B)[:, None]
        block = max(1, NUMBERS_AT_ONCE // (len(users_B) * self.width))
        parts = []
        for places in torch.arange(len(self.items), device=users_B.device).split(block):
            fields, first = self.item_fields(places)
            parts.append(self.pair_scores(user, fields[None]) + first)
        return torch.cat(parts, 1)


def hidden_stack(inputs: int, width: int, layers: int, dropout: float) -> nn.Sequential:
    """So many layers of dropout, linear, ReLU, the first from `inputs` to `width`, then one linear map to a number."""
    parts: list[nn.Module] = []
    for layer in range(layers):
        parts += [nn.Dropout(dropout), linear(inputs if layer == 0 else width, width), nn.ReLU()]
    return nn.Sequential(*parts, nn.Dropout(dropout), linear(width if layers else inputs, 1, bias=False))
