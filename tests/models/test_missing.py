"""Items that lack media, against the formulas written out item by item and channel by channel."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sanrec.config import Settings
from sanrec.models.fusion import FUSIONS, Momef
from sanrec.models.missing import Masked, evened, groups_of, masked_softmax, renormalised, unmasked
from sanrec.models.registry import BUILDERS, Shape

L, D, E = 3, 5, 4
EQUAL, UNEQUAL = (D, D, D), (4, 5, 6)
DEPTHS = {EQUAL: (L, L, L), UNEQUAL: (2, 3, 4)}
PRESENT = torch.tensor(list(product([False, True], repeat=3))).T  # every way to have three channels, one per item
SYSTEMS = ("crossan", "indsan", "iisan-e")


def build(model: str, widths: tuple[int, ...], **more) -> nn.Module:
    torch.manual_seed(1)
    chosen = Settings(adapter_width=6, recommender_width=E, fusion=more.pop("fusion", "momef"), **more)
    modalities = ("text", "image", "video")[: len(widths)]
    layers = DEPTHS[widths] if widths in DEPTHS else (L,) * len(widths)
    encoder = BUILDERS[model](Shape(modalities, widths, layers), chosen).double()
    with torch.no_grad():
        for parameter in encoder.parameters():  # gates and biases start at zero
            parameter.normal_(std=0.4)
    return encoder


def states(widths: tuple[int, ...], seed: int = 0, items: int = PRESENT.shape[1]):
    """Hidden states as the encoder takes them: one tensor where channels are equal, else a list."""
    torch.manual_seed(seed)
    parts = [
        torch.randn(deep, items, wide, dtype=torch.float64) for deep, wide in zip(DEPTHS[widths], widths, strict=True)
    ]
    return torch.stack(parts, 1) if widths == EQUAL else parts


def channel_states(hidden, channel: int):
    return hidden[:, channel] if isinstance(hidden, torch.Tensor) else hidden[channel]


def block(encoder: nn.Module, tower: int, layer: int, x):
    """A tower's adapter block at a layer, of one vector."""
    if isinstance(encoder.adapters[0], nn.ModuleList):
        return encoder.adapters[tower][layer](x)
    down, b_down, up, b_up = (weight[tower] for weight in encoder.adapters[layer].weights())
    return x + ((x @ down + b_down[0]).relu() @ up + b_up[0])


def head(encoder: nn.Module, tower: int, z):
    if isinstance(encoder.heads, nn.ModuleList):
        return encoder.heads[tower](z)
    inner, outer = encoder.heads.inner, encoder.heads.outer
    return (z @ inner.weight[tower] + inner.bias[tower, 0]) @ outer.weight[tower] + outer.bias[tower, 0]


def slow_crossan(encoder, hidden, item: int, has: list[int]) -> dict[int, torch.Tensor]:
    """The vector of every tower that runs: Eq. 5 over the channels that the item has."""
    depth = {m: len(channel_states(hidden, m)) for m in has}
    gated = len(encoder.gates.logits) > 0
    independent = encoder.gates.independent
    z: dict[int, torch.Tensor] = {}
    for left in reversed(range(max(len(channel_states(hidden, m)) for m in range(3)))):
        new = {}
        for m in has:
            layer = depth[m] - 1 - left
            if layer < 0:
                continue
            seen = [m] if independent else has
            if gated:
                a = encoder.gates.logits[m][layer].softmax(-1)
                of = {k: a[0] if independent else a[k] for k in seen}
                total = sum(of.values()) + a[-1]
                own, of = a[-1] / total, {k: weight / total for k, weight in of.items()}
            else:
                own, of = 1.0, dict.fromkeys(seen, 1.0)
            mixed = own * channel_states(hidden, m)[layer, item]
            for k in seen:
                if k in z:
                    aligned = encoder.alignment[m][k](z[k]) if hasattr(encoder, "alignment") else z[k]
                    mixed = mixed + of[k] * aligned
            new[m] = block(encoder, m, layer, mixed)
        z = new
    return {m: head(encoder, m, z[m]) for m in has}


