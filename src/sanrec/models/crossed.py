"""CROSSAN's towers as one step of autograd, forward and backward by hand, in memory that is used again.

What a step keeps for its backward pass is as large at the next step: it lies in a `Workspace`. Mixtures are not kept
but made again from what is.

Items that lack media have other gates: items stand in G groups (one, where all have all), one after the other.
Shapes: L layers, M channels, n items, D width, H inner width. Computed is in autocast's type where that is on.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from sanrec.models.backward import block_gradients, working_type
from sanrec.models.workspace import Workspace


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

    z are the outputs a layer below, nothing below the first. Adapter blocks as in `blocks`; x of any type; `sizes` are
    the groups' [G]. A step's backward pass can run once: then its memory is another step's.
    """

    @staticmethod
    def forward(
        ctx: Any,
        workspace: Workspace,
        activation: str,
        sizes: list[int],
        x_LMnD: Tensor,
        a_LGMM: Tensor,
        own_LGM: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        """[M, n, D] in the working type; `weights` are four of every layer: down, its bias, up, its bias."""
        shape = (*x_LMnD.shape, weights[0].shape[2])
        cast = [weight.to(working_type(x_LMnD.device, weights[0].dtype)) for weight in weights]
        flat = workspace.take(Pieces.numbers(*shape), cast[0].dtype, x_LMnD.device)
        pieces = Pieces(flat, *shape)
        last = torch.empty_like(pieces.mixed)  # not lent: it is the caller's
        _run(sizes, x_LMnD, a_LGMM, own_LGM, cast, activation, [*pieces.outputs, last], pieces.inner)
        ctx.save_for_backward(x_LMnD, a_LGMM, own_LGM, *cast[0::4], *cast[2::4])
        ctx.workspace, ctx.flat, ctx.shape, ctx.sizes = workspace, flat, shape, sizes
        ctx.activation, ctx.weight_type = activation, weights[0].dtype
        return last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, the gates and the weights. Raises RuntimeError the second time."""
        if ctx.flat is None:
            raise RuntimeError("the towers' memory was given to another step: a backward pass runs once")
        (x_LMnD, a_LGMM, own_LGM, *cast), pieces = ctx.saved_tensors, Pieces(ctx.flat, *ctx.shape)
        layers, sizes = ctx.shape[0], ctx.sizes
        d_a, d_own = torch.zeros_like(a_LGMM), torch.zeros_like(own_LGM)
        d_x = torch.empty_like(x_LMnD) if ctx.needs_input_grad[3] else None
        of_weights: list[Tensor] = []
        mixed, d_mixed = pieces.mixed, pieces.d_mixed
        for layer in reversed(range(layers)):
            down, up, inner, x = cast[layer], cast[layers + layer], pieces.inner[layer], x_LMnD[layer]
            below = pieces.outputs[layer - 1] if layer else None
            _mix(sizes, mixed, x, below, a_LGMM[layer], own_LGM[layer])
            d_inner, *found = block_gradients(grad, mixed, inner, down, up, ctx.activation, out=pieces.d_inner)
            of_weights[:0] = [gradient.to(ctx.weight_type) for gradient in found]
            torch.baddbmm(grad, d_inner, down.transpose(1, 2), out=d_mixed)
            # Product and sums apart: a half-precision dot product takes ten times as long as both on a processor. No
            # operation here is given two types: it would hold a copy, between gradients that stay.
            by_item = _product(x, d_mixed, mixed).sum(2)
            for group, part in enumerate(by_item.split(sizes, 1)):
                d_own[layer, group] = part.sum(1, dtype=d_own.dtype)
            if d_x is not None:  # hidden states of frozen backbones need none
                for part, grown, own in _by_group(sizes, own_LGM[layer], d_x[layer], d_mixed):
                    part.copy_(grown * own.to(grown.dtype)[:, None, None])
            if below is not None:
                parts = _by_group(sizes, a_LGMM[layer], d_mixed, below, mixed)
                for group, (grown, z, out, a) in enumerate(parts):
                    flat = _flat(grown)
                    d_a[layer, group] = flat @ _flat(z).T
                    torch.mm(a.to(flat.dtype).T, flat, out=_flat(out))
                # The gradient of the layer below lies where the mixture was, which is made where its gradient was.
                grad, mixed, d_mixed = mixed, d_mixed, mixed
        ctx.workspace.give_back(ctx.flat)
        ctx.flat = None
        return None, None, None, d_x, d_a, d_own, *of_weights


def scored_towers(
    activation: str, sizes: list[int], x_LMnD: Tensor, a_LGMM: Tensor, own_LGM: Tensor, *weights: Tensor
) -> Tensor:
    """What `CrossedTowers` gives, for those who want no gradient: two layers' outputs are held at a time."""
    cast = [weight.to(working_type(x_LMnD.device, weights[0].dtype)) for weight in weights]
    layers, *shape = x_LMnD.shape
    outputs = [torch.empty(shape, dtype=cast[0].dtype, device=x_LMnD.device) for _ in range(min(layers, 2))]
    inner = torch.empty(*shape[:2], cast[0].shape[2], dtype=cast[0].dtype, device=x_LMnD.device)
    outputs = [outputs[layer % 2] for layer in range(layers)]
    _run(sizes, x_LMnD, a_LGMM, own_LGM, cast, activation, outputs, [inner] * layers)
    return outputs[-1]


def _run(
    sizes: list[int],
    x_LMnD: Tensor,
    a_LGMM: Tensor,
    own_LGM: Tensor,
    weights: Sequence[Tensor],
    activation: str,
    outputs: Sequence[Tensor],
    inners: Sequence[Tensor],
) -> None:
    """Write each layer's output and inner activations (what GELU takes, or ReLU gives)."""
    with torch.autocast(x_LMnD.device.type, enabled=False):
        for layer, (z, inner) in enumerate(zip(outputs, inners, strict=True)):
            down, b_down, up, b_up = weights[4 * layer : 4 * layer + 4]
            _mix(sizes, z, x_LMnD[layer], outputs[layer - 1] if layer else None, a_LGMM[layer], own_LGM[layer])
            torch.baddbmm(b_down, z, down, out=inner)
            active = inner.relu_() if activation == "relu" else functional.gelu(inner)
            z.baddbmm_(active, up).add_(b_up)


def _mix(sizes: list[int], out: Tensor, x: Tensor, z: Tensor | None, a_GMM: Tensor, own_GM: Tensor) -> None:
    """sum_k a_mk z_k + own_m x_m with each group's gates, written to `out` [M, n, D]."""
    for mixed, hidden, own in _by_group(sizes, own_GM, out, x):
        _product(hidden, own.to(out.dtype)[:, None, None], mixed)
    if z is not None:
        for mixed, below, a in _by_group(sizes, a_GMM, out, z):
            _flat(mixed).addmm_(a.to(out.dtype), _flat(below))


def _by_group(sizes: list[int], gates: Tensor, *wholes: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Each group's part of the tensors [M, n, ...], and its gates [G, ...] last."""
    return zip(*(whole.split(sizes, 1) for whole in wholes), gates, strict=True)


def _flat(part_MnD: Tensor) -> Tensor:
    """[M, n D], a view also of a part of the items."""
    return part_MnD.view(len(part_MnD), -1)


def _product(x: Tensor, factor: Tensor, out: Tensor) -> Tensor:
    """What x and a factor of the type of `out` give, written there; x of another type is first widened there."""
    return torch.mul(x, factor, out=out) if x.dtype == out.dtype else out.copy_(x).mul_(factor)
