"""The training interactions, and the graphs made of them and of the items' features.

Shapes: U users, I items, N interactions, P distinct (user, item) pairs, D width of a channel's features, k neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from sanrec.models.pairs.sparse import SparseMatrix

SIMILARITIES_AT_ONCE = 1 << 24  # numbers of a block of rows of the I x I similarities: 64 MiB


@dataclass(frozen=True)
class Interactions:
    """Who has what, of the training share alone: user and item `numbers` from 0, the n-th interaction at place n."""

    users: int
    items: int
    user_N: Tensor  # noqa: N815 (a shape)
    """[N] int64."""
    item_N: Tensor  # noqa: N815 (a shape)
    """[N] int64."""

    @cached_property
    def edges(self) -> tuple[Tensor, Tensor]:
        """The users [P] and items [P] of the distinct pairs: a repeated interaction is one edge."""
        pairs = torch.unique(self.user_N * self.items + self.item_N)
        return pairs // self.items, pairs % self.items

    @cached_property
    def log_popularity(self) -> Tensor:
        """[I] the logarithm of each item's share of the interactions; of an item without any, that of a single one."""
        counts = torch.bincount(self.item_N, minlength=self.items)
        return (counts.clamp_min(1) / len(self.item_N)).log()

    def degrees(self, kept_P: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """How many edges each user [U] and each item [I] has, of all or of those kept (places among them)."""
        user_P, item_P = self.edges if kept_P is None else (side[kept_P] for side in self.edges)
        return torch.bincount(user_P, minlength=self.users), torch.bincount(item_P, minlength=self.items)

    def symmetric_weights(self) -> Tensor:
        """[P] 1 / (√|N_u| √|N_i|) of each edge."""
        of_users, of_items = self.degrees()
        user_P, item_P = self.edges
        return (of_users[user_P] * of_items[item_P]).float().rsqrt()

    def symmetric(self, kept_P: Tensor | None = None) -> SparseMatrix:
        """D^-1/2 A D^-1/2 [U + I, U + I] of the graph of users and items, of all edges or of those kept.

        Degrees count kept edges only; who has none has a row of zeros (LightGCN, Eq. 6 to 8).
        """
        user_P, item_P = self.edges if kept_P is None else (side[kept_P] for side in self.edges)
        of_users, of_items = self.degrees(kept_P)
        return self._both_ways(user_P, item_P, (of_users[user_P] * of_items[item_P]).float().rsqrt())

    def averaging(self) -> SparseMatrix:
        """D^-1 A [U + I, U + I]: each user the mean of the own items, each item the mean of its users."""
        user_P, item_P = self.edges
        of_users, of_items = self.degrees()
        return self._both_ways(user_P, item_P, 1 / of_users[user_P], 1 / of_items[item_P])

    def plain(self) -> SparseMatrix:
        """A [U, I]: one at each edge."""
        return SparseMatrix(*self.edges, None, (self.users, self.items))

    def of_users(self) -> SparseMatrix:
        """The users' rows of the symmetric matrix, over items: [U, I]."""
        return SparseMatrix(*self.edges, self.symmetric_weights(), (self.users, self.items))

    def _both_ways(
        self, user_P: Tensor, item_P: Tensor, to_users_P: Tensor, to_items_P: Tensor | None = None
    ) -> SparseMatrix:
        rows, cols = torch.cat([user_P, item_P + self.users]), torch.cat([item_P + self.users, user_P])
        values = torch.cat([to_users_P, to_users_P if to_items_P is None else to_items_P])
        nodes = self.users + self.items
        return SparseMatrix(rows, cols, values, (nodes, nodes))


@torch.no_grad()
def nearest(features_ID: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Each item's k nearest items [I, k] by the cosine of their features, itself included, and the cosines [I, k].

    In blocks of rows, so that the I x I cosines are never in memory at once. Fewer than k where there are fewer items.
    """
    unit = functional.normalize(features_ID.float(), dim=1)
    rows = max(1, SIMILARITIES_AT_ONCE // len(unit))
    best = [torch.topk(block @ unit.T, min(k, len(unit)), dim=1) for block in unit.split(rows)]
    return torch.cat([b.indices for b in best]), torch.cat([b.values for b in best])


def similar_items(channels: Sequence[Tensor], k: int, weights: Sequence[float], binary: bool) -> SparseMatrix:
    """The graph [I, I] of similar items: Σ_m weight_m D_m^-1/2 S_m D_m^-1/2 over the channels' kNN graphs S_m.

    An entry of S_m is one (`binary`; FREEDOM) or the cosine (MGCN); D_m are its row sums.
    Cosines that are not positive are left out: items whose features are missing, all zeros, have no neighbours.
    """
    items = len(channels[0])
    keys, values = [], []
    for features_ID, weight in zip(channels, weights, strict=True):
        near_Ik, cosine_Ik = nearest(features_ID, k)
        real = cosine_Ik > 0
        rows = torch.arange(items, device=near_Ik.device)[:, None].expand_as(near_Ik)[real]
        cols, value = near_Ik[real], torch.ones_like(cosine_Ik[real]) if binary else cosine_Ik[real]
        degrees = torch.zeros(items, device=value.device).index_add(0, rows, value)
        scale = degrees.clamp_min(torch.finfo(value.dtype).tiny).rsqrt() * (degrees > 0)
        keys.append(rows * items + cols)
        values.append(weight * scale[rows] * value * scale[cols])
    distinct, place = torch.unique(torch.cat(keys), return_inverse=True)
    summed = torch.zeros(len(distinct), device=place.device).index_add(0, place, torch.cat(values))
    return SparseMatrix(distinct // items, distinct % items, summed, (items, items))
