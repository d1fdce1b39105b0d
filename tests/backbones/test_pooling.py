import pytest
import torch

from sanrec.backbones.pooling import pool


def slow_pool(states, mask, how):
    rows = []
    for one, real in zip(states.tolist(), mask.tolist(), strict=True):
        tokens = [token for token, r in zip(one, real, strict=True) if r]
        if how == "first":
            rows.append(one[0])
        elif how == "last":
            rows.append(tokens[-1])
        else:
            rows.append([sum(values) / len(tokens) for values in zip(*tokens, strict=True)])
    return torch.tensor(rows)


@pytest.mark.parametrize("how", ["first", "mean", "last"])
@pytest.mark.parametrize("leading", [0, 1])
def test_pooling_is_that_of_a_plain_loop(how, leading):
    states = torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(7) < torch.tensor([7, 3, 2, 5, 4])[:, None]).long()
    mask[:, :leading] = 0
    assert torch.allclose(pool(states, mask, how), slow_pool(states, mask, how), atol=1e-6)


@pytest.mark.parametrize("how", ["first", "mean", "last"])
def test_no_mask_means_all_tokens(how):
    states = torch.randn(4, 6, 3)
    assert torch.allclose(pool(states, None, how), pool(states, torch.ones(4, 6), how), atol=1e-6)


def test_padding_may_hold_anything_and_half_precision_is_widened_before_summing():
    states = torch.full((1, 40, 2), 30000.0, dtype=torch.float16)
    states[0, 20:] = float("inf")
    mask = (torch.arange(40) < 20)[None]
    pooled = pool(states, mask, "mean")
    assert pooled.dtype == torch.float32
    assert pooled.tolist() == [[30000.0, 30000.0]]


def test_an_item_without_tokens_is_zero_and_an_unknown_pooling_is_refused():
    assert pool(torch.ones(1, 3, 2), torch.zeros(1, 3), "mean").tolist() == [[0.0, 0.0]]
    with pytest.raises(ValueError, match="not 'max'"):
        pool(torch.ones(1, 3, 2), None, "max")
