"""The backward passes written by hand, against finite differences and against autograd's own."""

import copy

import pytest
import torch

from sanrec.models.backward import AdapterFunction
from sanrec.models.blocks import ACTIVATIONS, AdapterBlocks
from sanrec.models.crossed import CrossedTowers, scored_towers
from sanrec.models.workspace import Workspace

LAYERS, TOWERS, ITEMS, WIDTH, INNER = 3, 3, 5, 7, 4


def random(*shape, seed, dtype=torch.float64):
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return made.to(dtype).requires_grad_()


def gates(dtype=torch.float64):
    return [random(LAYERS, TOWERS, TOWERS, seed=3, dtype=dtype), random(LAYERS, TOWERS, seed=4, dtype=dtype)]


def weights(dtype=torch.float64, layers=1):
    shapes = [(TOWERS, WIDTH, INNER), (TOWERS, 1, INNER), (TOWERS, INNER, WIDTH), (TOWERS, 1, WIDTH)] * layers
    return [random(*shape, seed=seed, dtype=dtype) for seed, shape in enumerate(shapes, start=5)]


def hidden(dtype=torch.float64, items=ITEMS):
    return random(LAYERS, TOWERS, items, WIDTH, seed=1, dtype=dtype)


def plain_block(x, activation, down, b_down, up, b_up):
    return x + ACTIVATIONS[activation](x @ down + b_down) @ up + b_up


def plain_towers(activation, x, a, own, *weights):
    z = torch.zeros_like(x[0])
    for layer in range(len(x)):
        mixed = own[layer][:, None, None] * x[layer] + torch.einsum("mk,knd->mnd", a[layer], z.to(x.dtype))
        z = plain_block(mixed, activation, *weights[4 * layer : 4 * layer + 4])
    return z


def towers(activation, x, a, own, *weights, workspace=None):
    """All items in one group."""
    return CrossedTowers.apply(
        workspace or Workspace(), activation, [x.shape[2]], x, a[:, None], own[:, None], *weights
    )


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_blocks_by_finite_differences(activation):
    x = random(TOWERS, ITEMS, WIDTH, seed=1)
    assert torch.autograd.gradcheck(lambda x, *w: AdapterFunction.apply(x, activation, *w), (x, *weights()))


def gradients(function, arguments):
    out = function(*arguments)
    direction = random(*out.shape, seed=9).detach().to(out.dtype)
    wanted = [argument for argument in arguments if torch.is_tensor(argument) and argument.requires_grad]
    return [out, *torch.autograd.grad(out, wanted, direction)]


def assert_same(found, expected, half=False):
    """By the size of the difference to that of the whole: bfloat16 has 8 bits, and its errors go through all layers."""
    limit = 0.1 if half else 1e-6 if found[0].dtype == torch.float32 else 1e-13
    for one, other in zip(found, expected, strict=True):
        assert (one.double() - other.double()).norm() <= limit * other.double().norm()
    assert found[0].dtype == (torch.bfloat16 if half else expected[0].dtype)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("half", [False, True])
def test_blocks_as_autograd_has_them(activation, half):
    arguments = [random(TOWERS, ITEMS, WIDTH, seed=1, dtype=torch.float32), activation, *weights(torch.float32)]
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        found, expected = (gradients(f, arguments) for f in (AdapterFunction.apply, plain_block))
    assert_same(found, expected, half)
    assert all(gradient.dtype == torch.float32 for gradient in found[1:])


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_towers_as_autograd_has_them_to_the_last_digits(activation):
    arguments = [activation, hidden(), *gates(), *weights(layers=LAYERS)]
    assert_same(gradients(towers, arguments), gradients(plain_towers, arguments))


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("sizes", [[3, 1, 4], [1, 7], [8]])
def test_groups_of_items_have_gates_of_their_own(activation, sizes):
    a = random(LAYERS, len(sizes), TOWERS, TOWERS, seed=5)
    own = random(LAYERS, len(sizes), TOWERS, seed=6)
    arguments = [hidden(items=8), a, own, *weights(layers=LAYERS)]

    def grouped(x, a, own, *weights):
        return CrossedTowers.apply(Workspace(), activation, sizes, x, a, own, *weights)

    def apart(x, a, own, *weights):
        parts = zip(x.split(sizes, 2), a.unbind(1), own.unbind(1), strict=True)
        return torch.cat([plain_towers(activation, *part, *weights) for part in parts], 1)

    assert_same(gradients(grouped, arguments), gradients(apart, arguments))
    with torch.inference_mode():
        scored = scored_towers(activation, sizes, *arguments)
    assert torch.equal(scored, grouped(*arguments))


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("half", [False, True])
def test_towers_over_states_of_half_precision(activation, half):
    stored = hidden(torch.float32).detach().half()
    arguments = [*gates(torch.float32), *weights(torch.float32, LAYERS)]
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        found = gradients(towers, [activation, stored, *arguments])
        expected = gradients(plain_towers, [activation, stored.float(), *arguments])
    assert_same(found, expected, half)
    assert all(gradient.dtype == torch.float32 for gradient in found[1:])


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_without_gradient_the_outputs_are_the_same_bits(activation):
    arguments = [hidden(torch.float32), *gates(torch.float32), *weights(torch.float32, LAYERS)]
    x, a, own, *rest = arguments
    with torch.inference_mode():
        scored = scored_towers(activation, [x.shape[2]], x, a[:, None], own[:, None], *rest)
    assert torch.equal(scored, towers(activation, *arguments))


def test_a_step_in_used_memory_is_the_step_in_new_memory():
    """Larger and smaller batches in turn, two at once, and one that has no backward pass."""
    workspace = Workspace()
    arguments = [*gates(torch.float32), *weights(torch.float32, LAYERS)]

    def step(x, *rest):
        return towers("relu", x, *rest, workspace=workspace)

    step(hidden(torch.float32, 6), *arguments)
    for items in (4, 9, 3, 9):
        x = hidden(torch.float32, items)
        expected = gradients(lambda *given: towers("relu", *given), [x, *arguments])
        first, second = step(x, *arguments), step(2 * x.detach(), *arguments)  # second while the first waits
        direction = random(*first.shape, seed=9, dtype=torch.float32).detach()
        second.sum().backward()
        found = torch.autograd.grad(first, [x, *arguments], direction)
        assert all(torch.equal(*pair) for pair in zip([first, *found], expected, strict=True))
    piece = workspace._free
    assert piece is not None
    step(x, *arguments).sum().backward()
    assert workspace._free is piece  # lent and given back
    assert copy.deepcopy(workspace)._free is None
    workspace.release()
    assert workspace._free is None


def test_a_second_backward_pass_is_refused():
    out = towers("relu", hidden(), *gates(), *weights(layers=LAYERS))
    out.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="runs once"):
        out.sum().backward()


def test_what_a_block_keeps_is_the_formulas_alone():
    """x and the inner activations; not the sum before them, nor the halves of the residual sum."""
    blocks, kept = AdapterBlocks(TOWERS, WIDTH, INNER), []
    x = random(TOWERS, ITEMS, WIDTH, seed=0, dtype=torch.float32)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(tuple(t.shape)) or t, lambda t: t):
        blocks(x)
    matrices = [tuple(blocks.down.weight.shape), tuple(blocks.up.weight.shape)]
    assert sorted(kept) == sorted([(TOWERS, ITEMS, WIDTH), (TOWERS, ITEMS, INNER), *matrices])
