"""Adapter blocks, one or many towers at once.

Shapes: K towers, n items, D width of a tower, H inner width, E recommender width.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.models.backward import AdapterFunction, Weights

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": functional.relu, "gelu": functional.gelu}
TOGETHER = 16
"""Training asks towers for items in multiples of this. The products' library keeps code and room for each shape that it
meets, and batches have another number of items each time: hundreds of megabytes, for towers of the papers' size."""
ADAPTER_STD = 0.01  # of the weights at the start; biases are zero (published IISAN code)


class TowerLinear(nn.Module):
    """K linear layers of one shape as one batched product: [K, n, in] to [K, n, out].

    Starts as `nn.Linear` does (uniform within 1/sqrt(in)); with `std`, normal weights and zero biases.
    """

    def __init__(self, towers: int, inputs: int, outputs: int, std: float | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(towers, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(towers, 1, outputs))
        self.std = std
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the starting weights."""
        if self.std is None:
            bound = 1 / math.sqrt(self.weight.shape[1])
            nn.init.uniform_(self.weight, -bound, bound)
            nn.init.uniform_(self.bias, -bound, bound)
        else:
            nn.init.normal_(self.weight, std=self.std)
            nn.init.zeros_(self.bias)

    def forward(self, x_KnD: Tensor) -> Tensor:
        """[K, n, in] to [K, n, out]."""
        return torch.baddbmm(self.bias, x_KnD, self.weight)


class AdapterBlocks(nn.Module):
    """One SANB (side adapter block) for each of K towers: x + W_up act(W_down x), D to H to D, with biases.

    IISAN-Versa, III-C; CROSSAN takes the same block (4, after Houlsby et al. 2019), without a LayerNorm.
    """

    def __init__(self, towers: int, width: int, inner: int, activation: str = "relu") -> None:
        super().__init__()
        self.down = TowerLinear(towers, width, inner, ADAPTER_STD)
        self.up = TowerLinear(towers, inner, width, ADAPTER_STD)
        self.activation = activation

    def forward(self, x_KnD: Tensor) -> Tensor:
        """[K, n, D] to [K, n, D]."""
        return AdapterFunction.apply(x_KnD, self.activation, *self.weights())

    def weights(self) -> Weights:
        """Down and up, each with its bias."""
        return self.down.weight, self.down.bias, self.up.weight, self.up.bias


class AdapterBlock(nn.Module):
    """The same block for one stream of any shape [..., D]: Houlsby's adapter inside a transformer block."""

    def __init__(self, width: int, inner: int, activation: str = "relu") -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, inner), nn.Linear(inner, width)
        self.activation = ACTIVATIONS[activation]
        for layer in (self.down, self.up):
            nn.init.normal_(layer.weight, std=ADAPTER_STD)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] to [..., D]."""
        return x + self.up(self.activation(self.down(x)))


class TowerHeads(nn.Module):
    """From each tower's last output to its vector e: Linear(D, D), Linear(D, E), nothing between (published code).

    With nothing between, the two weights' product comes first, for E is small: a step then computes D * D * E + n * D *
    E, not n * D * D + n * D * E, and keeps nothing of size n * D more. Same function, same weights, same gradients.
    """

    def __init__(self, towers: int, width: int, outputs: int) -> None:
        super().__init__()
        self.inner = TowerLinear(towers, width, width)
        self.outer = TowerLinear(towers, width, outputs)

    def forward(self, z_KnD: Tensor) -> Tensor:
        """[K, n, D] to [K, n, E]."""
        weight = torch.bmm(self.inner.weight, self.outer.weight)
        bias = torch.baddbmm(self.outer.bias, self.inner.bias, self.outer.weight)
        return torch.baddbmm(bias, z_KnD, weight)
