"""The paired t-test and Holm's correction on numbers worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanrec.evaluation.significance import PairedTest, holm, is_starred, mean_over_seeds, paired_t_test


def test_t_by_hand():
    # differences 1, 2, 3: mean 2, standard deviation 1, so t = 2 / (1 / sqrt 3) with 2 degrees of freedom, for which
    # the two-sided p is 1 - t / sqrt(t^2 + 2) in closed form
    found = paired_t_test([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    t = 2 * math.sqrt(3)
    assert found.difference == pytest.approx(2)
    assert found.t == pytest.approx(t)
    assert found.p == pytest.approx(1 - t / math.sqrt(t * t + 2))


def test_it_is_two_sided_and_the_sign_turns_with_the_sides():
    rng = np.random.default_rng(3)
    ours, other = rng.random((2, 50))
    one, back = paired_t_test(ours, other), paired_t_test(other, ours)
    assert one.p == pytest.approx(back.p)
    assert one.t == pytest.approx(-back.t)
    assert one.difference == pytest.approx(-back.difference)


def test_it_is_paired():
    # a small but steady gain over users of very different difficulty: invisible to an unpaired test
    rng = np.random.default_rng(5)
    other = rng.normal(0, 10, 200)
    ours = other + rng.normal(0.2, 0.1, 200)
    assert paired_t_test(ours, other).p < 1e-10
    assert paired_t_test(ours, rng.permutation(other)).p > 0.05


def test_identical_vectors_are_not_told_apart():
    same = np.array([0.0, 1.0, 0.5])
    assert paired_t_test(same, same.copy()) == PairedTest(0.0, 0.0, 1.0)
    assert not is_starred(paired_t_test(same, same))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_difference_that_is_the_same_for_all(sign):
    found = paired_t_test([sign * 0.5] * 4, [0.0] * 4)
    assert (found.t, found.p) == (sign * math.inf, 0.0)
    assert is_starred(found) == (sign > 0)


@pytest.mark.parametrize(
    ("ours", "other"),
    [([1.0], [2.0]), ([1.0, 2.0], [1.0]), ([math.nan, 1.0], [0.0, 1.0]), ([0.0, 1.0], [0.0, math.inf])],
)
def test_what_cannot_be_tested_is_refused(ours, other):
    with pytest.raises(ValueError, match="paired test"):
        paired_t_test(ours, other)


def test_holm_by_hand():
    # sorted .005 .01 .03 .04 -> times 4 3 2 1: .02 .03 .06 .04 -> never falling: .02 .03 .06 .06
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([0.2]).tolist() == [0.2]
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_against_its_definition(p):
    m = len(p)
    order = sorted(range(m), key=p.__getitem__)
    expected = [0.0] * m
    for i, place in enumerate(order):
        expected[place] = min(1.0, max((m - j) * p[order[j]] for j in range(i + 1)))
    np.testing.assert_allclose(holm(p), expected)


@pytest.mark.parametrize("p", [[-0.1], [1.1], [math.nan], [[0.1]]])
def test_holm_takes_probabilities_only(p):
    with pytest.raises(ValueError, match="p-values"):
        holm(p)


def test_a_star_is_for_the_better_one_only():
    assert is_starred(PairedTest(0.1, 3.0, 0.049))
    assert not is_starred(PairedTest(0.1, 2.0, 0.05))
    assert not is_starred(PairedTest(-0.1, -3.0, 0.001))


def test_seeds_are_averaged_user_by_user():
    assert mean_over_seeds([[1, 0, 1], [0, 0, 1]]).tolist() == [0.5, 0, 1]
    with pytest.raises(ValueError, match="one length"):
        mean_over_seeds([[1, 0], [1, 0, 1]])
