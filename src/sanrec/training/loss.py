"""The in-batch debiased cross-entropy (CROSSAN, Eq. 7 and 8; IISAN-Versa, Eq. 6 and 7).

Shapes: B users, S positions, n unique items of the batch, P real positions, E recommender width.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sanrec.training.batches import Batch


def debiased_loss(states_BSE: Tensor, items_nE: Tensor, batch: Batch, log_popularity_n: Tensor) -> Tensor:
    """Mean over real positions of -log softmax of the next item, among the batch's items not in the user's sequence.

    A logit is user state · item vector - log p(item). Each other item counts as often as it stands in the batch: its
    multiplicity enters as a log-count, so that one column per unique item gives the sum over all occurrences. The
    target counts once. Computed in float32.
    """
    real = batch.present[:, :-1]
    # The scores decide the softmax: never in half precision, whatever surrounds this.
    states, items = states_BSE[real].float(), items_nE.float()
    own_Bn = torch.zeros(len(real), len(items), dtype=torch.bool, device=items.device)
    rows = torch.arange(len(real), device=items.device)[:, None].expand_as(batch.places)
    own_Bn[rows[batch.present], batch.places[batch.present]] = True
    own_Pn, targets = own_Bn[real.nonzero()[:, 0]], batch.places[:, 1:][real]
    log_counts = batch.counts.log().to(items.dtype)
    return DebiasedLoss.apply(states, items, own_Pn, targets, log_popularity_n, log_counts)


class DebiasedLoss(torch.autograd.Function):
    """The loss of P positions, whose scores of n items are held once: they become logits, then their gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        states_PE: Tensor,
        items_nE: Tensor,
        own_Pn: Tensor,
        target_P: Tensor,
        log_popularity_n: Tensor,
        log_counts_n: Tensor,
    ) -> Tensor:
        """The mean loss; `own` says which items are in a position's sequence."""
        with torch.autocast(states_PE.device.type, enabled=False):
            logits = (states_PE @ items_nE.T).sub_(log_popularity_n)
        target = target_P[:, None]
        positive = logits.gather(1, target)
        logits.add_(log_counts_n).masked_fill_(own_Pn, -torch.inf).scatter_(1, target, positive)
        largest = logits.amax(1, keepdim=True)
        powers = logits.sub_(largest).exp_()
        total = powers.sum(1, keepdim=True)
        ctx.save_for_backward(states_PE, items_nE, target, powers.div_(total))
        return (total.log() + largest - positive).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of states and items: (softmax - one at the target) / P through the product."""
        states, items, target, softmax = ctx.saved_tensors
        ones = torch.ones_like(target, dtype=softmax.dtype)
        of_logits = softmax.scatter_add_(1, target, -ones).mul_(grad / len(target))  # kept for nothing else
        return of_logits @ items, of_logits.T @ states, None, None, None, None
