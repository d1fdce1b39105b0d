"""The backward passes written by hand, against finite differences and against autograd's own."""

import pytest
import torch

from sanrec.models.backward import AdapterFunction, CrossedAdapterFunction
from sanrec.models.blocks import ACTIVATIONS, AdapterBlocks

TOWERS, ITEMS, WIDTH, INNER = 3, 5, 7, 4


def random(*shape, seed, dtype=torch.float64):
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return made.to(dtype).requires_grad_()


def streams(dtype=torch.float64):
    """x and z."""
    return [random(TOWERS, ITEMS, WIDTH, seed=seed, dtype=dtype) for seed in (1, 2)]


def gates(dtype=torch.float64):
    return [random(TOWERS, TOWERS, seed=3, dtype=dtype), random(TOWERS, seed=4, dtype=dtype)]


def weights(dtype=torch.float64):
    shapes = [(TOWERS, WIDTH, INNER), (TOWERS, 1, INNER), (TOWERS, INNER, WIDTH), (TOWERS, 1, WIDTH)]
    return [random(*shape, seed=seed, dtype=dtype) for seed, shape in enumerate(shapes, start=5)]


def plain_block(x, activation, down, b_down, up, b_up):
    return x + ACTIVATIONS[activation](x @ down + b_down) @ up + b_up


def plain_crossed(x, z, a, own, activation, *weights):
    mixed = own[:, None, None] * x
    return plain_block(mixed if z is None else mixed + torch.einsum("mk,knd->mnd", a, z), activation, *weights)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_blocks_by_finite_differences(activation):
    x, _ = streams()
    assert torch.autograd.gradcheck(lambda x, *w: AdapterFunction.apply(x, activation, *w), (x, *weights()))


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_crossed_blocks_by_finite_differences(activation):
    def crossed(x, z, a, own, *w):
        return CrossedAdapterFunction.apply(x, z, a, own, activation, *w)

    assert torch.autograd.gradcheck(crossed, (*streams(), *gates(), *weights()))


def test_crossed_blocks_before_the_first_layer_by_finite_differences():
    a, own = gates()
    first = (streams()[0], own, *weights())
    assert torch.autograd.gradcheck(
        lambda x, own, *w: CrossedAdapterFunction.apply(x, None, a.detach(), own, "relu", *w), first
    )


def gradients(function, arguments):
    out = function(*arguments)
    direction = random(*out.shape, seed=9).detach().to(out.dtype)
    wanted = [argument for argument in arguments if torch.is_tensor(argument) and argument.requires_grad]
    return [out, *torch.autograd.grad(out, wanted, direction)]


def assert_same(found, expected, half):
    # bfloat16 has 8 bits; sums run over up to 7 of its products
    tolerance = {"rtol": 0.05, "atol": 0.3} if half else {}
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.float(), other.float(), **tolerance)
    assert found[0].dtype == (torch.bfloat16 if half else torch.float32)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("half", [False, True])
def test_blocks_as_autograd_has_them(activation, half):
    arguments = [streams(torch.float32)[0], activation, *weights(torch.float32)]
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        found, expected = (gradients(f, arguments) for f in (AdapterFunction.apply, plain_block))
    assert_same(found, expected, half)
    assert all(gradient.dtype == torch.float32 for gradient in found[1:])


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_crossed_blocks_as_autograd_has_them(activation, half, first):
    x, z = streams(torch.float32)
    (a, own), stored = gates(torch.float32), x.detach().half()
    mixing = [None, a.detach(), own] if first else [z, a, own]
    arguments = [*mixing, activation, *weights(torch.float32)]
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        found = gradients(CrossedAdapterFunction.apply, [stored, *arguments])
        expected = gradients(plain_crossed, [stored.float(), *arguments])
    assert_same(found, expected, half)


def kept_by(work):
    """The shapes of what a computation keeps for its backward pass."""
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(tuple(t.shape)) or t, lambda t: t):
        work()
    return sorted(kept)


def test_what_is_kept_is_the_formulas_alone():
    """Not the sum before the activation, nor the halves of the residual sum, nor the mixture."""
    blocks, (x, z), (a, own) = AdapterBlocks(TOWERS, WIDTH, INNER), streams(torch.float32), gates(torch.float32)
    stream, inner = (TOWERS, ITEMS, WIDTH), (TOWERS, ITEMS, INNER)
    matrices = [tuple(blocks.down.weight.shape), tuple(blocks.up.weight.shape)]
    assert kept_by(lambda: blocks(x)) == sorted([stream, inner, *matrices])
    mixing = [stream, stream, (TOWERS, TOWERS), (TOWERS,)]
    assert kept_by(lambda: blocks.crossed(x, z, a, own)) == sorted([*mixing, inner, *matrices])