def slow_iisan(encoder, hidden, item: int, has: list[int]) -> dict[int, torch.Tensor]:
    """The intra towers of what the item has, and the inter tower over it."""
    vectors = {}
    for m in has:
        z = 0.0
        for layer, x in enumerate(channel_states(hidden, m)[:, item]):
            g = torch.sigmoid(encoder.intra_logits[m][layer] / 0.1) if len(encoder.intra_logits) else None
            z = block(encoder, m, layer, x + z if g is None else g * x + (1 - g) * z)
        vectors[m] = head(encoder, m, z)
    if has:
        depth, z = min(len(channel_states(hidden, m)) for m in range(3)), 0.0
        for layer in range(depth):
            weights = None if encoder.inter_logits is None else encoder.inter_logits[layer].softmax(-1)
            total = 1.0 if weights is None else sum(weights[m] for m in has)
            for m in has:
                x = channel_states(hidden, m)[layer - depth, item]
                if hasattr(encoder, "alignment") and len(encoder.alignment[m]):
                    x = encoder.alignment[m][layer](x)
                z = z + (x if weights is None else weights[m] / total * x)
            z = block(encoder, 3, layer, z)
        vectors[3] = head(encoder, 3, z)
    return vectors


def slow_fusion(fusion, vectors: dict[int, torch.Tensor], towers: int):
    """One item's vector from those of its towers."""
    zero = torch.zeros(E, dtype=torch.float64)
    scale = towers / max(1, len(vectors))
    row = torch.cat([scale * vectors[k] if k in vectors else zero for k in range(towers)])
    if hasattr(fusion, "linear"):
        return fusion.linear(row)
    if not vectors:
        return zero
    scores = fusion.logits if hasattr(fusion, "logits") else fusion.gate(row)
    best = sorted(vectors, key=lambda k: float(scores[k].detach()), reverse=True)
    if isinstance(fusion, Momef):
        best = best[: fusion.top_k]
        experts = fusion.experts
        vectors = {k: vectors[k] @ experts.weight[k] + experts.bias[k, 0] for k in best}
    weights = torch.stack([scores[k] for k in best]).softmax(0)
    return sum(weight * vectors[k] for weight, k in zip(weights, best, strict=True))


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("gating", [True, False])
@pytest.mark.parametrize("widths", [EQUAL, UNEQUAL])
@pytest.mark.parametrize("model", SYSTEMS)
def test_every_way_to_lack_media_follows_the_formulas_over_what_is_there(model, widths, gating, fusion):
    encoder, hidden = build(model, widths, fusion=fusion, gating=gating), states(widths)
    found = encoder(Masked(hidden, PRESENT))
    slow = slow_iisan if model == "iisan-e" else slow_crossan
    towers = 4 if model == "iisan-e" else 3
    expected = []
    for item in range(PRESENT.shape[1]):
        has = [m for m in range(3) if PRESENT[m, item]]
        expected.append(slow_fusion(encoder.fusion, slow(encoder, hidden, item, has), towers))
    torch.testing.assert_close(found, torch.stack(expected))
    cotangent = torch.randn_like(found)
    parameters = [p for p in encoder.parameters() if p.requires_grad]
    ours = torch.autograd.grad(found, parameters, cotangent, allow_unused=True)
    theirs = torch.autograd.grad(torch.stack(expected), parameters, cotangent, allow_unused=True)
    for one, other, parameter in zip(ours, theirs, parameters, strict=True):
        zero = torch.zeros_like(parameter)
        torch.testing.assert_close(zero if one is None else one, zero if other is None else other, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(encoder(Masked(hidden, PRESENT)), found)


def test_iisan_of_two_channels_takes_the_one_that_is_there():
    encoder = build("iisan", (D, D))
    hidden = torch.randn(L, 2, 3, D, dtype=torch.float64)
    present = torch.tensor([[True, True, False], [True, False, True]])
    found = encoder(Masked(hidden, present))
    torch.testing.assert_close(found[:1], encoder(hidden[:, :, :1]))
    inter = [encoder.towers(Masked(hidden, present))[-1][item] for item in (1, 2)]
    for (channel, item), z in zip(((0, 1), (1, 2)), inter, strict=True):
        expected = 0.0
        for layer in range(L):
            expected = block(encoder, 2, layer, expected + hidden[layer, channel, item])
        torch.testing.assert_close(z, expected)


@pytest.mark.parametrize("widths", [EQUAL, UNEQUAL])
@pytest.mark.parametrize("model", SYSTEMS)
def test_what_stands_where_a_medium_is_missing_is_never_read(model, widths):
    encoder, hidden, other = build(model, widths), states(widths), states(widths, seed=5)
    mixed = [
        torch.where(PRESENT[m][:, None], channel_states(hidden, m), 100 * channel_states(other, m)) for m in range(3)
    ]
    mixed = torch.stack(mixed, 1) if widths == EQUAL else mixed
    assert torch.equal(encoder(Masked(mixed, PRESENT)), encoder(Masked(hidden, PRESENT)))


@pytest.mark.parametrize("widths", [EQUAL, UNEQUAL])
@pytest.mark.parametrize("model", SYSTEMS)
def test_items_that_have_all_media_are_as_they_were_to_the_bit(model, widths):
    encoder, hidden = build(model, widths), states(widths)
    assert torch.equal(encoder(Masked(hidden, torch.ones_like(PRESENT))), encoder(hidden))


def test_items_without_any_medium_alone():
    for model, widths in product(SYSTEMS, (EQUAL, UNEQUAL)):
        found = build(model, widths)(Masked(states(widths, items=2), torch.zeros(3, 2, dtype=torch.bool)))
        assert found.shape == (2, E)
        assert found.isfinite().all()


@pytest.mark.parametrize("model", ["crossan", "iisan-e"])
def test_half_precision_and_training_go_through(model):
    encoder, hidden = build(model, EQUAL).float(), states(EQUAL).half()
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(Masked(hidden, PRESENT))
    found.float().sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)
    exact = encoder(Masked(hidden.float(), PRESENT))
    torch.testing.assert_close(found.float(), exact, atol=0.3, rtol=0.1)


