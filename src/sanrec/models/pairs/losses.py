"""Losses of methods on pairs.

Shapes: B interactions of a batch, E width.
"""

import torch
from torch import Tensor
from torch.nn import functional


def bpr_loss(positive_B: Tensor, negative_B: Tensor) -> Tensor:
    """Mean of −ln σ(score of the positive − score of the sampled item) (Rendle et al. 2009, BPR-Opt)."""
    return -functional.logsigmoid(positive_B - negative_B).mean()


def half_squares(*vectors_BE: Tensor) -> Tensor:
    """½ Σ ‖x‖² over the vectors of a batch, per interaction: what `regularization` weighs (LightGCN, Eq. 15)."""
    return sum(x.square().sum() for x in vectors_BE) / (2 * len(vectors_BE[0]))


def in_batch_softmax(scores_BB: Tensor, positives_B: Tensor, log_popularity_I: Tensor) -> Tensor:
    """Cross-entropy of each user's positive among the batch's positives, less their log-popularity.

    As MicroLens' benchmark trains its collaborative filters (Ni et al. 2023, arXiv 2309.15379); where the positive
    stands in the batch more than once, the other places of it are left out.
    """
    logits = scores_BB - log_popularity_I[positives_B]
    again = positives_B[:, None] == positives_B[None, :]
    again.fill_diagonal_(False)
    return functional.cross_entropy(
        logits.masked_fill(again, float("-inf")), torch.arange(len(logits), device=logits.device)
    )


def info_nce(view_BE: Tensor, other_BE: Tensor, temperature: float) -> Tensor:
    """Mean of −ln(exp(s_bb/τ) / Σ_c exp(s_bc/τ)), s the cosines between two views of the batch (MGCN)."""
    view, other = functional.normalize(view_BE, dim=1) / temperature, functional.normalize(other_BE, dim=1)
    return functional.cross_entropy(view @ other.T, torch.arange(len(view), device=view.device))
