"""The rank of each user's target among all items.

    U users   I items   E recommender width   S history positions

Full ranking, after the protocol of CROSSAN (arXiv 2504.10307, section 5: "evaluated against the entire set of
items") and of the published IISAN code: a user's own history is masked, also where it holds the target.
"""

import torch
from torch import Tensor

from sanrec.errors import SanrecError

SCORES = 2**22  # scores held at once where no chunk is given: 16 MiB at float32, which stays near the processor


@torch.no_grad()
def rank_targets(
    user_states: Tensor,
    item_vectors: Tensor,
    targets: Tensor,
    histories: Tensor | tuple[Tensor, Tensor],
    chunk: int | None = None,
) -> Tensor:
    """Rank each user's target among all items by the inner product with the user's state.

    Args:
        user_states: [U, E] float.
        item_vectors: [I + 1, E] float; row 0 is padding and is never ranked.
        targets: [U] integer, item indices from 1 to I.
        histories: the items that each user is not to be shown again: [U, S] integer, padded with 0 anywhere, or a
            pair (offsets [U + 1], items [n]) where user u has items[offsets[u]:offsets[u + 1]].
        chunk: users scored at once; by default as many as keep the scores within `SCORES`.

    Returns:
        [U] int32 on the CPU: the number of unmasked items that score at least what the target does, itself included.
        So the best rank is 1 and a target counts behind every item of the same score. 0 where the user's own history
        holds the target, which then cannot be hit.

    Raises:
        SanrecError: a score is not finite.
        ValueError: shapes or indices that do not fit each other.
    """
    device, users, items = item_vectors.device, len(user_states), len(item_vectors) - 1
    targets = torch.as_tensor(targets, device=device).long()
    offsets, seen = _compressed(histories, device)
    _check(user_states, item_vectors, targets, offsets, seen)
    if chunk is None:
        chunk = max(1, SCORES // items)
    elif chunk < 1:
        raise ValueError(f"chunk is a number of users from 1, not {chunk}")
    exact = torch.promote_types(item_vectors.dtype, torch.float32)  # half precision would make ties of its own
    columns = item_vectors[1:].to(exact).T
    ranks = torch.empty(users, dtype=torch.int32)
    for first in range(0, users, chunk):
        last = min(first + chunk, users)
        scores = user_states[first:last].to(device, exact) @ columns  # [chunk, I]
        _check_finite(scores, first)
        begin = offsets[first : last + 1]
        rows = torch.repeat_interleave(torch.arange(last - first, device=device), begin.diff())
        scores[rows, seen[begin[0] : begin[-1]] - 1] = -torch.inf
        # the target's score is read from the same product, so that it equals itself to the last bit
        own = scores.gather(1, targets[first:last, None] - 1)
        rank = (scores >= own).sum(dim=1, dtype=torch.int32)
        ranks[first:last] = rank.masked_fill(own[:, 0] == -torch.inf, 0).cpu()
    return ranks


def _compressed(histories: Tensor | tuple[Tensor, Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Histories as (offsets [U + 1], items [n]); the zeros that pad a matrix are left out."""
    if isinstance(histories, tuple):
        offsets, items = (torch.as_tensor(part, device=device).long() for part in histories)
        return offsets, items
    matrix = torch.as_tensor(histories, device=device).long()  # [U, S]
    real = matrix != 0
    offsets = torch.zeros(len(matrix) + 1, dtype=torch.long, device=device)
    offsets[1:] = real.sum(dim=1).cumsum(0)
    return offsets, matrix[real]


def _check(user_states: Tensor, item_vectors: Tensor, targets: Tensor, offsets: Tensor, seen: Tensor) -> None:
    """Shapes and indices that do not fit are the caller's mistake."""
    users, items = len(user_states), len(item_vectors) - 1
    if items < 1 or user_states.shape[1:] != item_vectors.shape[1:]:
        raise ValueError(f"cannot score items {tuple(item_vectors.shape)} for users {tuple(user_states.shape)}")
    if targets.shape != (users,) or offsets.shape != (users + 1,):
        raise ValueError(f"{users} users, but {len(targets)} targets and {len(offsets) - 1} histories")
    if offsets[0] != 0 or offsets[-1] != len(seen) or bool((offsets.diff() < 0).any()):
        raise ValueError("offsets of histories must rise from 0 to the number of items in them")
    for name, index in (("target", targets), ("item of a history", seen)):
        wrong = index[(index < 1) | (index > items)]
        if len(wrong):
            raise ValueError(f"{name} {int(wrong[0])} is none of the items 1 to {items}")


def _check_finite(scores: Tensor, first: int) -> None:
    """A comparison with NaN is false, so an unchecked NaN would pass for the best rank."""
    low, high = torch.aminmax(scores)  # NaN goes through both; cheaper than a mask of the scores' size
    if not bool(torch.isfinite(low) & torch.isfinite(high)):
        user = first + int((~torch.isfinite(scores)).any(dim=1).nonzero()[0])
        raise SanrecError(
            f"scores of user {user} are not finite, so nothing can be ranked: the model has diverged. "
            "Train again with a lower learning rate or with precision=float32"
        )
