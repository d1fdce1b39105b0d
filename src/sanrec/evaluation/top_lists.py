"""The best items of every user in order, taken while their targets are ranked.

Shapes: U users, I items, k length of a list, B users scored at once.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LENGTH = 20  # items of a stored list: the largest cut-off of the metrics
AT_ONCE = 2**22  # scores looked through at once for ties: several arrays of their size are held


def best_items(scores: Tensor, length: int) -> Tensor:
    """The items of the highest scores, best first; of equal ones the lower number comes first.

    Args:
        scores: [B, I] float, of items 1 to I; minus infinity for an item that is not to be shown. Left as they are.
        length: k.

    Returns:
        [B, k] int64 item indices, 0 where a user has fewer than k items that may be shown.
    """
    most = min(length, scores.shape[1])
    values, places = scores.topk(min(most + 1, scores.shape[1]), dim=1)
    chosen = places[:, :most].sort(dim=1).values
    if values.shape[1] > most:
        # topk takes any of the items that tie for the last place: of those rows the lowest numbers are looked up
        tied = ((values[:, most - 1] == values[:, most]) & (values[:, most] > -torch.inf)).nonzero()[:, 0]
        for rows in tied.split(max(1, AT_ONCE // scores.shape[1])) if len(tied) else ():
            chosen[rows] = _lowest_of_equals(scores[rows], values[rows, most - 1], most)
    kept, order = scores.gather(1, chosen).sort(dim=1, descending=True, stable=True)
    items = (chosen.gather(1, order) + 1).masked_fill(kept == -torch.inf, 0)
    return torch.nn.functional.pad(items, (0, length - most))


def _lowest_of_equals(scores: Tensor, last: Tensor, most: int) -> Tensor:
    """The columns [n, most], rising, of all scores [n, I] above each row's `last` [n] and the first that equal it."""
    above = scores > last[:, None]
    equal = scores == last[:, None]
    wanted = most - above.sum(dim=1)
    taken = above | (equal & (equal.cumsum(dim=1) <= wanted[:, None]))
    return taken.nonzero()[:, 1].view(len(scores), most)


class TopLists:
    """A list of the best items per user, to be given to `ranking.rank_scored`, which fills it chunk by chunk."""

    def __init__(self, length: int = LENGTH) -> None:
        self.length = length
        self.parts: list[NDArray[np.int32]] = []

    def see(self, scores: Tensor) -> None:
        """Take the lists of the next users from their scores [B, I], masked items at minus infinity."""
        self.parts.append(best_items(scores, self.length).to(torch.int32).cpu().numpy())

    @property
    def items(self) -> NDArray[np.int32]:
        """The lists [U, k] of all users seen, in their order: item indices from 1, then 0 where nothing is left."""
        return np.concatenate(self.parts) if self.parts else np.zeros((0, self.length), np.int32)
