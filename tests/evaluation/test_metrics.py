"""HR, NDCG and MRR against scikit-learn, and by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, top_k_accuracy_score

from sanrec.errors import ConfigError
from sanrec.evaluation.metrics import CUTOFFS, METRICS, metrics_from_ranks, per_user
from sanrec.evaluation.ranking import rank_targets

USERS, ITEMS = 300, 60


@pytest.fixture(scope="module")
def scored():
    """Random scores [U, I] without ties, targets (columns), their one-hot relevance, and our ranks of them."""
    rng = np.random.default_rng(7)
    scores = rng.permuted(np.tile(np.arange(ITEMS), (USERS, 1)), axis=1).astype(np.float64)
    targets = rng.integers(0, ITEMS, USERS)
    targets[0] = 0  # scikit-learn wants to see that every class may occur
    relevant = np.eye(ITEMS)[targets]
    # users as rows of scores, items as unit vectors: their product is the scores themselves
    vectors = torch.cat([torch.zeros(1, ITEMS), torch.eye(ITEMS)]).double()
    nothing = torch.zeros(USERS, 0, dtype=torch.long)
    ranks = rank_targets(torch.tensor(scores), vectors, torch.tensor(targets) + 1, nothing).numpy()
    return scores, targets, relevant, ranks


@pytest.mark.parametrize("k", CUTOFFS)
def test_hit_ratio_is_top_k_accuracy(scored, k):
    scores, targets, _, ranks = scored
    expected = top_k_accuracy_score(targets, scores, k=k, labels=np.arange(ITEMS))
    assert metrics_from_ranks(ranks)[f"HR@{k}"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", CUTOFFS)
def test_ndcg_is_that_of_one_relevant_item(scored, k):
    scores, _, relevant, ranks = scored
    assert metrics_from_ranks(ranks)[f"NDCG@{k}"] == pytest.approx(ndcg_score(relevant, scores, k=k), abs=1e-12)
    each = [ndcg_score(r[None], s[None], k=k) for r, s in zip(relevant[:50], scores[:50], strict=True)]
    np.testing.assert_allclose(per_user(ranks[:50], f"NDCG@{k}"), each, atol=1e-12)


def test_untruncated_mrr_is_label_ranking_average_precision(scored):
    scores, _, relevant, ranks = scored
    expected = label_ranking_average_precision_score(relevant, scores)
    assert per_user(ranks, f"MRR@{ITEMS}").mean() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", CUTOFFS)
def test_mrr_is_cut_at_k(scored, k):
    scores, _, relevant, ranks = scored
    each = [label_ranking_average_precision_score(r[None], s[None]) for r, s in zip(relevant, scores, strict=True)]
    expected = np.mean([value if value >= 1 / k - 1e-12 else 0 for value in each])
    assert metrics_from_ranks(ranks)[f"MRR@{k}"] == pytest.approx(expected, abs=1e-12)


def test_values_by_hand():
    ranks = np.array([1, 3, 5, 6, 0], dtype=np.int32)
    assert per_user(ranks, "HR@5").tolist() == [1, 1, 1, 0, 0]
    np.testing.assert_allclose(per_user(ranks, "NDCG@5"), [1, 0.5, 1 / math.log2(6), 0, 0])
    np.testing.assert_allclose(per_user(ranks, "MRR@5"), [1, 1 / 3, 1 / 5, 0, 0])
    values = metrics_from_ranks(ranks)
    assert tuple(values) == METRICS
    assert values["HR@10"] == pytest.approx(4 / 5)
    assert all(isinstance(value, float) for value in values.values())


def test_a_target_that_cannot_be_hit_counts_nothing():
    assert set(metrics_from_ranks([0, 0]).values()) == {0.0}


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30))
def test_a_longer_list_never_scores_less_and_hr_bounds_the_others(ranks):
    values = metrics_from_ranks(ranks)
    for kind in ("HR", "NDCG", "MRR"):
        assert values[f"{kind}@5"] <= values[f"{kind}@10"] <= values[f"{kind}@20"]
    for k in CUTOFFS:
        assert 0 <= values[f"MRR@{k}"] <= values[f"NDCG@{k}"] + 1e-12
        assert values[f"NDCG@{k}"] <= values[f"HR@{k}"] + 1e-12 <= 1 + 1e-12


@pytest.mark.parametrize("metric", ["HR", "hr@10", "Precision@10", "NDCG@0", "MRR@-1", "Recall@"])
def test_an_unknown_metric_is_refused(metric):
    with pytest.raises(ConfigError, match="unknown metric"):
        per_user([1], metric)


@pytest.mark.parametrize("ranks", [[-1], [1.5], [[1, 2]], [True]])
def test_what_is_no_rank_is_refused(ranks):
    with pytest.raises(ValueError, match="rank"):
        per_user(ranks, "HR@5")


def test_no_user_has_no_metrics():
    with pytest.raises(ValueError, match="no ranks"):
        metrics_from_ranks(np.array([], dtype=np.int32))
