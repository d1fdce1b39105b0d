"""The in-batch debiased cross-entropy (CROSSAN, Eq. 7 and 8; IISAN-Versa, Eq. 6 and 7).

Shapes: B users, S positions, n unique items of the batch, P real positions, E recommender width.
"""

import torch
from torch import Tensor
from torch.nn import functional

from sanrec.training.batches import Batch


def debiased_loss(states_BSE: Tensor, items_nE: Tensor, batch: Batch, log_popularity_n: Tensor) -> Tensor:
    """Mean over real positions of -log softmax of the next item, among the batch's items not in the user's sequence.

    A logit is user state · item vector - log p(item). Each other item counts as often as it stands in the batch: its
    multiplicity enters as a log-count, so that one column per unique item gives the sum over all occurrences. The
    target counts once. Computed in float32.
    """
    # The scores decide the softmax: never in half precision, whatever surrounds this.
    with torch.autocast(states_BSE.device.type, enabled=False):
        return _float_loss(states_BSE.float(), items_nE.float(), batch, log_popularity_n)


def _float_loss(states_BSE: Tensor, items_nE: Tensor, batch: Batch, log_popularity_n: Tensor) -> Tensor:
    real = batch.present[:, :-1]
    user_P = real.nonzero()[:, 0]
    target_P = batch.places[:, 1:][real]
    scores = states_BSE[real] @ items_nE.T - log_popularity_n
    own_Bn = torch.zeros(len(real), len(items_nE), dtype=torch.bool, device=scores.device)
    rows = torch.arange(len(real), device=scores.device)[:, None].expand_as(batch.places)
    own_Bn[rows[batch.present], batch.places[batch.present]] = True
    positive = scores.gather(1, target_P[:, None])
    logits = (scores + batch.counts.log().to(scores.dtype)).masked_fill(own_Bn[user_P], float("-inf"))
    return functional.cross_entropy(logits.scatter(1, target_P[:, None], positive), target_P)
