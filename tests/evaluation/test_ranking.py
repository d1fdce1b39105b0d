"""Full ranking against a slow version that sorts, and against its own promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sanrec.errors import SanrecError
from sanrec.evaluation import ranking
from sanrec.evaluation.ranking import rank_targets


@st.composite
def worlds(draw):
    """User states, item vectors, targets and histories; whole numbers, so that ties are many and sums exact."""
    users, items, width = draw(st.integers(1, 9)), draw(st.integers(1, 12)), draw(st.integers(1, 3))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    states = rng.integers(-2, 3, (users, width)).astype(np.float32)
    vectors = rng.integers(-2, 3, (items + 1, width)).astype(np.float32)
    targets = rng.integers(1, items + 1, users)
    histories = [rng.integers(1, items + 1, rng.integers(0, 5)).tolist() for _ in range(users)]
    return states, vectors, targets, histories


def padded(histories):
    width = max(map(len, histories), default=0)
    return torch.tensor([[0] * (width - len(h)) + list(h) for h in histories], dtype=torch.long).reshape(
        len(histories), -1
    )


def compressed(histories):
    offsets = torch.tensor([0, *np.cumsum([len(h) for h in histories])])
    return offsets, torch.tensor([item for h in histories for item in h], dtype=torch.int32)


def slow_ranks(states, vectors, targets, histories):
    """Sort each user's candidates from best to worst, the target last among equals, and look where it stands."""
    ranks = []
    for state, target, history in zip(states, targets, histories, strict=True):
        candidates = [item for item in range(1, len(vectors)) if item not in history]
        order = sorted(candidates, key=lambda item: (-float(state @ vectors[item]), item == target))
        ranks.append(order.index(target) + 1 if target in candidates else 0)
    return ranks


def fast_ranks(states, vectors, targets, histories, **options):
    return rank_targets(torch.tensor(states), torch.tensor(vectors), torch.tensor(targets), histories, **options)


@given(worlds())
@settings(max_examples=200)
def test_ranks_are_those_of_sorting(world):
    states, vectors, targets, histories = world
    expected = slow_ranks(*world)
    matrix = fast_ranks(states, vectors, targets, padded(histories))
    pairs = fast_ranks(states, vectors, targets, compressed(histories))
    assert matrix.dtype == torch.int32
    assert matrix.tolist() == expected
    assert pairs.tolist() == expected


@given(worlds(), st.integers(1, 12))
def test_ranks_do_not_depend_on_the_chunk(world, chunk):
    states, vectors, targets, histories = world
    whole = fast_ranks(states, vectors, targets, compressed(histories))
    assert fast_ranks(states, vectors, targets, compressed(histories), chunk=chunk).tolist() == whole.tolist()


@given(worlds(), st.randoms(use_true_random=False))
def test_ranks_do_not_depend_on_the_order_of_the_items(world, random):
    states, vectors, targets, histories = world
    order = list(range(1, len(vectors)))
    random.shuffle(order)
    place = dict(zip(order, range(1, len(vectors)), strict=True))  # item -> its new index
    moved = vectors[[0, *order]]
    there = [[place[item] for item in history] for history in histories]
    ranks = fast_ranks(states, moved, np.array([place[t] for t in targets]), compressed(there))
    assert ranks.tolist() == slow_ranks(*world)


@given(worlds())
def test_the_padding_vector_is_never_ranked(world):
    states, vectors, targets, histories = world
    other = vectors.copy()
    other[0] = 1e6
    ranks = [fast_ranks(states, v, targets, padded(histories)).tolist() for v in (vectors, other)]
    assert ranks[0] == ranks[1]


def test_a_target_counts_behind_every_item_of_its_score():
    vectors = np.ones((6, 2), dtype=np.float32)
    nothing = torch.zeros(1, 0, dtype=torch.long)
    assert fast_ranks(np.ones((1, 2), np.float32), vectors, np.array([3]), nothing).tolist() == [5]


def test_a_target_in_the_own_history_cannot_be_hit():
    vectors = np.array([[0], [3], [2], [1]], dtype=np.float32)
    ranks = fast_ranks(
        np.ones((3, 1), np.float32), vectors, np.array([1, 2, 2]), torch.tensor([[1, 0], [1, 3], [0, 0]])
    )
    assert ranks.tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["states", "vectors"])
def test_scores_that_are_not_finite_are_refused(value, where):
    states, vectors = torch.ones(5, 2), torch.ones(4, 2)
    {"states": states, "vectors": vectors}[where][3, 0] = value
    user = 3 if where == "states" else 0
    with pytest.raises(SanrecError, match=rf"user {user} are not finite.*learning rate"):
        rank_targets(states, vectors, torch.ones(5, dtype=torch.long), torch.zeros(5, 1, dtype=torch.long), chunk=2)


def test_overflow_of_finite_factors_is_refused():
    big = torch.full((2, 2), 1e30)
    with pytest.raises(SanrecError, match="not finite"):
        rank_targets(big[:1], big, torch.tensor([1]), torch.zeros(1, 1, dtype=torch.long))


def test_half_precision_is_scored_in_full():
    vectors = torch.tensor([[0.0, 0.0], [2048.0, 1.0], [2048.0, 0.0]], dtype=torch.float16)  # 2049 is no float16
    states = torch.ones(1, 2, dtype=torch.float16)
    assert rank_targets(states, vectors, torch.tensor([1]), torch.zeros(1, 1, dtype=torch.long)).tolist() == [1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": torch.tensor([0, 1])}, "target 0 is none of the items 1 to 3"),
        ({"targets": torch.tensor([1, 4])}, "target 4 is none of the items 1 to 3"),
        ({"targets": torch.tensor([1])}, "2 users, but 1 targets"),
        ({"histories": torch.tensor([[1], [9]])}, "item of a history 9 is none"),
        ({"histories": torch.tensor([[1]])}, "2 users, but 2 targets and 1 histories"),
        ({"histories": (torch.tensor([0, 2, 1]), torch.tensor([1]))}, "must rise"),
        ({"user_states": torch.ones(2, 5)}, "cannot score"),
        ({"item_vectors": torch.ones(1, 2)}, "cannot score"),
        ({"chunk": 0}, "from 1, not 0"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given_ = {
        "user_states": torch.ones(2, 2),
        "item_vectors": torch.ones(4, 2),
        "targets": torch.tensor([1, 2]),
        "histories": torch.tensor([[1], [2]]),
    }
    with pytest.raises(ValueError, match=message):
        rank_targets(**{**given_, **change})


def test_inputs_are_left_as_they_were():
    states, vectors = torch.randn(4, 3, requires_grad=True), torch.randn(6, 3, requires_grad=True)
    before = vectors.detach().clone()
    ranks = rank_targets(states, vectors, torch.tensor([1, 2, 3, 4]), torch.tensor([[5], [5], [5], [4]]))
    assert torch.equal(vectors, before)
    assert not ranks.requires_grad
    assert ranks[3] == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_many_ties_are_counted_whatever_the_scores_are_made_of(dtype, monkeypatch):
    """Half precision has no whole numbers beyond 256 or 2,048; float32 none beyond 2^24, so columns come in pieces."""
    monkeypatch.setattr(ranking, "EXACT_COUNT", 1000)
    items, ones = 3001, torch.arange(3)
    ranks = ranking.rank_scored(
        lambda first, last: torch.zeros(last - first, items, dtype=dtype), items, (ones, torch.tensor([7, 9])),
        (torch.tensor([0, 1, 1]), torch.tensor([3])),
    )  # fmt: skip
    assert ranks.tolist() == [items - 1, items]
