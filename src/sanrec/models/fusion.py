"""From the towers' vectors to one item vector. Shapes: K towers, n items, E recommender width.

`present` [K, n] says which towers an item has (None: all); what the others hold does not count.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sanrec.models.blocks import TowerLinear
from sanrec.models.missing import NOTHING, evened, masked_softmax


def side_by_side(e_KnE: Tensor) -> Tensor:
    """The towers' vectors of each item in one row: [K, n, E] to [n, K * E]."""
    return e_KnE.transpose(0, 1).flatten(1)


def _seen(e_KnE: Tensor, present_Kn: Tensor | None) -> Tensor:
    """What a linear layer over all towers is given: see `missing.evened`."""
    return e_KnE if present_Kn is None else torch.stack(evened(e_KnE.unbind(), present_Kn))


class ConcatFusion(nn.Module):
    """Linear(K * E, E) of the concatenation (IISAN-Versa, Eq. 1)."""

    def __init__(self, towers: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(towers * width, width)

    def forward(self, e_KnE: Tensor, present_Kn: Tensor | None = None) -> Tensor:
        """[K, n, E] to [n, E]."""
        return self.linear(side_by_side(_seen(e_KnE, present_Kn)))


class StaticGate(nn.Module):
    """One learned softmax weight per tower, the same for all items (CROSSAN, 6.3, S-Gated)."""

    def __init__(self, towers: int, width: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(towers))

    def weights(self, e_KnE: Tensor, present_Kn: Tensor | None = None) -> Tensor:
        """How much each tower weighs in each item: [n, K], rows sum to 1."""
        if present_Kn is None:
            return self.logits.softmax(-1).expand(e_KnE.shape[1], -1)
        return masked_softmax(self.logits[:, None], present_Kn, 0).T

    def forward(self, e_KnE: Tensor, present_Kn: Tensor | None = None) -> Tensor:
        """[K, n, E] to [n, E]."""
        if present_Kn is None:
            return torch.einsum("k,kne->ne", self.logits.softmax(-1).to(e_KnE.dtype), e_KnE)
        weights_Kn = masked_softmax(self.logits[:, None], present_Kn, 0)
        return torch.einsum("kn,kne->ne", weights_Kn.to(e_KnE.dtype), e_KnE)


class DynamicGate(nn.Module):
    """Softmax weights per item from Linear(K * E, K) of all towers' vectors (CROSSAN, 6.3, D-Gated)."""

    def __init__(self, towers: int, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(towers * width, towers)

    def scores(self, e_KnE: Tensor, present_Kn: Tensor | None = None) -> Tensor:
        """What the gate gives each tower of each item, [n, K], before the softmax; lowest where it is missing."""
        scores_nK = self.gate(side_by_side(_seen(e_KnE, present_Kn)))
        return scores_nK if present_Kn is None else scores_nK.masked_fill(~present_Kn.T, NOTHING)

    def weights(self, e_KnE: Tensor, present_Kn: Tensor | None = None) -> Tensor:
        """How much each tower weighs in each item: [n, K], rows sum to 1."""
        weights_nK = self.scores(e_KnE, present_Kn).softmax(-1)
        return weights_nK if present_Kn is None else weights_nK * present_Kn.T

    def forward(self, e_KnE: Tensor, present_Kn: Tensor | None = None) -> Tensor:
        """[K, n, E] to [n, E]."""
        return torch.einsum("nk,kne->ne", self.weights(e_KnE, present_Kn).to(e_KnE.dtype), e_KnE)


class Momef(DynamicGate):
    """Mixture of modality expert fusion (CROSSAN, Eq. 6): per item the k best towers, each through its own expert.

    Scores as in `DynamicGate`; the softmax is over the k highest alone, the others weigh nothing; experts are
    Linear(E, E). A k above the number of towers means all.
    """

    def __init__(self, towers: int, width: int, top_k: int) -> None:
        super().__init__(towers, width)
        self.top_k = min(top_k, towers)
        self.experts = TowerLinear(towers, width, width)

    def weights(self, e_KnE: Tensor, present_Kn: Tensor | None = None) -> Tensor:
        """How much each tower weighs in each item: [n, K], zero outside the top k, rows sum to 1."""
        scores = self.scores(e_KnE, present_Kn)
        best = scores.topk(self.top_k, -1)
        weights_nK = torch.zeros_like(scores).scatter(-1, best.indices, best.values.softmax(-1).to(scores.dtype))
        return weights_nK if present_Kn is None else weights_nK * present_Kn.T

    def forward(self, e_KnE: Tensor, present_Kn: Tensor | None = None) -> Tensor:
        """[K, n, E] to [n, E]."""
        weights_nK = self.weights(e_KnE, present_Kn)
        return torch.einsum("nk,kne->ne", weights_nK.to(e_KnE.dtype), self.experts(e_KnE))


FUSIONS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "concat": lambda towers, width, top_k: ConcatFusion(towers, width),
    "static": lambda towers, width, top_k: StaticGate(towers, width),
    "dynamic": lambda towers, width, top_k: DynamicGate(towers, width),
    "momef": Momef,
}
