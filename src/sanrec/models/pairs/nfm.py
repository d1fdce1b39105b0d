"""Neural factorization machine (He and Chua 2017, arXiv 1708.05027).

Shapes: B interactions, E width; batch normalisation is over all pairs at once.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.config import Settings
from sanrec.models.pairs.base import rows
from sanrec.models.pairs.factorization import Factorization, hidden_stack
from sanrec.models.pairs.graph import Interactions

EPSILON = 1e-12  # products of two vectors at their start are of the order of 1e-4: torch's 1e-5 would drown them


class NFM(Factorization):
    """score = Σ_j w_j x_j + hᵀ MLP(BN(bi-interaction pooling of the fields)) (Section 3.1)."""

    def __init__(self, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> None:
        super().__init__(graph, features, settings)
        self.scale, self.shift = nn.Parameter(torch.ones(self.width)), nn.Parameter(torch.zeros(self.width))
        self.deep = hidden_stack(self.width, self.width, settings.hidden_layers, settings.dropout)
        # scoring normalises by the statistics of the training pairs and as many with the neighbouring pair's item
        self.register_buffer("pair_users", graph.user_N.repeat(2), persistent=False)
        self.register_buffer("pair_items", torch.cat([graph.item_N, graph.item_N.roll(1)]), persistent=False)
        self._statistics: tuple[Tensor, Tensor] | None = None

    def train(self, mode: bool = True) -> "NFM":
        """Set the mode; statistics for scoring are dropped, for training changes them."""
        self._statistics = None
        return super().train(mode)

    @torch.no_grad()
    def prepare(self) -> None:
        """Mean and variance [E] of the pooled vectors over pairs: no running average is part of a run's state."""
        count, total, squares = len(self.pair_users), torch.zeros_like(self.shift), torch.zeros_like(self.shift)
        for users, items in zip(self.pair_users.split(65536), self.pair_items.split(65536), strict=True):
            pooled = self.second_order(rows(self.users, users), self.item_fields(items)[0])
            total, squares = total + pooled.sum(0), squares + pooled.square().sum(0)
        mean = total / count
        self._statistics = mean, (squares / count - mean.square()).clamp_min(0)

    def pair_scores(self, user: Tensor, fields: Tensor) -> Tensor:
        """The deep part of the scores [...]."""
        pooled = self.second_order(user, fields)
        flat = pooled.reshape(-1, self.width)
        if self.training:
            flat = functional.batch_norm(flat, None, None, self.scale, self.shift, True, eps=EPSILON)
        else:
            if self._statistics is None:
                self.prepare()
            assert self._statistics is not None
            flat = functional.batch_norm(flat, *self._statistics, self.scale, self.shift, False, eps=EPSILON)
        return self.deep(flat).reshape(pooled.shape[:-1])
