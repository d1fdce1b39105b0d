"""Towers of unequal width or depth against slow versions written from the papers: one item, tower, layer at a time."""

import math

import pytest
import torch

from sanrec.config import Settings
from sanrec.models.crossan import Crossan
from sanrec.models.crossan_unequal import UnequalCrossan
from sanrec.models.iisan import Iisan
from sanrec.models.iisan_va import IisanVa
from sanrec.models.registry import Recommender, Shape

ITEMS, INNER, OUT = 4, 3, 5
SHAPES = [
    ((7, 4), (4, 2)),  # text wider and deeper, as a language model beside ViT
    ((4, 7), (2, 4)),  # the image is
    ((7, 4), (2, 3)),  # wide and shallow beside narrow and deep
    ((7, 4), (3, 3)),
    ((5, 5), (4, 2)),  # two base models, Table VIII's 12+6
    ((5, 5), (3, 3)),
    ((4, 7, 4), (2, 4, 3)),
]
ABLATIONS = [{}, {"gating": False}, {"inter": False}, {"intra": False}, {"intra": False, "gating": False}]


def settings(**changes):
    return Settings(adapter_width=INNER, recommender_width=OUT, user_heads=1, **changes)


def states(widths, layers):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(deep, ITEMS, wide, generator=generator) for wide, deep in zip(widths, layers, strict=True)]


