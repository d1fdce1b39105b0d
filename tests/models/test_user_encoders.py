"""User encoders: what a state may depend on, and each formula against a slow one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sanrec.config import Settings
from sanrec.models.registry import POSITIONS, USER_ENCODERS
from sanrec.models.user_encoders.gru4rec import Gru4Rec
from sanrec.models.user_encoders.nextitnet import CausalConvolution, NextItNet
from sanrec.models.user_encoders.youtube import YouTube

WIDTH = 8
NAMES = sorted(USER_ENCODERS)


def encoder(name, **changes):
    torch.manual_seed(5)
    return USER_ENCODERS[name](Settings(recommender_width=WIDTH, user_encoder=name, **changes)).eval()


def histories(lengths, positions=POSITIONS):
    present = torch.arange(positions) >= positions - torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), positions, WIDTH, generator=torch.Generator().manual_seed(3)), present


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(0, POSITIONS), min_size=1, max_size=4),
    changed_from=st.integers(0, POSITIONS),
    blocks=st.integers(1, 3),
    junk=st.sampled_from([0.0, 7.0, 1e6]),
)
def test_a_state_sees_its_past_alone(name, lengths, changed_from, blocks, junk):
    """Neither what stands at padded positions nor later items changes a state."""
    model = encoder(name, user_blocks=blocks)
    items, present = histories(lengths)
    later = (torch.arange(POSITIONS) >= changed_from)[None, :, None]
    other = torch.where(present[..., None], items, torch.full_like(items, junk))
    other = torch.where(later, -other, other)
    earlier = present & (torch.arange(POSITIONS) < changed_from)
    before, after = model(items, present), model(other, present)
    assert torch.isfinite(before).all()
    torch.testing.assert_close(before[earlier], after[earlier], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_sees_its_own_item_and_the_one_before(name):
    model = encoder(name)
    items, present = histories([POSITIONS])
    before = model(items, present)
    for back in (0, 1):
        changed = items.clone()
        changed[0, 5 - back] *= -3
        assert (model(changed, present)[0, 5] - before[0, 5]).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["gru4rec", "nextitnet", "youtube"])  # a transformer's positions count from the left
@pytest.mark.parametrize("length", [1, 3, 6])
def test_how_much_padding_stands_before_a_history_does_not_matter(name, length):
    model = encoder(name)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)  # no bias is zero
    items, present = histories([length])
    alone = model(items[:, -length:], present[:, -length:])
    torch.testing.assert_close(model(items, present)[:, -length:], alone)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_gru4rec_is_a_gru_without_bias():
    """Two layers, step by step: r, z gates, candidate n; h' = (1 - z) n + z h."""
    model = encoder("gru4rec", user_blocks=2)
    items, present = histories([4, 2])
    for row, length in enumerate([4, 2]):
        states = items[row, POSITIONS - length :].numpy().astype(np.float64)
        for layer in (0, 1):
            weights = dict(model.gru.named_parameters())
            w_r, w_z, w_n = np.split(weights[f"weight_ih_l{layer}"].detach().numpy().astype(np.float64), 3)
            u_r, u_z, u_n = np.split(weights[f"weight_hh_l{layer}"].detach().numpy().astype(np.float64), 3)
            h, outputs = np.zeros(WIDTH), []
            for x in states:
                r, z = sigmoid(w_r @ x + u_r @ h), sigmoid(w_z @ x + u_z @ h)
                n = np.tanh(w_n @ x + r * (u_n @ h))
                h = (1 - z) * n + z * h
                outputs.append(h)
            states = np.array(outputs)
        found = model(items, present)[row, POSITIONS - length :].detach().numpy()
        np.testing.assert_allclose(found, states, atol=1e-6)


@pytest.mark.parametrize("dilation", [1, 2, 4, 8])
def test_the_causal_convolution_is_torchs_with_zeros_before(dilation):
    ours = CausalConvolution(WIDTH, dilation)
    theirs = nn.Conv1d(WIDTH, WIDTH, 3, dilation=dilation)
    with torch.no_grad():
        theirs.weight.copy_(ours.weight.permute(1, 2, 0))
        theirs.bias.copy_(ours.bias)
    x = torch.randn(3, POSITIONS, WIDTH)
    padded = nn.functional.pad(x.transpose(1, 2), (2 * dilation, 0))
    torch.testing.assert_close(ours(x), theirs(padded).transpose(1, 2))


def residual_block(x, block):
    """Figure 3b, on one whole history [S, E] with nothing before it."""
    for convolution, norm in ((block.first, block.first_norm), (block.second, block.second_norm)):
        d = convolution.dilation
        y = [
            sum(convolution.weight[k] @ x[s - (2 - k) * d] for k in range(3) if s >= (2 - k) * d) + convolution.bias
            for s in range(len(x))
        ]
        x = norm(torch.stack(y)).relu()
    return x


def test_nextitnet_is_its_blocks_one_after_the_other():
    model = encoder("nextitnet", user_blocks=2)
    assert [b.first.dilation for b in model.blocks] == [1, 4, 1, 4]
    assert [b.second.dilation for b in model.blocks] == [2, 8, 2, 8]
    items, present = histories([7])
    x = items[0, -7:]
    for block in model.blocks:
        x = x + residual_block(x, block)
    torch.testing.assert_close(model(items, present)[0, -7:], x)


@pytest.mark.parametrize("pairs", [1, 2])
def test_nextitnet_sees_as_far_back_as_its_kernels_reach(pairs):
    """A block of dilation d reaches 2 d + 4 d items back: a pair 6 + 24."""
    reach = 30 * pairs
    torch.manual_seed(0)
    model = NextItNet(WIDTH, pairs).eval()
    x = torch.randn(1, reach + 6, WIDTH, requires_grad=True)
    state = model(x, torch.ones(1, reach + 6, dtype=torch.bool))[0, -1]
    (state * torch.randn(WIDTH)).sum().backward()
    touched = x.grad[0].abs().sum(1) > 0
    assert touched.nonzero().min() == len(touched) - 1 - reach


def test_youtube_is_the_mean_under_its_layers():
    model = encoder("youtube", user_blocks=2)
    items, present = histories([5])
    first, second = model.layers
    for s in range(5):
        mean = items[0, 5 : 6 + s].mean(0)
        torch.testing.assert_close(model(items, present)[0, 5 + s], second(first(mean).relu()).relu())


def test_youtube_does_not_see_the_order():
    items, present = histories([6])
    turned = items.clone()
    turned[:, -6:] = items[:, -6:].flip(1)
    model = encoder("youtube")
    torch.testing.assert_close(model(items, present)[:, -1], model(turned, present)[:, -1])


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Gru4Rec(64), 2 * 3 * 64 * 64),
        (NextItNet(64), 4 * 2 * (3 * 64 * 64 + 64 + 2 * 64)),
        (YouTube(64, 2), 2 * (64 * 64 + 64)),
    ],
)
def test_parameters(model, expected):
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize("name", ["gru4rec", "nextitnet", "youtube"])
def test_dropout_acts_in_training_alone(name):
    model = encoder(name, dropout=0.5)
    items, present = histories([8])
    assert torch.equal(model(items, present), model(items, present))
    model.train()
    assert not torch.equal(model(items, present), model(items, present))
