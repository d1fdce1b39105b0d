"""The ranks of users' targets among all items.

    U users   T targets of all users   I items   E recommender width   S history positions   B users scored at once

Full ranking, after the protocol of CROSSAN (arXiv 2504.10307, section 5: "evaluated against the entire set of
items") and of the published IISAN code: a user's own history is masked, also where it holds the target.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sanrec.errors import DivergenceError
from sanrec.progress import inner_bar

SCORES = 2**22  # scores held at once where no chunk is given: 16 MiB at float32, which stays near the processor
FEWEST, MOST_SCORES = 64, 2**26  # large catalogues: each product reads all their vectors, so for not too few users
EXACT_COUNT = 2**24  # float32 has every whole number up to it
Lists = tuple[Tensor, Tensor]
"""A list of items per user: offsets [U + 1] and items [n]; user u has items[offsets[u]:offsets[u + 1]]."""


@torch.no_grad()
def rank_targets(
    user_states: Tensor,
    item_vectors: Tensor,
    targets: Tensor | Lists,
    histories: Tensor | Lists,
    chunk: int | None = None,
    see: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Rank users' targets among all items by the inner product with the user's state.

    Args:
        user_states: [U, E] float.
        item_vectors: [I + 1, E] float; row 0 is padding and is never ranked.
        targets: [U] integer, item indices from 1 to I, one per user; or (offsets [U + 1], items [T]), any number.
        histories: the items that each user is not to be shown again: [U, S] integer, padded with 0 anywhere, or a
            pair (offsets [U + 1], items [n]) where user u has items[offsets[u]:offsets[u + 1]].
        chunk: users scored at once; by default see `users_at_once`.
        see: as of `rank_scored`.

    Returns:
        [T] int32 on the CPU, T = U where each user has one target: see `rank_scored`.

    Raises:
        DivergenceError: a score is not finite.
        ValueError: shapes or indices that do not fit each other.
    """
    users, items = len(user_states), len(item_vectors) - 1
    if items < 1 or user_states.shape[1:] != item_vectors.shape[1:]:
        raise ValueError(f"cannot score items {tuple(item_vectors.shape)} for users {tuple(user_states.shape)}")
    device = item_vectors.device
    offsets, seen = _compressed(histories, device)
    if isinstance(targets, tuple):
        wanted = targets
        counted = len(targets[0]) - 1
    else:
        targets = torch.as_tensor(targets, device=device).long()
        wanted, counted = (torch.arange(users + 1, device=device), targets), len(targets)
    if counted != users or offsets.shape != (users + 1,):
        raise ValueError(f"{users} users, but {counted} targets and {len(offsets) - 1} histories")
    exact = torch.promote_types(item_vectors.dtype, torch.float32)  # half precision would make ties of its own
    columns = item_vectors[1:].to(exact).T

    def score(first: int, last: int) -> Tensor:
        return user_states[first:last].to(device, exact) @ columns

    return rank_scored(score, items, wanted, (offsets, seen), chunk, see)