def shaken(model):
    """The same model with weights that matter; a sharp sigmoid must not saturate, or it would hide a mistake."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.1 if "logits" in name else 0.5))
    return model.eval()


def slow_linear(layer, x):
    rows, bias = layer.weight, layer.bias
    return torch.stack([
        sum(row[i] * x[i] for i in range(len(x))) + (0 if bias is None else bias[o]) for o, row in enumerate(rows)
    ])  # fmt: skip


def slow_block(block, x):
    inner = torch.stack([max(value, torch.zeros(())) for value in slow_linear(block.down, x)])
    return x + slow_linear(block.up, inner)


def slow_softmax(values):
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def slow_gate(logit):
    return 1 / (1 + math.exp(-logit.item() / 0.1))


def slow_item(model, towers):
    """IISAN-VA's heads, Linear(D, E) and Linear(E, E), then the concatenation's linear layer."""
    vectors = [
        slow_linear(head[1], slow_linear(head[0], z)) for head, z in zip(model.heads, towers, strict=True)
    ]  # fmt: skip
    return slow_linear(model.fusion.linear, torch.cat(vectors))


def slow_iisan(model, hidden, item, how, extended):
    """IISAN-Versa, Eq. 2 to 4; the inter tower reads the uppermost layers, the wider channels through their DTL."""
    towers = []
    for m, x in enumerate(hidden if how.intra else []):
        z = torch.zeros(x.shape[2])
        for layer in range(len(x)):
            g = slow_gate(model.intra_logits[m][layer]) if how.gating else None
            mixed = x[layer, item] + z if g is None else g * x[layer, item] + (1 - g) * z
            z = slow_block(model.adapters[m][layer], mixed)
        towers.append(z)
    if how.inter:
        depth, width = min(len(x) for x in hidden), min(x.shape[2] for x in hidden)
        z = torch.zeros(width)
        for layer in range(depth):
            if not how.gating:
                weights = [1.0] * len(hidden)
            elif extended:
                weights = slow_softmax(model.inter_logits[layer].tolist())
            else:
                g = slow_gate(model.inter_logits[layer])
                weights = [1 - g, g]  # text first, image second
            for m, x in enumerate(hidden):
                state = x[len(x) - depth + layer, item]
                z = z + weights[m] * (slow_linear(model.alignment[m][layer], state) if len(state) > width else state)
            z = slow_block(model.adapters[-1][layer], z)
        towers.append(z)
    return slow_item(model, towers)


def slow_crossan(model, hidden, item, independent, gating):
    """CROSSAN, Eq. 5, tower by tower, counting layers from the top: a tower that has not begun has z = 0."""
    z = [torch.zeros(x.shape[2]) for x in hidden]
    for left in range(max(map(len, hidden)) - 1, -1, -1):
        new = list(z)
        for m, x in enumerate(hidden):
            layer = len(x) - 1 - left
            if layer < 0:
                continue
            others = [m] if independent else range(len(hidden))
            a = slow_softmax(model.gates.logits[m][layer].tolist()) if gating else [1.0] * (len(others) + 1)
            mixed = a[-1] * x[layer, item]
            for weight, k in zip(a[:-1], others, strict=True):
                seen = z[k] if len(z[k]) == len(z[m]) else slow_linear(model.alignment[m][k], z[k])
                mixed = mixed + weight * seen
            new[m] = slow_block(model.adapters[m][layer], mixed)
        z = new
    return slow_item(model, z)


def assert_close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("widths", "layers"), SHAPES)
@pytest.mark.parametrize("ablation", ABLATIONS, ids=str)
def test_iisan_va_is_equations_1_to_4(widths, layers, ablation):
    extended, how = len(widths) > 2, settings(**ablation)
    model, hidden = shaken(IisanVa(widths, layers, how, extended)), states(widths, layers)
    got = model(hidden)
    for item in range(ITEMS):
        assert_close(got[item], slow_iisan(model, hidden, item, how, extended))


@pytest.mark.parametrize(("widths", "layers"), SHAPES)
@pytest.mark.parametrize(("independent", "gating"), [(False, True), (True, True), (False, False), (True, False)])
def test_unequal_crossan_is_equation_5(widths, layers, independent, gating):
    model = shaken(UnequalCrossan(widths, layers, settings(gating=gating), independent))
    hidden = states(widths, layers)
    got = model(hidden)
    for item in range(ITEMS):
        assert_close(got[item], slow_crossan(model, hidden, item, independent, gating))


def take_over(unequal, batched):
    """The batched model's weights in the unequal one: adapters, gates, heads and fusion, tower by tower."""
    with torch.no_grad():
        for layer, blocks in enumerate(batched.adapters):
            for tower in range(len(unequal.adapters)):
                block = unequal.adapters[tower][layer]
                for side in ("down", "up"):
                    getattr(block, side).weight.copy_(getattr(blocks, side).weight[tower].T)
                    getattr(block, side).bias.copy_(getattr(blocks, side).bias[tower, 0])
        for tower, head in enumerate(unequal.heads):
            for place, side in enumerate(("inner", "outer")):
                head[place].weight.copy_(getattr(batched.heads, side).weight[tower].T)
                head[place].bias.copy_(getattr(batched.heads, side).bias[tower, 0])
    rest = {k: v for k, v in batched.state_dict().items() if not k.startswith(("adapters.", "heads."))}
    missing, unknown = unequal.load_state_dict(rest, strict=False)
    assert not unknown
    assert all(name.startswith(("adapters.", "heads.")) for name in missing)


# with width and recommender width the same, both pairs of linear layers in a head are Linear(5, 5)
@pytest.mark.parametrize("ablation", ABLATIONS, ids=str)
@pytest.mark.parametrize("channels", [2, 3])
def test_iisan_over_equal_encoders_is_the_batched_one(channels, ablation):
    how, widths, layers = settings(**ablation), (OUT,) * channels, (3,) * channels
    batched = shaken(Iisan(channels, 3, OUT, how, channels > 2))
    unequal = IisanVa(widths, layers, how, channels > 2)
    take_over(unequal, batched)
    hidden = states(widths, layers)
    assert_close(torch.stack(unequal.towers(hidden)), batched.towers(torch.stack(hidden, 1)))
    assert_close(unequal(hidden), batched(torch.stack(hidden, 1)))


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("gating", [False, True])
@pytest.mark.parametrize("fusion", ["concat", "momef"])
def test_crossan_over_equal_encoders_is_the_batched_one(independent, gating, fusion):
    how, widths, layers = settings(gating=gating, fusion=fusion), (OUT,) * 3, (3,) * 3
    batched = shaken(Crossan(3, 3, OUT, how, independent))
    unequal = UnequalCrossan(widths, layers, how, independent)
    take_over(unequal, batched)
    hidden = states(widths, layers)
    assert_close(torch.stack(unequal.towers(hidden)), batched.towers(torch.stack(hidden, 1)))
    assert_close(unequal(hidden), batched(torch.stack(hidden, 1)))


