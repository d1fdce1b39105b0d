"""From the towers' vectors to one item vector. Shapes: K towers, n items, E recommender width."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sanrec.models.blocks import TowerLinear


def side_by_side(e_KnE: Tensor) -> Tensor:
    """The towers' vectors of each item in one row: [K, n, E] to [n, K * E]."""
    return e_KnE.transpose(0, 1).flatten(1)


class ConcatFusion(nn.Module):
    """Linear(K * E, E) of the concatenation (IISAN-Versa, Eq. 1)."""

    def __init__(self, towers: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(towers * width, width)

    def forward(self, e_KnE: Tensor) -> Tensor:
        """[K, n, E] to [n, E]."""
        return self.linear(side_by_side(e_KnE))


class StaticGate(nn.Module):
    """One learned softmax weight per tower, the same for all items (CROSSAN, 6.3, S-Gated)."""

    def __init__(self, towers: int, width: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(towers))

    def forward(self, e_KnE: Tensor) -> Tensor:
        """[K, n, E] to [n, E]."""
        return torch.einsum("k,kne->ne", self.logits.softmax(-1).to(e_KnE.dtype), e_KnE)


class DynamicGate(nn.Module):
    """Softmax weights per item from Linear(K * E, K) of all towers' vectors (CROSSAN, 6.3, D-Gated)."""

    def __init__(self, towers: int, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(towers * width, towers)

    def weights(self, e_KnE: Tensor) -> Tensor:
        """How much each tower weighs in each item: [n, K], rows sum to 1."""
        return self.gate(side_by_side(e_KnE)).softmax(-1)

    def forward(self, e_KnE: Tensor) -> Tensor:
        """[K, n, E] to [n, E]."""
        return torch.einsum("nk,kne->ne", self.weights(e_KnE).to(e_KnE.dtype), e_KnE)


class Momef(DynamicGate):
    """Mixture of modality expert fusion (CROSSAN, Eq. 6): per item the k best towers, each through its own expert.

    Scores as in `DynamicGate`; the softmax is over the k highest alone, the others weigh nothing; experts are
    Linear(E, E). A k above the number of towers means all.
    """

    def __init__(self, towers: int, width: int, top_k: int) -> None:
        super().__init__(towers, width)
        self.top_k = min(top_k, towers)
        self.experts = TowerLinear(towers, width, width)

    def weights(self, e_KnE: Tensor) -> Tensor:
        """How much each tower weighs in each item: [n, K], zero outside the top k, rows sum to 1."""
        scores = self.gate(side_by_side(e_KnE))
        best = scores.topk(self.top_k, -1)
        return torch.zeros_like(scores).scatter(-1, best.indices, best.values.softmax(-1).to(scores.dtype))

    def forward(self, e_KnE: Tensor) -> Tensor:
        """[K, n, E] to [n, E]."""
        return torch.einsum("nk,kne->ne", self.weights(e_KnE).to(e_KnE.dtype), self.experts(e_KnE))


FUSIONS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "concat": lambda towers, width, top_k: ConcatFusion(towers, width),
    "static": lambda towers, width, top_k: StaticGate(towers, width),
    "dynamic": lambda towers, width, top_k: DynamicGate(towers, width),
    "momef": Momef,
}
