"""HR, NDCG, MRR and Recall from the ranks of users' targets.

With a single target per user the ideal DCG is 1, so that at cut-off k

    HR@k = [1 <= rank <= k]    NDCG@k = HR@k / log2(rank + 1)    MRR@k = HR@k / rank

as in the papers' published code, and Recall@k is HR@k. With several targets, n of them at ranks r,

    HR@k = [some r <= k]    MRR@k = HR@k / min r    Recall@k = |{r <= k}| / n
    NDCG@k = sum over r <= k of 1 / log2(r + 1), over the same sum for the ideal ranks 1, ..., min(n, k)

as benchmarks of collaborative filtering have it (He et al. 2020, LightGCN, arXiv 2002.02126, section 4.1). Rank 0
stands for a target that cannot be hit. Values are fractions, not percent.
"""

import re

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sanrec.errors import unknown

KINDS = ("HR", "NDCG", "MRR", "Recall")
CUTOFFS = (5, 10, 20)
METRICS = tuple(f"{kind}@{k}" for kind in KINDS[:3] for k in CUTOFFS)
RECALLS = tuple(f"Recall@{k}" for k in CUTOFFS)  # with one target per user they are its HR


def per_user(ranks: ArrayLike, metric: str, users: ArrayLike | None = None) -> NDArray[np.float64]:
    """The metric of each user.

    Args:
        ranks: [T] integer, from 1; 0 where the target cannot be hit.
        metric: `HR@k`, `NDCG@k`, `MRR@k` or `Recall@k`, k any whole number from 1.
        users: [T] integer, whose target each is, never falling; None where each user has one.

    Returns:
        [U] float64, in the order of `users`.

    Raises:
        ConfigError: a metric of another name.
        ValueError: what cannot be ranks, or whose.
    """
    parts = re.fullmatch(rf"({'|'.join(KINDS)})@([1-9]\d*)", metric)
    if not parts:
        raise unknown("metric", metric, (*METRICS, *RECALLS))
    ranks = np.asarray(ranks)
    if ranks.ndim != 1 or not np.issubdtype(ranks.dtype, np.integer):
        raise ValueError(f"ranks are one whole number per target, not {ranks.dtype} of shape {ranks.shape}")
    if (ranks < 0).any():
        raise ValueError(f"a rank is 0 or more, not {ranks.min()}")
    kind, k = parts[1], int(parts[2])
    hit = (ranks >= 1) & (ranks <= k)
    rank = np.maximum(ranks, 1).astype(np.float64)  # 0 never hits; 1 keeps the division and the logarithm defined
    gain = {"NDCG": 1 / np.log2(rank + 1), "MRR": 1 / rank}.get(kind, np.ones_like(rank))
    gains = np.where(hit, gain, 0.0)
    if users is None:
        return gains
    starts, counts = _groups(np.asarray(users), len(ranks))
    if kind in ("HR", "MRR"):
        return np.maximum.reduceat(gains, starts)
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))[np.minimum(counts, k) - 1] if kind == "NDCG" else counts
    return np.add.reduceat(gains, starts) / ideal


def _groups(users: NDArray[np.integer], targets: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each user's targets begin, and how many there are."""
    if users.shape != (targets,) or (np.diff(users) < 0).any():
        raise ValueError(f"users are one number per target ({targets}), never falling")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(users) > 0])) if targets else np.zeros(0, np.intp)
    return starts, np.diff(np.append(starts, targets))


def metrics_from_ranks(ranks: ArrayLike, users: ArrayLike | None = None) -> dict[str, float]:
    """The mean over users of every metric in `METRICS`, and with `users` (as of `per_user`) in `RECALLS`, by name.

    Raises ValueError where there is no user.
    """
    if np.size(ranks) == 0:
        raise ValueError("no ranks: metrics of no user are not defined")
    names = METRICS if users is None else (*METRICS, *RECALLS)
    return {metric: float(per_user(ranks, metric, users).mean()) for metric in names}