masks = st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=3, max_size=3).map(torch.tensor)


@given(masks)
def test_groups_are_each_item_once_with_what_it_has(present):
    groups = groups_of(present)
    assert sorted(groups.order.tolist()) == list(range(6))
    assert sum(groups.sizes) == 6
    assert len(set(map(tuple, groups.present.tolist()))) == len(groups.sizes)  # no two of a kind
    for channels, items in zip(groups.present, groups.order.split(groups.sizes), strict=True):
        assert (present[:, items] == channels[:, None]).all()


@given(masks)
def test_weights_sum_to_what_they_did(present):
    weights = renormalised(torch.tensor([0.2, 0.5, 0.3]), present)
    has = present.any(0)
    torch.testing.assert_close(weights.sum(0), has.float())
    assert not weights[~present].any()
    soft = masked_softmax(torch.randn(3, 6), present, 0)
    torch.testing.assert_close(soft.sum(0), has.float())
    assert not soft[~present].any()
    parts = evened([torch.ones(6, 2)] * 3, present)
    torch.testing.assert_close(sum(parts), 3.0 * has[:, None].expand(6, 2))


def test_an_input_that_lacks_nothing_is_itself():
    hidden = torch.zeros(1)
    assert unmasked(hidden) == (hidden, None)
    assert unmasked(Masked(hidden, torch.ones(2, 2, dtype=torch.bool))) == (hidden, None)
