"""CROSSAN's towers as one step of autograd, forward and backward by hand, in memory that is used again.

What a step keeps for its backward pass is as large at the next step: it lies in one piece that goes from step to step.
The system would else hand out hundreds of megabytes anew each time, in pieces that end up between each other. Mixtures
are not kept but made again from what is.

Shapes: L layers, M channels, n items, D width, H inner width. Computed is in autocast's type where that is on.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from sanrec.models.backward import block_gradients, working_type


class Workspace:
    """One piece of memory, lent to one step at a time and kept as large as the largest that asked for it."""

    def __init__(self) -> None:
        self._free: Tensor | None = None

    def take(self, numbers: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """A piece of at least so many numbers, with anything in it; a new one while the kept one is out."""
        kept, self._free = self._free, None
        if kept is None or kept.dtype != dtype or kept.device != device or len(kept) < numbers:
            del kept  # before its successor is asked for
            return torch.empty(numbers, dtype=dtype, device=device)
        return kept

    def give_back(self, piece: Tensor) -> None:
        """What was taken, to be lent again; the largest piece stays."""
        if self._free is None or len(self._free) < len(piece):
            self._free = piece

    def __deepcopy__(self, memo: dict[int, Any]) -> "Workspace":
        return Workspace()  # a copied model has its own


class Pieces:
    """A workspace cut up: the towers' outputs but the last, inner activations, and room.

    Outputs are L - 1 of [M, n, D], inner activations L of [M, n, H]. There is room for a mixture and its gradient
    [M, n, D], and for a gradient of inner activations [M, n, H].
    """

    def __init__(self, flat: Tensor, layers: int, channels: int, items: int, width: int, inner: int) -> None:
        outer, small = channels * items * width, channels * items * inner
        streams = flat[: (layers + 1) * outer].view(layers + 1, channels, items, width)
        *self.outputs, self.mixed, self.d_mixed = streams
        rest = flat[(layers + 1) * outer :][: (layers + 1) * small]
        *self.inner, self.d_inner = rest.view(layers + 1, channels, items, inner)

    @staticmethod
    def numbers(layers: int, channels: int, items: int, width: int, inner: int) -> int:
        """How many numbers that takes."""
        return channels * items * (layers + 1) * (width + inner)


class CrossedTowers(torch.autograd.Function):
    """The last output of adapter towers whose input at layer l is sum_k a_mk z_k + own_m x_m (Eq. 5), for tower m.

    z are the outputs a layer below, nothing below the first. Adapter blocks as in `blocks`; x of any type. A step's
    backward pass can run once: then its memory is another step's.
    """

    @staticmethod
    def forward(
        ctx: Any, workspace: Workspace, activation: str, x_LMnD: Tensor, a_LMM: Tensor, own_LM: Tensor, *weights: Tensor
    ) -> Tensor:
        """[M, n, D] in the working type; `weights` are four of every layer: down, its bias, up, its bias."""
        sizes = (*x_LMnD.shape, weights[0].shape[2])
        cast = [weight.to(working_type(x_LMnD.device, weights[0].dtype)) for weight in weights]
        flat = workspace.take(Pieces.numbers(*sizes), cast[0].dtype, x_LMnD.device)
        pieces = Pieces(flat, *sizes)
        last = torch.empty_like(pieces.mixed)  # not lent: it is the caller's
        _run(x_LMnD, a_LMM, own_LM, cast, activation, [*pieces.outputs, last], pieces.inner)
        ctx.save_for_backward(x_LMnD, a_LMM, own_LM, *cast[0::4], *cast[2::4])
        ctx.workspace, ctx.flat, ctx.sizes = workspace, flat, sizes
        ctx.activation, ctx.weight_type = activation, weights[0].dtype
        return last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, the gates and the weights. Raises RuntimeError the second time."""
        if ctx.flat is None:
            raise RuntimeError("the towers' memory was given to another step: a backward pass runs once")
        (x_LMnD, a_LMM, own_LM, *cast), pieces = ctx.saved_tensors, Pieces(ctx.flat, *ctx.sizes)
        layers, channels = ctx.sizes[:2]
        d_a, d_own = torch.zeros_like(a_LMM), torch.zeros_like(own_LM)
        d_x = torch.empty_like(x_LMnD) if ctx.needs_input_grad[2] else None
        of_weights: list[Tensor] = []
        mixed, d_mixed = pieces.mixed, pieces.d_mixed
        for layer in reversed(range(layers)):
            down, up, inner, x = cast[layer], cast[layers + layer], pieces.inner[layer], x_LMnD[layer]
            below = pieces.outputs[layer - 1] if layer else None
            _mix(mixed, x, below, a_LMM[layer], own_LM[layer])
            d_inner, *found = block_gradients(grad, mixed, inner, down, up, ctx.activation, out=pieces.d_inner)
            of_weights[:0] = [gradient.to(ctx.weight_type) for gradient in found]
            torch.baddbmm(grad, d_inner, down.transpose(1, 2), out=d_mixed)
            flat = d_mixed.view(channels, -1)
            # Product and sums apart: a half-precision dot product takes ten times as long as both on a processor. No
            # operation here is given two types: it would hold a copy, between gradients that stay.
            d_own[layer] = _product(x, d_mixed, mixed).sum(2).sum(1, dtype=d_own.dtype)
            if d_x is not None:  # hidden states of frozen backbones need none
                d_x[layer] = d_mixed * own_LM[layer].to(flat.dtype)[:, None, None]
            if below is not None:
                d_a[layer] = flat @ below.view(channels, -1).T
                torch.mm(a_LMM[layer].to(flat.dtype).T, flat, out=mixed.view(channels, -1))
                # The gradient of the layer below lies where the mixture was, which is made where its gradient was.
                grad, mixed, d_mixed = mixed, d_mixed, mixed
        ctx.workspace.give_back(ctx.flat)
        ctx.flat = None
        return None, None, d_x, d_a, d_own, *of_weights