def dependence(model, hidden):
    """Whether each tower's last output moves with each channel's state at each layer: {(tower, channel): [L]}."""
    leaves = [x.clone().requires_grad_() for x in hidden]
    found = {}
    for tower, output in enumerate(model.towers(leaves)):
        grads = torch.autograd.grad(output.square().sum(), leaves, retain_graph=True, allow_unused=True)
        for channel, (grad, x) in enumerate(zip(grads, leaves, strict=True)):
            moved = torch.zeros(len(x)) if grad is None else grad.abs().amax((1, 2))
            found[tower, channel] = (moved > 0).tolist()
    return found


def test_the_inter_tower_sees_the_uppermost_layers_of_the_deeper_encoder():
    """Two encoders at 12+6: the intra towers keep all of their own, the inter tower aligns at the top (VI-E 3)."""
    widths, layers = (6, 4), (13, 7)
    seen = dependence(shaken(IisanVa(widths, layers, settings(), extended=False)), states(widths, layers))
    assert seen[0, 0] == [True] * 13
    assert seen[1, 1] == [True] * 7
    assert seen[2, 0] == [False] * 6 + [True] * 7
    assert seen[2, 1] == [True] * 7
    assert not any(seen[0, 1] + seen[1, 0])


def test_crossan_towers_see_what_lies_below_counted_from_the_top():
    widths, layers = (6, 4), (5, 3)
    hidden = states(widths, layers)
    crossan = dependence(shaken(UnequalCrossan(widths, layers, settings())), hidden)
    assert crossan[0, 0] == [True] * 5
    assert crossan[1, 1] == [True] * 3
    assert crossan[0, 1] == [True, True, False]  # the other's last output is read by none
    assert crossan[1, 0] == [True] * 4 + [False]
    independent = dependence(shaken(UnequalCrossan(widths, layers, settings(), independent=True)), hidden)
    assert not any(independent[0, 1] + independent[1, 0])
    assert independent[0, 0] == [True] * 5


def test_without_an_inter_tower_nothing_crosses_and_without_intra_towers_one_is_left():
    for widths, layers in [((6, 4), (4, 2)), ((5, 5), (3, 3))]:
        hidden = states(widths, layers)
        alone = dependence(shaken(IisanVa(widths, layers, settings(inter=False), extended=False)), hidden)
        assert sorted(alone) == [(0, 0), (0, 1), (1, 0), (1, 1)]
        assert not any(alone[0, 1] + alone[1, 0])
        together = dependence(shaken(IisanVa(widths, layers, settings(intra=False), extended=False)), hidden)
        assert sorted(together) == [(0, 0), (0, 1)]
        assert together[0, 0][-1]
        assert together[0, 1][-1]


@pytest.mark.parametrize(("ablation", "towers"), [({"inter": False}, 2), ({"intra": False}, 1), ({}, 3)])
def test_the_batched_path_leaves_out_the_same_towers(ablation, towers):
    model = shaken(Iisan(2, 3, OUT, settings(**ablation), extended=False))
    hidden = torch.stack(states((OUT, OUT), (3, 3)), 1)
    jacobian = torch.autograd.functional.jacobian(model.towers, hidden)  # [K, n, D, L, M, n, D]
    assert len(jacobian) == towers == model.tower_count
    assert model.fusion.linear.in_features == towers * OUT
    crosses = [[jacobian[k, :, :, :, m].any().item() for m in range(2)] for k in range(towers)]
    own = [[True, False], [False, True]] if "intra" not in ablation else []
    assert crosses == own + ([[True, True]] if "inter" not in ablation else [])


