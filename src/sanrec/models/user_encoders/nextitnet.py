"""NextItNet's user encoder: causal dilated convolutions in residual blocks (Yuan et al. 2019, arXiv 1808.05163).

The setting is MicroLens': kernels of 3, residual blocks of the paper's kind (b) with dilations 1, 4, 1, 4, ..., and no
layer behind the last one. Shapes: B users, S positions, E recommender width, K taps of a kernel.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNEL = 3
DILATIONS = (1, 4)  # of one pair of residual blocks
EPSILON = 1e-8  # of every LayerNorm here


class CausalConvolution(nn.Module):
    """A convolution over positions that looks back only: y_s = b + sum over k of W_k x_(s - (K - 1 - k) dilation).

    What lies before the first position counts as zero: such taps are not computed at all, which on histories of ten is
    most of a wide dilation's. Starts as `nn.Conv1d` does (uniform within 1/sqrt(K E)).
    """

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.weight = nn.Parameter(torch.empty(KERNEL, width, width))  # [K, out, in]
        self.bias = nn.Parameter(torch.empty(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the starting weights."""
        bound = 1 / math.sqrt(KERNEL * len(self.bias))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x_BSE: Tensor) -> Tensor:
        """[B, S, E] to [B, S, E]."""
        length = x_BSE.shape[1]
        y = functional.linear(x_BSE, self.weight[KERNEL - 1], self.bias)
        for back in range(1, KERNEL):
            if (shift := back * self.dilation) < length:
                seen = functional.linear(x_BSE[:, :-shift], self.weight[KERNEL - 1 - back])
                y = y + functional.pad(seen, (0, 0, shift, 0))
        return y


class ResidualBlock(nn.Module):
    """x + ReLU(LN(conv(ReLU(LN(conv(x)))))), the second convolution twice as dilated (Figure 3b of the paper)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.first = CausalConvolution(width, dilation)
        self.first_norm = nn.LayerNorm(width, eps=EPSILON)
        self.second = CausalConvolution(width, 2 * dilation)
        self.second_norm = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, x_BSE: Tensor, present_BS1: Tensor) -> Tensor:
        """[B, S, E] to [B, S, E]; zeros at padded positions stay zeros, as if nothing had ever stood there."""
        inner = functional.relu(self.first_norm(self.first(x_BSE))) * present_BS1
        return x_BSE + functional.relu(self.second_norm(self.second(inner))) * present_BS1


class NextItNet(nn.Module):
    """Pairs of residual blocks with dilations 1 and 4; a pair's states have seen the last 31 items more."""

    def __init__(self, width: int, pairs: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(ResidualBlock(width, dilation) for dilation in DILATIONS * pairs)

    def forward(self, items_BSE: Tensor, present_BS: Tensor) -> Tensor:
        """Item vectors [B, S, E], left-padded, and which are real [B, S], to user states [B, S, E].

        State s has seen items 0 to s and no padding; states at padded positions mean nothing.
        """
        real = present_BS[..., None]
        x = self.dropout(torch.where(real, items_BSE, torch.zeros_like(items_BSE)))
        for block in self.blocks:
            x = block(x, real)
        return x
