"""Neural factorization machine (He and Chua 2017, arXiv 1708.05027).

Shapes: U users, I items, N interactions, B of a batch, E width; batch normalisation is over all pairs at once.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.config import Settings
from sanrec.models.pairs.base import rows
from sanrec.models.pairs.factorization import Factorization, hidden_stack
from sanrec.models.pairs.graph import Interactions

CHUNK = 16384  # items or interactions at once
EPSILON = 1e-12  # products of two vectors at their start are of the order of 1e-4: torch's 1e-5 would drown them


class NFM(Factorization):
    """score = Σ_j w_j x_j + hᵀ MLP(BN(bi-interaction pooling of the fields)) (Section 3.1)."""

    def __init__(self, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> None:
        super().__init__(graph, features, settings)
        self.scale, self.shift = nn.Parameter(torch.ones(self.width)), nn.Parameter(torch.zeros(self.width))
        self.deep = hidden_stack(self.width, self.width, settings.hidden_layers, settings.dropout)
        self.register_buffer("pair_users", graph.user_N, persistent=False)
        self.register_buffer("pair_items", graph.item_N, persistent=False)
        self._statistics: tuple[Tensor, Tensor] | None = None

    def train(self, mode: bool = True) -> "NFM":
        """Set the mode; statistics for scoring are dropped, for training changes them."""
        self._statistics = None
        return super().train(mode)

    @torch.no_grad()
    def prepare(self) -> None:
        """Mean and variance [E] of the pooled vectors, over pairs as batches hold them on average.

        So no running average is part of a run's state. With the softmax a batch pairs the users of its interactions
        with the items of all of them; with BPR half of its pairs are interactions, and half have any item.
        """
        counts = torch.bincount(self.pair_items, minlength=len(self.items)).float()
        if self.pair_loss == "softmax":
            first, second = self._apart(counts / counts.sum())
        else:
            apart, own = self._apart(torch.full_like(counts, 1 / len(counts))), self._interactions()
            first, second = ((one + other) / 2 for one, other in zip(apart, own, strict=True))
        self._statistics = first, (second - first.square()).clamp_min(0)

    def _apart(self, share_I: Tensor) -> tuple[Tensor, Tensor]:
        """First and second moment [E], users as often as they interact, and items by their share, apart from them.

        Pooled is u ⊙ t + s, with t the sum of the item's fields and s what they make among themselves.
        """
        often_U = torch.bincount(self.pair_users, minlength=len(self.users)).float() / len(self.pair_users)
        u, uu = often_U @ self.users, often_U @ self.users.square()
        moments = torch.zeros(5, self.width, device=share_I.device)
        for places in torch.arange(len(self.items), device=share_I.device).split(CHUNK):
            fields = self.item_fields(places)[0]
            t = fields.sum(-2)
            s = self.second_order(torch.zeros_like(t), fields)
            moments += torch.stack([share_I[places] @ x for x in (t, t.square(), s, t * s, s.square())])
        t, tt, s, ts, ss = moments
        return u * t + s, uu * tt + 2 * u * ts + ss

    def _interactions(self) -> tuple[Tensor, Tensor]:
        """First and second moment [E] over the training interactions."""
        first, second = torch.zeros_like(self.shift), torch.zeros_like(self.shift)
        for users, items in zip(self.pair_users.split(CHUNK), self.pair_items.split(CHUNK), strict=True):
            pooled = self.second_order(rows(self.users, users), self.item_fields(items)[0])
            first, second = first + pooled.sum(0), second + pooled.square().sum(0)
        return first / len(self.pair_users), second / len(self.pair_users)

    def pair_scores(self, user: Tensor, fields: Tensor) -> Tensor:
        """The deep part of the scores [...]."""
        pooled = self.second_order(user, fields)
        flat = pooled.reshape(-1, self.width)
        if self.training and len(flat) == 1:
            flat = self.shift + 0 * flat  # what one vector less its own mean leaves; torch refuses to say so
        elif self.training:
            flat = functional.batch_norm(flat, None, None, self.scale, self.shift, True, eps=EPSILON)
        else:
            if self._statistics is None:
                self.prepare()
            assert self._statistics is not None
            flat = functional.batch_norm(flat, *self._statistics, self.scale, self.shift, False, eps=EPSILON)
        return self.deep(flat).reshape(pooled.shape[:-1])
