"""The user encoder: what a state may depend on."""

import pytest
import torch

from sanrec.models.users import UserEncoder


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return UserEncoder(width=16, positions=10).eval()


def histories(lengths, width=16):
    present = torch.zeros(len(lengths), 10, dtype=torch.bool)
    for row, length in enumerate(lengths):
        present[row, 10 - length :] = True
    return torch.randn(len(lengths), 10, width, generator=torch.Generator().manual_seed(3)), present


def test_a_state_does_not_see_the_future(encoder):
    items, present = histories([10])
    changed = items.clone()
    changed[:, 6:] *= -1  # (a shift would be undone by the LayerNorm)
    before, after = encoder(items, present), encoder(changed, present)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert (before[:, 6:] - after[:, 6:]).abs().amax(-1).min() > 1e-3


def test_a_state_does_not_see_padding(encoder):
    items, present = histories([4, 1])
    changed = torch.where(present[..., None], items, torch.full_like(items, 9.0))
    torch.testing.assert_close(encoder(items, present)[present], encoder(changed, present)[present])


def test_padding_gives_no_nan_even_where_nothing_is_real(encoder):
    items, present = histories([0, 3])
    assert torch.isfinite(encoder(items, present)).all()


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="user_heads=3"):
        UserEncoder(width=16, heads=3)
