"""Coverage, novelty, popularity bias, exposure and parts of the catalogue: slow versions, values by hand, promises."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sanrec.evaluation.beyond_accuracy import PARTS, Lists, history_popularity, parts_by_popularity


@st.composite
def worlds(draw):
    """Users' lists, some empty, and their training parts, some empty; items that nobody has."""
    users, items = draw(st.integers(1, 8)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    histories = [rng.permutation(items)[: rng.integers(0, items)].tolist() for _ in range(users)]
    lists = [rng.permutation(items)[: rng.integers(0, items + 1)].tolist() for _ in range(users)]
    lists[0], histories[0] = [int(rng.integers(items))], [int(rng.integers(items))]
    return lists, histories, items


def matrix(lists):
    top = np.full((len(lists), max(map(len, lists))), -1)
    for row, some in zip(top, lists, strict=True):
        row[: len(some)] = some
    return top


def compressed(histories):
    flat = np.array([item for some in histories for item in some], np.int64)
    return flat, np.array([0, *np.cumsum([len(some) for some in histories])])


def fast(lists, histories, items):
    has = Counter(item for some in histories for item in set(some))
    holding = sum(bool(some) for some in histories)
    of = Lists(matrix(lists), [has[item] for item in range(items)], holding)
    return of.coverage(), of.novelty(), of.popularity(), of.lift(compressed(histories)), of.gini()


def slow(lists, histories, items):
    """The same, user by user and item by item."""
    holding = sum(bool(some) for some in histories)
    has = [sum(item in some for some in histories) for item in range(items)]
    filled = [some for some in lists if some]
    coverage = len({item for some in lists for item in some}) / items
    novelty = np.mean([np.mean([math.log2(holding / max(has[i], 1)) for i in some]) for some in filled])
    popularity = np.mean([np.mean([has[i] / holding for i in some]) for some in filled])
    both = [(shown, took) for shown, took in zip(lists, histories, strict=True) if shown and took]
    theirs = np.mean([np.mean([has[i] / holding for i in took]) for _, took in both])
    ours = np.mean([np.mean([has[i] / holding for i in shown]) for shown, _ in both])
    exposure = [sum(item in some for some in lists) for item in range(items)]
    # half the relative mean absolute difference of all pairs of distinct items
    differences = [abs(a - b) for x, a in enumerate(exposure) for y, b in enumerate(exposure) if x != y]
    gini = np.mean(differences) / (2 * np.mean(exposure))
    return coverage, novelty, popularity, (ours - theirs) / theirs, gini


@given(worlds())
@settings(max_examples=200)
def test_measures_are_those_of_a_slow_version(world):
    assert fast(*world) == pytest.approx(slow(*world))


@given(worlds(), st.randoms(use_true_random=False))
def test_neither_the_numbers_of_items_nor_the_order_of_users_matters(world, random):
    lists, histories, items = world
    place = list(range(items))
    random.shuffle(place)
    users = list(range(len(lists)))
    random.shuffle(users)
    moved = [[[place[item] for item in of[user]] for user in users] for of in (lists, histories)]
    assert fast(*moved, items) == pytest.approx(fast(*world))


@given(worlds())
def test_bounds(world):
    lists, _, items = world
    coverage, novelty, popularity, lift, gini = fast(*world)
    assert max(map(len, lists)) / items <= coverage <= 1
    assert novelty >= 0
    assert 0 <= popularity <= 1
    assert lift >= -1
    assert -1e-12 <= gini <= 1 + 1e-12


def test_values_by_hand():
    # Three of four users have item 0, one has 1 and one has 2; nobody has 3. A fifth has nothing.
    holders, holding = [3, 1, 1, 0], 4
    lists = Lists([[0, 1], [0, 3], [0, -1]], holders, holding)
    assert lists.coverage() == 3 / 4
    known, rare = math.log2(4 / 3), 2.0
    assert lists.novelty() == pytest.approx(
        ((known + rare) / 2 + (known + rare) / 2 + known) / 3
    )  # 3 counts as had once
    assert lists.popularity() == pytest.approx(((3 / 4 + 1 / 4) / 2 + (3 / 4) / 2 + 3 / 4) / 3)
    assert lists.gini() == pytest.approx((-3 * 0 - 1 * 1 + 1 * 1 + 3 * 3) / (3 * 5))
    histories = np.array([0, 1, 2]), np.array([0, 2, 3, 3])  # the third user took nothing, and does not count
    theirs, ours = (1 / 2 + 1 / 4) / 2, (1 / 2 + 3 / 8) / 2
    assert lists.lift(histories) == pytest.approx((ours - theirs) / theirs)


def test_novelty_is_that_of_rectools_documentation():
    """Its example: three users, one of whom has item 2 too and nobody item 3; the values are in its docstring."""
    lists = [[2], [1, 2], [0, 1]]
    each = [Lists([some], [3, 1, 0], 3).novelty() for some in lists]
    assert each == pytest.approx([1.5849625, 1.5849625, 0.79248125])


def test_exposure_that_is_even_or_of_one_item_alone():
    assert Lists([[0, 1], [2, 3]], [1] * 4, 2).gini() == 0
    assert Lists([[2], [2]], [1] * 4, 2).gini() == 1
    # of half the items evenly: (I - k) / (I - 1)
    assert Lists([[0, 1, 2]] * 5, [1] * 6, 2).gini() == pytest.approx(3 / 5)


def test_gini_is_that_of_scipys_relative_mean_difference():
    """For two samples of one exposure scipy's energy statistics give the mean absolute difference."""
    rng = np.random.default_rng(0)
    top = rng.choice(30, (200, 5), p=(p := 1 / np.arange(1, 31)) / p.sum())
    counts = np.bincount(top.ravel(), minlength=30)
    pairs = np.abs(counts[:, None] - counts).sum() / (30 * 29)
    lists = Lists(top, [1] * 30, 2)
    assert lists.gini() == pytest.approx(pairs / (2 * counts.mean()))
    assert stats.spearmanr(np.sort(counts), np.arange(30)).statistic > 0.9  # uneven enough to tell something


def test_recommending_what_everybody_takes_is_no_lift():
    lists = Lists([[0, 1], [1, 2]], [1, 2, 1], 2)
    assert lists.lift((np.array([0, 1, 1, 2]), np.array([0, 2, 4]))) == pytest.approx(0)


@pytest.mark.parametrize(
    ("top", "holders", "holding", "message"),
    [
        ([[3]], [1, 1, 1], 2, "0 to 2"),
        ([[-2, 1]], [1, 1, 1], 2, "0 to 2"),
        ([[-1]], [1, 1], 2, "no list that holds anything"),
        (np.zeros((0, 3), int), [1, 1], 2, "no list that holds anything"),
        ([[0]], [3, 1], 2, "0 to 2 users"),
        ([[0]], [-1, 1], 2, "0 to 2 users"),
    ],
)
def test_what_cannot_be_lists_is_refused(top, holders, holding, message):
    with pytest.raises(ValueError, match=message):
        Lists(top, holders, holding)


def test_what_is_not_defined_is_refused():
    lists = Lists([[0], [-1]], [1, 1], 1)
    with pytest.raises(ValueError, match="no user has a list and a history"):
        lists.lift((np.array([1]), np.array([0, 0, 1])))
    with pytest.raises(ValueError, match="of 2 users, but histories of 1"):
        lists.lift((np.array([1]), np.array([0, 1])))
    with pytest.raises(ValueError, match="but there are 2 items"):
        history_popularity((np.array([1, 0]), np.array([0, 1])), [1.0, 1.0])
    with pytest.raises(ValueError, match="one item alone"):
        Lists([[0]], [1], 1).gini()


# -- parts of the catalogue --------------------------------------------------------------------------------------------


def slow_parts(counts, head, tail):
    """Item by item: what share of all occurrences is of items that occur more often?"""
    parts = []
    for count in counts:
        more = sum(other for other in counts if other > count)
        if count == 0:
            parts.append("cold")
        elif more < head * sum(counts):
            parts.append("head")
        else:
            parts.append("tail" if more >= (1 - tail) * sum(counts) else "mid")
    return parts


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.sampled_from([(0.2, 0.2), (0.5, 0.5), (0.1, 0.4)]))
def test_parts_are_those_of_a_slow_version(counts, shares):
    assert parts_by_popularity(counts, *shares).tolist() == slow_parts(counts, *shares)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_parts_rise_with_the_count_and_equals_stay_together(counts):
    parts = parts_by_popularity(counts, 0.2, 0.2)
    ordered = [PARTS.index(part) for _, part in sorted(zip(counts, parts, strict=True), key=lambda pair: pair[0])]
    assert all(a <= b for a, b in pairwise(ordered))
    assert len(dict.fromkeys(zip(counts, parts, strict=True))) == len(set(counts))
    assert all((part == "cold") == (count == 0) for count, part in zip(counts, parts, strict=True))


def test_parts_by_hand():
    # 20 occurrences: 10 of the first, then 4, 3, 1, 1, 1; one never
    assert parts_by_popularity([10, 4, 3, 1, 1, 1, 0], 0.2, 0.2).tolist() == [
        "head", "mid", "mid", "tail", "tail", "tail", "cold"
    ]  # fmt: skip
    assert parts_by_popularity([2, 2, 2], 0.2, 0.2).tolist() == ["head"] * 3


@pytest.mark.parametrize("shares", [(0, 0.2), (0.2, 1), (0.6, 0.5)])
def test_shares_that_leave_nothing_are_refused(shares):
    with pytest.raises(ValueError, match="shares above 0"):
        parts_by_popularity([1, 2], *shares)
