"""The backward pass by hand of what towers spend their time in: the adapter blocks. `crossed` has CROSSAN's towers.

Autograd's own keeps what is not needed (the sum before an activation, each half of a residual sum), passes over it
again in one operation each, and under autocast casts weights and their gradients once more. Here what is kept is
what the gradient's formula names, and sums go into the product that follows them. Same numbers but for the order of
sums; `tests/models/test_backward.py` compares both.

Shapes: K towers (M channels), n items, D width of a tower, H inner width. Computed is in autocast's type where that is
on, else in the weights'; gradients of weights come back in the weights' own.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

Weights = tuple[Tensor, Tensor, Tensor, Tensor]
"""Of an adapter block: down [K, D, H] with its bias [K, 1, H], up [K, H, D] with its bias [K, 1, D]."""


def working_type(device: torch.device, otherwise: torch.dtype = torch.float32) -> torch.dtype:
    """What towers compute in: autocast's type where it is on, else that of their weights, usually float32."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else otherwise


class AdapterFunction(torch.autograd.Function):
    """x + W_up act(W_down x + b_down) + b_up for K towers: [K, n, D] to [K, n, D], act ReLU or GELU.

    Kept for the backward pass are x, and what the activation gave (ReLU) or took (GELU): [K, n, D] and [K, n, H].
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, activation: str, *weights: Tensor) -> Tensor:
        """`weights` as in `Weights`."""
        dtype = working_type(x.device, weights[0].dtype)
        with torch.autocast(x.device.type, enabled=False):
            x, cast = x.to(dtype), [weight.to(dtype) for weight in weights]
            inner = torch.baddbmm(cast[1], x, cast[0])
            active = inner.relu_() if activation == "relu" else functional.gelu(inner)
            out = torch.baddbmm(x, active, cast[2]).add_(cast[3])
        ctx.save_for_backward(x, inner, cast[0], cast[2])
        ctx.activation, ctx.weight_type = activation, weights[0].dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x and of the weights."""
        x, inner, down, up = ctx.saved_tensors
        d_inner, *of_weights = block_gradients(grad, x, inner, down, up, ctx.activation)
        d_x = torch.baddbmm(grad, d_inner, down.transpose(1, 2)) if ctx.needs_input_grad[0] else None
        return d_x, None, *(gradient.to(ctx.weight_type) for gradient in of_weights)


def activated(inner: Tensor, activation: str) -> Tensor:
    """From what is kept of a block's inner layer to its activations: ReLU's own, or GELU of what it takes."""
    return inner if activation == "relu" else functional.gelu(inner)


def block_gradients(
    grad: Tensor, x: Tensor, inner: Tensor, down: Tensor, up: Tensor, activation: str, out: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of what the inner layer takes [K, n, H] (written to `out` where given), and of the four weights."""
    d_up, d_b_up = torch.bmm(activated(inner, activation).transpose(1, 2), grad), grad.sum(1, keepdim=True)
    d_inner = torch.bmm(grad, up.transpose(1, 2)) if out is None else torch.bmm(grad, up.transpose(1, 2), out=out)
    if activation == "relu":
        torch.ops.aten.threshold_backward.grad_input(d_inner, inner, 0, grad_input=d_inner)
    else:
        torch.ops.aten.gelu_backward.grad_input(d_inner, inner, grad_input=d_inner)
    d_down, d_b_down = torch.bmm(x.transpose(1, 2), d_inner), d_inner.sum(1, keepdim=True)
    return d_inner, d_down, d_b_down, d_up, d_b_up
