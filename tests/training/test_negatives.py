"""Sampled items: never one that the user has, and every other one equally often."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from sanrec.training.negatives import Negatives


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=25), st.integers(0, 99))
def test_every_place_among_the_free_items_gives_its_item(pairs, seed):
    """With the draw replaced by each of its possible values: exactly the free items come out, each once."""
    users, items = np.array(pairs).T
    negatives = Negatives(users, items, 5, 8)  # item 7 is nobody's

    class Listed:
        """A generator whose draws are 0, 1, 2, ... below the bound."""

        def integers(self, low, high):
            assert (high == high[0]).all()
            return np.arange(len(high))

    for user in range(5):
        free = [item for item in range(8) if (user, item) not in pairs]
        assert negatives.free[user] == len(free)
        assert negatives.draw(np.full(len(free), user), Listed()).tolist() == free


def test_draws_are_uniform():
    users, items = np.array([0, 0, 0, 1]), np.array([2, 3, 9, 0])
    negatives = Negatives(users, items, 2, 12)
    draws = negatives.draw(np.repeat([0, 1], 20_000), np.random.default_rng(0))
    for user, some in enumerate(np.split(draws, 2)):
        counts = np.bincount(some, minlength=12)
        own = items[users == user]
        assert not counts[own].any()
        assert chisquare(np.delete(counts, own)).pvalue > 0.01


def test_repeated_interactions_count_once():
    negatives = Negatives(np.array([0, 0, 0]), np.array([1, 1, 1]), 1, 3)
    assert set(negatives.draw(np.zeros(50, int), np.random.default_rng(0)).tolist()) == {0, 2}


def test_a_user_with_every_item_has_none_to_sample():
    negatives = Negatives(np.array([0, 0, 1]), np.array([0, 1, 0]), 2, 2)
    assert negatives.draw(np.array([1, 1]), np.random.default_rng(0)).tolist() == [1, 1]
    with pytest.raises(ValueError, match="user 0 has every item"):
        negatives.draw(np.array([1, 0]), np.random.default_rng(0))
