"""Averaged weights against the recursion written out, and runs that go on."""

import pytest
import torch
from torch import nn

from sanrec.training.averaging import averages_in_place, update_averages


def trained(steps, decay, fused=True):
    """A small model after so many steps, its optimizer, and the averages by the recursion in plain numbers."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=fused)
    slow = None
    for step in range(1, steps + 1):
        model(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
        update_averages(optimizer, decay)
        optimizer.zero_grad()
        now = [p.detach().double() for p in model.parameters()]
        d = min(decay, (1 + step) / (10 + step))
        slow = now if slow is None else [d * old + (1 - d) * new for old, new in zip(slow, now, strict=True)]
    return model, optimizer, slow


@pytest.mark.parametrize("decay", [0.05, 0.5, 0.999])
@pytest.mark.parametrize("steps", [1, 2, 40])
def test_the_recursion(steps, decay):
    model, optimizer, slow = trained(steps, decay)
    weights = [p.detach().clone() for p in model.parameters()]
    with averages_in_place(optimizer):
        for p, expected in zip(model.parameters(), slow, strict=True):
            torch.testing.assert_close(p.detach().double(), expected, rtol=1e-5, atol=1e-6)
    assert all(torch.equal(p, w) for p, w in zip(model.parameters(), weights, strict=True))
    if steps > 1:
        assert not all(torch.equal(p.double(), a) for p, a in zip(model.parameters(), slow, strict=True))


def test_weights_come_back_after_an_error():
    model, optimizer, _ = trained(5, 0.9)
    weights = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(KeyError), averages_in_place(optimizer):
        raise KeyError
    assert all(torch.equal(p, w) for p, w in zip(model.parameters(), weights, strict=True))


def test_without_averages_nothing_is_exchanged():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    weights = [p.detach().clone() for p in model.parameters()]
    with averages_in_place(optimizer):
        assert all(torch.equal(p, w) for p, w in zip(model.parameters(), weights, strict=True))
