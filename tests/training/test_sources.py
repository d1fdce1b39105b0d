"""What item encoders read."""

import numpy as np
import pytest
import torch

from sanrec.training.sources import FinalSource, HiddenSource, standardized


def test_hidden_states_are_found_by_item_from_one():
    bank = torch.arange(2 * 3 * 5 * 4).view(2, 3, 5, 4).half()
    got = HiddenSource(bank).gather(torch.tensor([5, 1]))
    assert got.dtype == torch.float16
    assert torch.equal(got, bank[:, :, [4, 0]].float())


def test_final_states_too():
    finals = [torch.arange(8.0).view(4, 2), torch.arange(12.0).view(4, 3)]
    first, second = FinalSource(finals).gather(torch.tensor([2]))
    assert first.tolist() == [[2, 3]]
    assert second.tolist() == [[3, 4, 5]]


def test_standardized_states_have_no_mean_and_one_spread():
    rng = np.random.default_rng(0)
    states = (rng.normal(size=(200, 6)) * [1, 2, 3, 4, 5, 6] + 40).astype(np.float16)
    used = np.ones(200, bool)
    used[7] = False
    done = standardized(states, used)
    assert done.dtype == np.float16
    assert np.abs(done[used].astype(np.float32).mean(0)).max() < 0.01
    assert done[used].astype(np.float32).std() == pytest.approx(1, abs=0.01)
    assert not done[7].any()
    spreads = done[used].astype(np.float32).std(0)
    assert spreads[5] / spreads[0] == pytest.approx(6, rel=0.2)  # features keep their relative sizes


def test_a_layer_in_which_all_items_are_alike_becomes_zero():
    assert not standardized(np.full((9, 3), 12.3, np.float16), np.ones(9, bool)).any()