@pytest.mark.parametrize("ablation", ABLATIONS, ids=str)
@pytest.mark.parametrize("shape", [((OUT, OUT), (3, 3)), ((7, 4), (4, 2))], ids=["equal", "unequal"])
def test_what_is_left_out_has_no_parameters(ablation, shape):
    how = settings(**ablation)
    names = [n for n, _ in Recommender("iisan", Shape(("text", "image"), *shape), how).item_encoder.named_parameters()]
    assert any(n.startswith("intra_logits") for n in names) == (how.intra and how.gating)
    assert ("inter_logits" in names) == (how.inter and how.gating)
    assert any(n.startswith("alignment") for n in names) == (how.inter and len(set(shape[0])) > 1)


MODELS = ["crossan", "indsan", "iisan", "iisan-e"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_every_parameter_of_an_unequal_recommender_trains(model, precision):
    shape = Shape(("text", "image"), (7, 4), (4, 2))
    recommender = Recommender(model, shape, settings(fusion="concat"))
    shaken(recommender)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        vectors = recommender.item_encoder([x.to(precision) for x in states(shape.widths, shape.depths)])
    assert vectors.shape == (ITEMS, OUT)
    assert vectors.dtype == precision
    (vectors.float() * torch.randn(ITEMS, OUT)).sum().backward()
    assert not [n for n, p in recommender.item_encoder.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize("model", MODELS)
def test_rates_by_group_are_those_of_equal_encoders(model):
    """Adapters and the gates of towers that are not text's train at the adapters' rate, all else at the other."""
    how = settings(learning_rate=2e-4, adapter_learning_rate=1e-4)
    recommender = Recommender(model, Shape(("text", "image"), (7, 4), (4, 2)), how)
    rates = {id(p): group["lr"] for group in recommender.parameter_groups(how) for p in group["params"]}
    assert len(rates) == len(list(recommender.parameters()))
    slow = {n for n, p in recommender.item_encoder.named_parameters() if rates[id(p)] == 1e-4}
    gate = "intra_logits.1" if model.startswith("iisan") else "gates.logits.1"
    assert slow == {n for n, _ in recommender.item_encoder.named_parameters() if n.startswith("adapters")} | {gate}


def test_equal_encoders_take_the_batched_path():
    for widths, layers, equal in [
        ((5, 5), 3, True),
        ((5, 5), (3, 3), True),
        ((5, 5), (3, 2), False),
        ((5, 4), 3, False),
    ]:
        shape = Shape(("text", "image"), widths, layers)
        assert shape.equal == equal
        for model, kinds in {"iisan": (Iisan, IisanVa), "indsan": (Crossan, UnequalCrossan)}.items():
            built = Recommender(model, shape, settings()).item_encoder
            assert type(built) is kinds[0 if equal else 1]


def test_maps_between_widths_are_there_where_widths_differ():
    va = IisanVa((4, 7, 4), (2, 4, 3), settings(), extended=True)
    assert [[tuple(m.weight.shape) for m in maps] for maps in va.alignment] == [[], [(4, 7), (4, 7)], []]
    crossan = UnequalCrossan((4, 7, 4), (2, 4, 3), settings())
    shapes = {name: tuple(p.shape) for name, p in crossan.alignment.named_parameters()}
    assert shapes == {"0.1.weight": (4, 7), "1.0.weight": (7, 4), "1.2.weight": (7, 4), "2.1.weight": (4, 7)}
    assert not list(UnequalCrossan((4, 7), (2, 2), settings(), independent=True).alignment.parameters())
