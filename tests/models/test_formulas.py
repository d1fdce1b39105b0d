"""Each model against a slow version written from the paper: one item, one tower, one layer at a time."""

import math

import pytest
import torch

from sanrec.config import Settings
from sanrec.models.crossan import Crossan
from sanrec.models.fusion import ConcatFusion, DynamicGate, Momef, StaticGate
from sanrec.models.iisan import Iisan

LAYERS, CHANNELS, ITEMS, WIDTH, INNER, OUT = 3, 3, 5, 8, 4, 6


@pytest.fixture
def hidden():
    return torch.randn(LAYERS, CHANNELS, ITEMS, WIDTH, generator=torch.Generator().manual_seed(1))


def settings(**changes):
    return Settings(adapter_width=INNER, recommender_width=OUT, **changes)


def shaken(model):
    """The same model with weights that matter: gates off zero, adapters and biases no longer tiny."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
    return model.eval()


def slow_linear(layer, tower, x):
    weight, bias = layer.weight[tower], layer.bias[tower, 0]
    return torch.stack([sum(x[i] * weight[i, o] for i in range(len(x))) + bias[o] for o in range(weight.shape[1])])


def slow_block(blocks, tower, x):
    inner = slow_linear(blocks.down, tower, x)
    return x + slow_linear(blocks.up, tower, torch.stack([max(v, torch.zeros(())) for v in inner]))


def slow_softmax(values):
    powers = [math.exp(v) for v in values]
    return [p / sum(powers) for p in powers]


def slow_head(heads, tower, z):
    return slow_linear(heads.outer, tower, slow_linear(heads.inner, tower, z))


def slow_momef(fusion, vectors):
    scores = fusion.gate(torch.cat(vectors)).tolist()
    best = sorted(range(len(scores)), key=lambda m: -scores[m])[: fusion.top_k]
    weights = slow_softmax([scores[m] for m in best])
    return sum(w * slow_linear(fusion.experts, m, vectors[m]) for w, m in zip(weights, best, strict=True))


def slow_crossan(model, hidden, item, independent=False, gating=True):
    z = [torch.zeros(WIDTH) for _ in range(CHANNELS)]
    for layer in range(LAYERS):
        new = []
        for m in range(CHANNELS):
            seen = [z[m]] if independent else z
            a = slow_softmax(model.gates.logits[m][layer].tolist()) if gating else [1.0] * (len(seen) + 1)
            mixed = (
                sum(weight * state for weight, state in zip(a[:-1], seen, strict=True)) + a[-1] * hidden[layer, m, item]
            )
            new.append(slow_block(model.adapters[layer], m, mixed))
        z = new
    return slow_momef(model.fusion, [slow_head(model.heads, m, z[m]) for m in range(CHANNELS)])


def slow_iisan(model, hidden, item, extended):
    z = [torch.zeros(WIDTH) for _ in range(hidden.shape[1] + 1)]
    channels = hidden.shape[1]
    for layer in range(LAYERS):
        new = []
        for m in range(channels):
            g = 1 / (1 + math.exp(-model.intra_logits[m][layer].item() / 0.1))
            new.append(slow_block(model.adapters[layer], m, g * hidden[layer, m, item] + (1 - g) * z[m]))
        if extended:
            weights = slow_softmax(model.inter_logits[layer].tolist())
        else:
            g = 1 / (1 + math.exp(-model.inter_logits[layer].item() / 0.1))
            weights = [1 - g, g]  # text first, image second
        mixed = z[-1] + sum(w * hidden[layer, m, item] for m, w in enumerate(weights))
        new.append(slow_block(model.adapters[layer], channels, mixed))
        z = new
    return model.fusion.linear(torch.cat([slow_head(model.heads, m, z[m]) for m in range(channels + 1)]))


@pytest.mark.parametrize(("independent", "gating"), [(False, True), (True, True), (False, False), (True, False)])
def test_crossan_is_equation_5_and_6(hidden, independent, gating):
    model = shaken(Crossan(CHANNELS, LAYERS, WIDTH, settings(fusion="momef", gating=gating), independent))
    got = model(hidden)
    for item in range(ITEMS):
        torch.testing.assert_close(
            got[item], slow_crossan(model, hidden, item, independent, gating), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("extended", [False, True])
def test_iisan_is_equations_1_to_4(hidden, extended):
    channels = CHANNELS if extended else 2
    model = Iisan(channels, LAYERS, WIDTH, settings(), extended)
    shaken(model)
    with torch.no_grad():
        for logits in [*model.intra_logits, model.inter_logits]:
            logits.mul_(0.2)  # the sharp sigmoid must not saturate, or it would hide a mistake
    got = model(hidden[:, :channels])
    for item in range(ITEMS):
        expected = slow_iisan(model, hidden[:, :channels], item, extended)
        torch.testing.assert_close(got[item], expected, rtol=1e-4, atol=1e-4)


def test_gates_start_even_and_sum_to_one(hidden):
    model = Crossan(CHANNELS, LAYERS, WIDTH, settings())
    torch.testing.assert_close(model.gates.weights(), torch.full((LAYERS, CHANNELS, CHANNELS + 1), 1 / (CHANNELS + 1)))
    shaken(model)
    torch.testing.assert_close(model.gates.weights().sum(-1), torch.ones(LAYERS, CHANNELS))


@pytest.mark.parametrize(("independent", "sees_others"), [(True, False), (False, True)])
def test_only_crossan_towers_see_each_other(hidden, independent, sees_others):
    model = shaken(Crossan(CHANNELS, LAYERS, WIDTH, settings(), independent))
    before = model.towers(hidden)
    for changed in range(CHANNELS):
        other = hidden.clone()
        other[:, changed] += 1
        moved = (model.towers(other) != before).flatten(1).any(1)
        assert moved.tolist() == [sees_others or tower == changed for tower in range(CHANNELS)]


def vectors(towers=4, items=7, width=5):
    return torch.randn(towers, items, width, generator=torch.Generator().manual_seed(2))


def test_momef_with_all_towers_and_identity_experts_is_the_dynamic_gate():
    e = vectors()
    momef, dynamic = Momef(4, 5, top_k=4), DynamicGate(4, 5)
    dynamic.gate.load_state_dict(momef.gate.state_dict())
    with torch.no_grad():
        momef.experts.weight.copy_(torch.eye(5).expand(4, 5, 5))
        momef.experts.bias.zero_()
    torch.testing.assert_close(momef(e), dynamic(e))


@pytest.mark.parametrize("top_k", [1, 2, 3, 9])
def test_momef_keeps_k_towers_per_item(top_k):
    weights = Momef(4, 5, top_k).weights(vectors())
    assert ((weights > 0).sum(-1) == min(top_k, 4)).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(7))


def test_concat_and_static_fusion_by_hand():
    e = vectors(towers=2, items=1, width=2)
    concat = ConcatFusion(2, 2)
    row = torch.cat([e[0, 0], e[1, 0]])
    torch.testing.assert_close(concat(e)[0], concat.linear.weight @ row + concat.linear.bias)
    static = StaticGate(2, 2)
    torch.testing.assert_close(static(e)[0], (e[0, 0] + e[1, 0]) / 2)