def scored_towers(activation: str, x_LMnD: Tensor, a_LMM: Tensor, own_LM: Tensor, *weights: Tensor) -> Tensor:
    """What `CrossedTowers` gives, for those who want no gradient: two layers' outputs are held at a time."""
    cast = [weight.to(working_type(x_LMnD.device, weights[0].dtype)) for weight in weights]
    layers, *shape = x_LMnD.shape
    outputs = [torch.empty(shape, dtype=cast[0].dtype, device=x_LMnD.device) for _ in range(min(layers, 2))]
    inner = torch.empty(*shape[:2], cast[0].shape[2], dtype=cast[0].dtype, device=x_LMnD.device)
    outputs = [outputs[layer % 2] for layer in range(layers)]
    _run(x_LMnD, a_LMM, own_LM, cast, activation, outputs, [inner] * layers)
    return outputs[-1]


def _run(
    x_LMnD: Tensor,
    a_LMM: Tensor,
    own_LM: Tensor,
    weights: Sequence[Tensor],
    activation: str,
    outputs: Sequence[Tensor],
    inners: Sequence[Tensor],
) -> None:
    """Write each layer's output and inner activations (what GELU takes, or ReLU gives)."""
    with torch.autocast(x_LMnD.device.type, enabled=False):
        for layer, (z, inner) in enumerate(zip(outputs, inners, strict=True)):
            down, b_down, up, b_up = weights[4 * layer : 4 * layer + 4]
            _mix(z, x_LMnD[layer], outputs[layer - 1] if layer else None, a_LMM[layer], own_LM[layer])
            torch.baddbmm(b_down, z, down, out=inner)
            active = inner.relu_() if activation == "relu" else functional.gelu(inner)
            z.baddbmm_(active, up).add_(b_up)


def _mix(out: Tensor, x: Tensor, z: Tensor | None, a: Tensor, own: Tensor) -> Tensor:
    """sum_k a_mk z_k + own_m x_m, written to `out` [M, n, D]."""
    _product(x, own.to(out.dtype)[:, None, None], out)
    if z is not None:
        out.view(len(z), -1).addmm_(a.to(out.dtype), z.view(len(z), -1))
    return out


def _product(x: Tensor, factor: Tensor, out: Tensor) -> Tensor:
    """What x and a factor of the type of `out` give, written there; x of another type is first widened there."""
    return torch.mul(x, factor, out=out) if x.dtype == out.dtype else out.copy_(x).mul_(factor)