@torch.no_grad()
def rank_scored(
    score: Callable[[int, int], Tensor],
    items: int,
    targets: Lists,
    histories: Lists,
    chunk: int | None = None,
    see: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Rank every user's targets among all items by given scores.

    Args:
        score: from a range of users, first and last + 1, to the scores [B, I] of items 1 to I, newly made: they are
            changed here.
        items: I.
        targets: (offsets [U + 1], items [T]), any number per user, item indices from 1 to I, none twice for a user.
        histories: (offsets [U + 1], items [n]), the items that each user is not to be shown again.
        chunk: users scored at once; by default see `users_at_once`.
        see: is shown the scores [B, I] of each chunk in turn, those of the histories at minus infinity; it must leave
            them as they are (`top_lists` takes the best items from them).

    Returns:
        [T] int32 on the CPU: the number of unmasked items that score at least what the target does, itself included.
        So the best rank is 1 and a target counts behind every item of the same score; of a user's targets with the same
        score the first counts before the second, so that no two have one rank. 0 where the user's own history holds
        the target, which then cannot be hit.

    Raises:
        DivergenceError: a score is not finite.
        ValueError: shapes or indices that do not fit each other.
    """
    (held, wanted), (offsets, seen) = ([torch.as_tensor(part).long() for part in pair] for pair in (targets, histories))
    users = len(held) - 1
    _check(held, wanted, "targets", "target", users, items)
    _check(offsets, seen, "histories", "item of a history", users, items)
    if chunk is None:
        chunk = users_at_once(items)
    elif chunk < 1:
        raise ValueError(f"chunk is a number of users from 1, not {chunk}")
    ranks = torch.empty(len(wanted), dtype=torch.int32)
    for first in inner_bar(range(0, users, chunk), unit="chunk of users", desc="ranking"):
        last = min(first + chunk, users)
        scores = score(first, last)
        if scores.dtype.itemsize < 4:
            scores = scores.float()  # whole numbers are counted in the scores' own type
        if scores.shape != (last - first, items):
            raise ValueError(f"scores of {last - first} users for {items} items cannot be {tuple(scores.shape)}")
        _check_finite(scores, first)
        rows, masked = _of_users(offsets, seen, first, last, scores.device)
        scores[rows, masked - 1] = -torch.inf
        if see:
            see(scores)
        rows, columns = _of_users(held, wanted, first, last, scores.device)
        # a target's score is read from the same product, so that it equals itself to the last bit
        own = scores[rows, columns - 1]
        rank = _counts(scores, rows, own) - _tied_later(rows, own)
        ranks[held[first] : held[last]] = rank.masked_fill(own == -torch.inf, 0).to(torch.int32).cpu()
    return ranks


def users_at_once(items: int) -> int:
    """How many users are scored together: as many as `SCORES` allows, and `FEWEST` as long as `MOST_SCORES` does."""
    return max(1, SCORES // items, min(FEWEST, MOST_SCORES // items))


def _of_users(offsets: Tensor, items: Tensor, first: int, last: int, device: torch.device) -> Lists:
    """The rows, from 0, and items of the lists of users `first` to before `last`."""
    begin = offsets[first : last + 1]
    rows = torch.repeat_interleave(torch.arange(last - first, device=begin.device), begin.diff())
    return rows.to(device), items[begin[0] : begin[-1]].to(device)


def _counts(scores: Tensor, rows: Tensor, own: Tensor) -> Tensor:
    """How many scores of each target's row reach its own; T x I scores are never held at once beyond `SCORES`.

    The scores are overwritten.
    """
    if len(rows) == len(scores) and bool((rows == torch.arange(len(rows), device=rows.device)).all()):
        return _reached(scores, own)  # one target each: no copy of the rows
    step = max(1, SCORES // scores.shape[1])
    parts = [_reached(scores[some], mine) for some, mine in zip(rows.split(step), own.split(step), strict=True)]
    return torch.cat(parts) if parts else rows


def _reached(scores: Tensor, own: Tensor) -> Tensor:
    """How many of each row's scores [n, I] are at least its own [n]; the scores become ones and zeros.

    Ones and zeros in the scores' own type are compared and summed many at once; a mask of truth values is not, which
    makes it ten times slower on a processor. Float32 counts exactly up to 2^24, so more columns are summed in pieces.
    """
    ones = scores.ge_(own[:, None])
    return sum(piece.sum(dim=1).long() for piece in ones.split(EXACT_COUNT, dim=1))


def _tied_later(rows: Tensor, own: Tensor) -> Tensor:
    """How many targets of the same user and score stand after each target [T]."""
    if bool((rows.diff() > 0).all()):  # one each
        return torch.zeros_like(rows)
    pairs = torch.stack([rows.to(torch.float64), own.to(torch.float64)], 1)
    _, kind, size = pairs.unique(dim=0, return_inverse=True, return_counts=True)
    order = kind.argsort(stable=True)  # equals stand together, in their order
    begins = size.cumsum(0) - size
    place = torch.empty_like(rows)
    place[order] = torch.arange(len(rows), device=rows.device) - begins[kind[order]]
    return size[kind] - 1 - place


def _compressed(histories: Tensor | Lists, device: torch.device) -> Lists:
    """Histories as (offsets [U + 1], items [n]); the zeros that pad a matrix are left out."""
    if isinstance(histories, tuple):
        offsets, items = (torch.as_tensor(part, device=device).long() for part in histories)
        return offsets, items
    matrix = torch.as_tensor(histories, device=device).long()  # [U, S]
    real = matrix != 0
    offsets = torch.zeros(len(matrix) + 1, dtype=torch.long, device=device)
    offsets[1:] = real.sum(dim=1).cumsum(0)
    return offsets, matrix[real]


def _check(offsets: Tensor, listed: Tensor, what: str, name: str, users: int, items: int) -> None:
    """Shapes and indices that do not fit are the caller's mistake."""
    if offsets.shape != (users + 1,):
        raise ValueError(f"{users} users, but {len(offsets) - 1} {what}")
    if offsets[0] != 0 or offsets[-1] != len(listed) or bool((offsets.diff() < 0).any()):
        raise ValueError(f"offsets of {what} must rise from 0 to the number of items in them")
    wrong = listed[(listed < 1) | (listed > items)]
    if len(wrong):
        raise ValueError(f"{name} {int(wrong[0])} is none of the items 1 to {items}")


def _check_finite(scores: Tensor, first: int) -> None:
    """A comparison with NaN is false, so an unchecked NaN would pass for the best rank."""
    low, high = torch.aminmax(scores)  # NaN goes through both; cheaper than a mask of the scores' size
    if not bool(torch.isfinite(low) & torch.isfinite(high)):
        user = first + int((~torch.isfinite(scores)).any(dim=1).nonzero()[0])
        raise DivergenceError(
            f"scores of user {user} are not finite, so nothing can be ranked: the model has diverged. "
            "Train again with a lower learning rate or with precision=float32"
        )
