"""The lists of best items against a version that sorts, and against the ranks that are counted beside them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sanrec.evaluation import top_lists
from sanrec.evaluation.ranking import rank_scored, rank_targets
from sanrec.evaluation.top_lists import TopLists, best_items


@st.composite
def worlds(draw):
    """Scores in few whole numbers, so that ties are many; targets and histories, which may hold nearly everything."""
    users, items = draw(st.integers(1, 7)), draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.integers(0, draw(st.integers(1, 12)), (users, items)).astype(np.float32)
    targets = [rng.permutation(items)[: rng.integers(0, 4)] + 1 for _ in range(users)]
    histories = [rng.integers(1, items + 1, rng.integers(0, 2 * items)) for _ in range(users)]
    return scores, targets, histories


def listed(lists):
    flat = np.concatenate([np.zeros(0, np.int64), *lists])
    return torch.tensor([0, *np.cumsum([len(part) for part in lists])]), torch.tensor(flat, dtype=torch.int64)


def lists_of(scores, targets, histories, length, **options):
    """The ranks of all targets, and the lists of all users, of one and the same pass."""
    top = TopLists(length)

    def score(first, last):
        return torch.tensor(scores[first:last])

    ranks = rank_scored(score, scores.shape[1], listed(targets), listed(histories), see=top.see, **options)
    return ranks.tolist(), top.items


def slow_lists(scores, histories, length):
    """Sort what may be shown from best to worst, equals by their number, and fill up with zeros."""
    lists = []
    for row, history in zip(scores, histories, strict=True):
        shown = [item for item in range(1, len(row) + 1) if item not in history]
        best = sorted(shown, key=lambda item: (-row[item - 1], item))[:length]
        lists.append(best + [0] * (length - len(best)))
    return lists


@given(worlds(), st.integers(1, 25), st.integers(1, 8))
@settings(max_examples=200)
def test_lists_are_those_of_sorting_whatever_the_chunk(world, length, chunk):
    scores, _, histories = world
    _, lists = lists_of(*world, length, chunk=chunk)
    assert lists.dtype == np.int32
    assert lists.tolist() == slow_lists(scores, histories, length)


@given(worlds(), st.integers(1, 25))
@settings(max_examples=200)
def test_an_item_stands_at_the_place_of_its_rank(world, length):
    """Where nothing ties with it; and else at a better one, since a target counts behind every item of its score."""
    scores, targets, histories = world
    ranks, lists = lists_of(*world, length)
    place = 0
    for row, wanted, history, best in zip(scores, targets, histories, lists.tolist(), strict=True):
        may = [item for item in range(1, len(row) + 1) if item not in history]
        own = ranks[place : place + len(wanted)]
        place += len(wanted)
        for item, rank in zip(wanted.tolist(), own, strict=True):
            tied = [other for other in may if other != item and row[other - 1] == row[item - 1]]
            if rank == 0:
                assert item not in best
            elif not tied:
                assert (best.index(item) + 1 if item in best else None) == (rank if rank <= length else None)
            elif rank <= length and not set(tied) & set(wanted.tolist()):
                assert best.index(item) < rank
        # so whoever is hit by rank is hit in the list, with several targets too
        assert len(set(best) & set(wanted.tolist())) >= sum(1 <= rank <= length for rank in own)


@given(worlds())
def test_watching_changes_no_rank(world):
    scores, targets, histories = world
    watched, _ = lists_of(*world, 5)
    alone = rank_scored(lambda a, b: torch.tensor(scores[a:b]), scores.shape[1], listed(targets), listed(histories))
    assert alone.tolist() == watched


def test_many_ties_are_looked_up_in_pieces_and_need_no_order(monkeypatch):
    """All items score the same for all users: the first ones not masked are taken."""
    monkeypatch.setattr(top_lists, "AT_ONCE", 3000)
    scores = torch.zeros(50, 1000)
    scores[:, 2] = -torch.inf
    assert best_items(scores, 4).tolist() == [[1, 2, 4, 5]] * 50
    assert scores[0, :4].tolist() == [0, 0, -torch.inf, 0]  # left as they were


def test_a_score_without_a_rival_is_not_looked_up(monkeypatch):
    monkeypatch.setattr(top_lists, "_lowest_of_equals", lambda *_: pytest.fail("nothing ties"))
    scores = torch.randn(20, 100, generator=torch.Generator().manual_seed(0))
    scores[3, 5:] = -torch.inf  # what is masked does not tie
    expected = scores.sort(dim=1, descending=True).indices[:, :6] + 1
    expected[3, 5:] = 0
    assert best_items(scores, 6).tolist() == expected.tolist()


def test_lists_go_with_vectors_too_and_of_nobody_there_are_none():
    top = TopLists(2)
    states, vectors = torch.ones(2, 1), torch.tensor([[9.0], [1.0], [3.0], [2.0]])
    rank_targets(states, vectors, torch.tensor([1, 1]), torch.tensor([[2, 0], [0, 0]]), see=top.see)
    assert top.items.tolist() == [[3, 1], [2, 3]]
    assert TopLists(4).items.shape == (0, 4)
