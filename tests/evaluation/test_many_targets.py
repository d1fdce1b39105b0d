"""Several targets per user: their ranks against a version that sorts, their metrics against scikit-learn, by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from sanrec.errors import DivergenceError
from sanrec.evaluation.metrics import CUTOFFS, METRICS, RECALLS, metrics_from_ranks, per_user
from sanrec.evaluation.ranking import rank_scored


@st.composite
def worlds(draw):
    """Scores in whole numbers, so that ties are many; distinct targets and a history of each user, some in both."""
    users, items = draw(st.integers(1, 7)), draw(st.integers(1, 10))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.integers(-2, 3, (users, items)).astype(np.float32)
    targets = [rng.permutation(items)[: rng.integers(0, 5)] + 1 for _ in range(users)]
    histories = [rng.integers(1, items + 1, rng.integers(0, 4)) for _ in range(users)]
    return scores, targets, histories


def listed(lists):
    flat = np.concatenate([np.zeros(0, np.int64), *lists])
    return torch.tensor([0, *np.cumsum([len(part) for part in lists])]), torch.tensor(flat, dtype=torch.int64)


def ranks_of(scores, targets, histories, **options):
    def score(first, last):
        return torch.tensor(scores[first:last])

    return rank_scored(score, scores.shape[1], listed(targets), listed(histories), **options).tolist()


def slow_ranks(scores, targets, histories):
    """Sort candidates from best to worst, at equal scores other items first and then the targets in their order."""
    ranks = []
    for row, wanted, history in zip(scores, targets, histories, strict=True):
        candidates = [item for item in range(1, len(row) + 1) if item not in history]
        place = {int(item): number for number, item in enumerate(wanted)}
        order = sorted(candidates, key=lambda item: (-row[item - 1], place.get(item, -1)))
        ranks += [order.index(item) + 1 if item in order else 0 for item in wanted]
    return ranks


@given(worlds(), st.integers(1, 8))
@settings(max_examples=200)
def test_ranks_are_those_of_sorting(world, chunk):
    assert ranks_of(*world) == slow_ranks(*world)
    assert ranks_of(*world, chunk=chunk) == slow_ranks(*world)


def test_no_two_targets_of_a_user_share_a_rank():
    scores = np.zeros((1, 6), np.float32)
    assert ranks_of(scores, [np.array([4, 2, 6])], [np.array([1])]) == [3, 4, 5]


def test_what_cannot_be_ranked():
    scores = np.zeros((2, 3), np.float32)
    one = [np.array([1]), np.array([2])]
    with pytest.raises(ValueError, match="target 4 is none of the items 1 to 3"):
        ranks_of(scores, [np.array([4]), np.array([1])], one)
    with pytest.raises(ValueError, match="2 users, but 1 histories"):
        ranks_of(scores, one, one[:1])
    with pytest.raises(ValueError, match="cannot be"):
        rank_scored(lambda first, last: torch.zeros(1, 3), 3, listed(one), listed(one))
    scores[1, 2] = np.nan
    with pytest.raises(DivergenceError, match="user 1"):
        ranks_of(scores, one, one)


@pytest.fixture(scope="module")
def scored():
    """Scores [U, I] without ties, one to six targets per user, our ranks of them, and whose they are."""
    rng = np.random.default_rng(3)
    users, items = 120, 40
    scores = rng.permuted(np.tile(np.arange(items), (users, 1)), axis=1).astype(np.float32)
    targets = [rng.permutation(items)[: rng.integers(1, 7)] + 1 for _ in range(users)]
    ranks = np.array(ranks_of(scores, targets, [[]] * users))
    return scores, targets, ranks, np.repeat(np.arange(users), [len(t) for t in targets])


@pytest.mark.parametrize("k", CUTOFFS)
def test_ndcg_is_scikit_learns(scored, k):
    scores, targets, ranks, users = scored
    relevant = np.zeros(scores.shape)
    for row, wanted in zip(relevant, targets, strict=True):
        row[wanted - 1] = 1
    each = [ndcg_score(r[None], s[None], k=k) for r, s in zip(relevant, scores, strict=True)]
    np.testing.assert_allclose(per_user(ranks, f"NDCG@{k}", users), each, atol=1e-12)


@pytest.mark.parametrize("k", CUTOFFS)
def test_the_others_against_lists_of_the_best(scored, k):
    scores, targets, ranks, users = scored
    best = np.argsort(-scores, axis=1)[:, :k] + 1
    hits = [np.isin(row, wanted) for row, wanted in zip(best, targets, strict=True)]
    recall = [row.sum() / len(wanted) for row, wanted in zip(hits, targets, strict=True)]
    first = [1 / (np.argmax(row) + 1) if row.any() else 0 for row in hits]
    np.testing.assert_allclose(per_user(ranks, f"Recall@{k}", users), recall)
    np.testing.assert_allclose(per_user(ranks, f"HR@{k}", users), [row.any() for row in hits])
    np.testing.assert_allclose(per_user(ranks, f"MRR@{k}", users), first)
    assert metrics_from_ranks(ranks, users)[f"Recall@{k}"] == pytest.approx(np.mean(recall))


def test_values_by_hand():
    ranks, users = [7, 1, 0, 3, 30], [4, 4, 4, 9, 9]
    assert per_user(ranks, "Recall@5", users).tolist() == [1 / 3, 1 / 2]
    assert per_user(ranks, "Recall@10", users).tolist() == [2 / 3, 1 / 2]
    assert per_user(ranks, "MRR@5", users).tolist() == [1, 1 / 3]
    ideal = 1 + 1 / math.log2(3)
    np.testing.assert_allclose(per_user(ranks, "NDCG@5", users), [1 / (ideal + 1 / 2), (1 / 2) / ideal])


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30))
def test_one_target_each_is_the_single_target_case(ranks):
    one_each = metrics_from_ranks(ranks, range(len(ranks)))
    assert tuple(one_each) == (*METRICS, *RECALLS)
    assert {name: one_each[name] for name in METRICS} == metrics_from_ranks(ranks)
    assert all(one_each[name] == one_each[name.replace("Recall", "HR")] for name in RECALLS)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=20), st.randoms())
def test_the_order_of_a_users_targets_does_not_matter(pairs, random):
    pairs.sort(key=lambda pair: pair[0])
    mixed = list(pairs)
    random.shuffle(mixed)
    mixed.sort(key=lambda pair: pair[0])
    users = [user for user, _ in pairs]
    one, other = (metrics_from_ranks([rank for _, rank in some], users) for some in (pairs, mixed))
    assert one == pytest.approx(other)


@pytest.mark.parametrize("users", [[1, 0], [0], [0, 0, 0]])
def test_users_that_do_not_fit_are_refused(users):
    with pytest.raises(ValueError, match="users are one number per target"):
        per_user([1, 2], "HR@5", users)


def test_recall_of_groups_counts_each_user_once():
    users = np.repeat([0, 1], [1, 9])
    assert metrics_from_ranks([1] + [0] * 9, users)["Recall@20"] == 0.5
