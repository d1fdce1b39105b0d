"""Backward passes by hand of what towers spend their time in: the adapter blocks, alone and with CROSSAN's mixing.

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


def compute_type(weight: Tensor) -> torch.dtype:
    """What towers compute in: autocast's type where it is on, else that of their weights."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


class AdapterFunction(torch.autograd.Function):
    """x + W_up act(W_down x + b_down) + b_up for K towers: [K, n, D] to [K, n, D], act ReLU or GELU.

    Kept for the backward pass are x, and what the activation gave (ReLU) or took (GELU): [K, n, D] and [K, n, H].
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, activation: str, *weights: Tensor) -> Tensor:
        """`weights` as in `Weights`."""
        dtype = compute_type(weights[0])
        with torch.autocast(x.device.type, enabled=False):
            x, cast = x.to(dtype), [weight.to(dtype) for weight in weights]
            inner, out = _block(x, cast, activation)
        ctx.save_for_backward(x, inner, cast[0], cast[2])
        ctx.activation, ctx.weight_type = activation, weights[0].dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x and of the weights."""
        x, inner, down, up = ctx.saved_tensors
        d_x, *of_weights = _block_gradients(grad, x, inner, down, up, ctx.activation, ctx.needs_input_grad[0])
        return d_x, None, *(gradient.to(ctx.weight_type) for gradient in of_weights)


class CrossedAdapterFunction(torch.autograd.Function):
    """The same block on CROSSAN's mixture (Eq. 5): its input for tower m is sum_k a_mk z_k + own_m x_m.

    x [M, n, D] may be of any type (stored states are half precision); z [M, n, D] is None before the first layer; gates
    a [M, M] and own [M]. Kept are x as it came, z and the inner activations: the mixture is made again.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, z: Tensor | None, a: Tensor, own: Tensor, activation: str, *weights: Tensor
    ) -> Tensor:
        """[M, n, D] in the working type."""
        dtype = compute_type(weights[0])
        with torch.autocast(x.device.type, enabled=False):
            cast = [weight.to(dtype) for weight in weights]
            inner, out = _block(_mixture(x, z, a, own, dtype), cast, activation, in_place=True)
        ctx.save_for_backward(x, z, a, own, inner, cast[0], cast[2])
        ctx.activation, ctx.weight_type = activation, weights[0].dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, z, the gates and the weights."""
        x, z, a, own, inner, down, up = ctx.saved_tensors
        mixed = _mixture(x, z, a, own, down.dtype)
        d_mixed, *of_weights = _block_gradients(grad, mixed, inner, down, up, ctx.activation)
        flat = d_mixed.view(len(x), -1)  # [M, n * D]
        d_own = torch.linalg.vecdot(flat, x.to(flat.dtype).flatten(1)).to(own.dtype)
        # hidden states of frozen backbones need none
        d_x = (d_mixed * own.to(flat.dtype)[:, None, None]).to(x.dtype) if ctx.needs_input_grad[0] else None
        d_z = d_a = None
        if z is not None:
            d_a = (flat @ z.to(flat.dtype).flatten(1).T).to(a.dtype)
            d_z = (a.to(flat.dtype).T @ flat).view_as(z).to(z.dtype)
        return d_x, d_z, d_a, d_own, None, *(gradient.to(ctx.weight_type) for gradient in of_weights)


def _mixture(x: Tensor, z: Tensor | None, a: Tensor, own: Tensor, dtype: torch.dtype) -> Tensor:
    """sum_k a_mk z_k + own_m x_m, newly made."""
    mixed = x.to(dtype, copy=True, memory_format=torch.contiguous_format)
    mixed.mul_(own.to(dtype)[:, None, None])
    if z is not None:
        mixed.view(len(z), -1).addmm_(a.to(dtype), z.to(dtype).flatten(1))
    return mixed


def _block(x: Tensor, weights: list[Tensor], activation: str, in_place: bool = False) -> tuple[Tensor, Tensor]:
    """What the gradient needs of the inner activations, and the block's output; `in_place` writes it over x."""
    down, b_down, up, b_up = weights
    inner = torch.baddbmm(b_down, x, down)
    active = inner.relu_() if activation == "relu" else functional.gelu(inner)
    out = x.baddbmm_(active, up) if in_place else torch.baddbmm(x, active, up)
    return inner, out.add_(b_up)


def _block_gradients(
    grad: Tensor, x: Tensor, inner: Tensor, down: Tensor, up: Tensor, activation: str, of_x: bool = True
) -> tuple[Tensor | None, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of a block's input (None unless `of_x`) and of its four weights."""
    active = inner if activation == "relu" else functional.gelu(inner)
    d_up, d_b_up = torch.bmm(active.transpose(1, 2), grad), grad.sum(1, keepdim=True)
    d_inner = torch.bmm(grad, up.transpose(1, 2))
    if activation == "relu":
        torch.ops.aten.threshold_backward.grad_input(d_inner, inner, 0, grad_input=d_inner)
    else:
        torch.ops.aten.gelu_backward.grad_input(d_inner, inner, grad_input=d_inner)
    d_down, d_b_down = torch.bmm(x.transpose(1, 2), d_inner), d_inner.sum(1, keepdim=True)
    d_x = torch.baddbmm(grad, d_inner, down.transpose(1, 2)) if of_x else None
    return d_x, d_down, d_b_down, d_up, d_b_up
