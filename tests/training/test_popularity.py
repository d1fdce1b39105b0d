"""Popularity as a floor, on sequences small enough to rank by hand."""

import numpy as np
import pytest

from sanrec.data.split import Sequences
from sanrec.training.popularity import popularity_metrics


def test_ranks_by_hand():
    # Training parts: [1, 2], [1, 2], [1, 3]: item 1 three times, 2 twice, 3 once, 4 and 5 never.
    users = [[1, 2, 3, 4], [1, 2, 5, 3], [1, 3, 2, 5]]
    items = np.array(users, np.int32).ravel()
    sequences = Sequences(items, np.arange(0, 13, 4), np.array(["a", "b", "c"]), np.arange(-1, 5, dtype=np.int32))
    # Validation targets 3, 5, 2 with histories [1, 2], [1, 2], [1, 3]: 3 is first of 3, 4, 5; 5 is third, for 4 ties
    # with it; 2 is first.
    validation = popularity_metrics(sequences, "validation")
    assert validation["MRR@10"] == pytest.approx((1 + 1 / 3 + 1) / 3)
    # Test targets 4, 3, 5 with histories [1, 2, 3], [1, 2, 5], [1, 3, 2]: 4 ties with 5; 3 is first; 5 ties with 4.
    assert popularity_metrics(sequences, "test")["MRR@10"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
