"""What must hold of CROSSAN whatever its weights: CROSSAN (arXiv 2504.10307), Eq. 5 and 6, Figure 4."""

import pytest
import torch

from sanrec.config import Settings
from sanrec.models.crossan import Crossan

LAYERS, CHANNELS, ITEMS, WIDTH = 3, 4, 6, 8
FUSIONS = ("momef", "dynamic", "static", "concat")


def settings(**changes):
    return Settings(adapter_width=4, recommender_width=6, **changes)


@pytest.fixture
def hidden():
    return torch.randn(LAYERS, CHANNELS, ITEMS, WIDTH, generator=torch.Generator().manual_seed(1))


def shaken(model):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
    return model


def test_gates_of_every_layer_sum_to_one_after_training(hidden):
    model = trained(Crossan(CHANNELS, LAYERS, WIDTH, settings(fusion="momef")), hidden)
    weights = model.gates.weights()
    assert weights.std() > 1e-3  # training moved them
    torch.testing.assert_close(weights.sum(-1), torch.ones(LAYERS, CHANNELS))


def trained(model, hidden, steps=20):
    """Some steps towards random targets, with every layer's gates in play."""
    torch.manual_seed(3)
    targets = torch.randn(ITEMS, 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(hidden) - targets).square().mean().backward()
        optimizer.step()
    return model


def test_the_first_layers_gates_of_other_towers_stay_equal_as_in_figure_4(hidden):
    """Before the first layer all z are zero: nothing tells the towers' logits apart; the paper prints them equal."""
    model = trained(Crossan(CHANNELS, LAYERS, WIDTH, settings(fusion="momef")), hidden)
    for logits in model.gates.logits:
        others = logits[0, :-1]
        torch.testing.assert_close(others, others[:1].expand_as(others), rtol=0, atol=0)
        assert (logits[0, -1] - logits[0, 0]).abs() > 1e-3  # while the own hidden state's gate did move
        assert logits[1, :-1].std() > 1e-3  # and deeper down, those of the others are told apart


@pytest.mark.parametrize("gating", [True, False])
def test_with_adapters_zeroed_it_is_a_linear_read_out_of_gated_hidden_states(hidden, gating):
    model = shaken(Crossan(CHANNELS, LAYERS, WIDTH, settings(fusion="concat", gating=gating)))
    with torch.no_grad():
        for blocks in model.adapters:
            blocks.up.weight.zero_()
            blocks.up.bias.zero_()
    weights = model.gates.weights() if gating else torch.ones(LAYERS, CHANNELS, CHANNELS + 1)
    z = torch.zeros(CHANNELS, ITEMS, WIDTH)
    for layer in range(LAYERS):
        a = weights[layer]
        z = torch.stack(
            [sum(a[m, k] * z[k] for k in range(CHANNELS)) + a[m, -1] * hidden[layer, m] for m in range(CHANNELS)]
        )
    torch.testing.assert_close(model.towers(hidden), z, rtol=1e-4, atol=1e-4)
    nothing = model(torch.zeros_like(hidden))
    half, rest = 0.5 * hidden, torch.flip(hidden, [2])
    added = model(half + rest) - nothing
    torch.testing.assert_close(added, model(half) + model(rest) - 2 * nothing, rtol=1e-4, atol=1e-3)


def test_with_adapters_at_work_it_is_not_linear(hidden):
    """The check of linearity above can fail."""
    model = shaken(Crossan(CHANNELS, LAYERS, WIDTH, settings(fusion="concat")))
    nothing, once, twice = (model(scale * hidden) for scale in (0, 1, 2))
    assert not torch.allclose(twice - nothing, 2 * (once - nothing), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("independent", [False, True])
def test_permuting_the_modalities_permutes_the_result(hidden, fusion, independent):
    order = torch.tensor([2, 0, 3, 1])
    model = shaken(Crossan(CHANNELS, LAYERS, WIDTH, settings(fusion=fusion), independent))
    moved = permuted(model, order, fusion, independent)
    with torch.no_grad():
        torch.testing.assert_close(moved.towers(hidden[:, order]), model.towers(hidden)[order], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(moved(hidden[:, order]), model(hidden), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(model(hidden[:, order]), model(hidden), rtol=1e-2, atol=1e-2)


def permuted(model, order, fusion, independent):
    """The same model with its modalities in another order: towers moved, and what weighs them moved with them."""
    out = 6
    columns = torch.cat([order * out + i for i in range(out)]).view(out, CHANNELS).T.flatten()
    seen = torch.tensor([0, 1]) if independent else torch.cat([order, torch.tensor([CHANNELS])])
    state = model.state_dict()
    new = {}
    for name, value in state.items():
        if name.startswith("gates.logits."):
            new[name] = state[f"gates.logits.{order[int(name.rpartition('.')[2])]}"][:, seen]
        elif name == "fusion.gate.weight":
            new[name] = value[order][:, columns]
        elif name == "fusion.linear.weight":
            new[name] = value[:, columns]
        elif name == "fusion.linear.bias":
            new[name] = value
        else:  # adapters, heads, experts, the static gate's logits and the dynamic gate's bias: one entry per tower
            new[name] = value[order]
    moved = Crossan(CHANNELS, LAYERS, WIDTH, settings(fusion=fusion), independent)
    moved.load_state_dict(new)
    return moved
