"""HR, NDCG and MRR of one target per user, from its rank.

With a single relevant item the ideal DCG is 1, so that at cut-off k

    HR@k = [1 <= rank <= k]    NDCG@k = HR@k / log2(rank + 1)    MRR@k = HR@k / rank

as in the papers' published code. Rank 0 stands for a target that cannot be hit. Values are fractions, not percent.
"""

import re

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sanrec.errors import unknown

KINDS = ("HR", "NDCG", "MRR")
CUTOFFS = (5, 10, 20)
METRICS = tuple(f"{kind}@{k}" for kind in KINDS for k in CUTOFFS)


def per_user(ranks: ArrayLike, metric: str) -> NDArray[np.float64]:
    """The metric of each user.

    Args:
        ranks: [U] integer, from 1; 0 where the target cannot be hit.
        metric: `HR@k`, `NDCG@k` or `MRR@k`, k any whole number from 1.

    Returns:
        [U] float64.

    Raises:
        ConfigError: a metric of another name.
        ValueError: what cannot be ranks.
    """
    parts = re.fullmatch(rf"({'|'.join(KINDS)})@([1-9]\d*)", metric)
    if not parts:
        raise unknown("metric", metric, METRICS)
    ranks = np.asarray(ranks)
    if ranks.ndim != 1 or not np.issubdtype(ranks.dtype, np.integer):
        raise ValueError(f"ranks are one whole number per user, not {ranks.dtype} of shape {ranks.shape}")
    if (ranks < 0).any():
        raise ValueError(f"a rank is 0 or more, not {ranks.min()}")
    kind, k = parts[1], int(parts[2])
    hit = (ranks >= 1) & (ranks <= k)
    rank = np.maximum(ranks, 1).astype(np.float64)  # 0 never hits; 1 keeps the division and the logarithm defined
    gain = {"HR": np.ones_like(rank), "NDCG": 1 / np.log2(rank + 1), "MRR": 1 / rank}[kind]
    return np.where(hit, gain, 0.0)


def metrics_from_ranks(ranks: ArrayLike) -> dict[str, float]:
    """The mean over users of every metric in `METRICS`, by name. Raises ValueError where there is no user."""
    if np.size(ranks) == 0:
        raise ValueError("no ranks: metrics of no user are not defined")
    return {metric: float(per_user(ranks, metric).mean()) for metric in METRICS}
