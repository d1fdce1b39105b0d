"""Kraskov's estimator: the formula, scikit-learn's in one dimension, Gaussians of known information, and ties."""

import math

import numpy as np
import pytest
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_regression

from sanrec.evaluation.information import Information
from sanrec.evaluation.nearest_neighbours import Neighbours, kraskov, nearest_neighbours


def gaussians(items, rho, seed=0):
    """Two sides [items, d], coordinate j of one correlated with that of the other by rho[j]."""
    rho = np.asarray(rho)
    x, noise = np.random.default_rng(seed).standard_normal((2, items, len(rho)))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


def known(rho):
    return -0.5 * np.log1p(-np.square(rho)).sum()


def slow_kraskov(x, y, k):
    """Estimator 1 word for word."""
    n, total = len(x), 0.0
    for i in range(n):
        dx = [max(abs(x[i] - x[j])) for j in range(n) if j != i]
        dy = [max(abs(y[i] - y[j])) for j in range(n) if j != i]
        distance = sorted(max(pair) for pair in zip(dx, dy, strict=True))[k - 1]
        total += digamma(sum(d < distance for d in dx) + 1) + digamma(sum(d < distance for d in dy) + 1)
    return digamma(k) + digamma(n) - total / n


@pytest.mark.parametrize("k", [1, 3, 5])
def test_it_is_the_formula(k):
    x, y = gaussians(80, [0.8, -0.3])
    assert kraskov(x, y[:, :1], k) == pytest.approx(slow_kraskov(x, y[:, :1], k))


@pytest.mark.parametrize("k", [3, 6])
@pytest.mark.parametrize("rho", [0.3, 0.6, 0.95])
def test_in_one_dimension_it_is_scikit_learns(rho, k):
    x, y = gaussians(700, [rho], seed=2)
    expected = mutual_info_regression(x, y[:, 0], n_neighbors=k, random_state=0)[0]
    assert expected > 0.02
    assert nearest_neighbours(4 * x, y - 3, Neighbours(neighbours=k)).value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("rho", [[0.75], [0.7, 0.7], [0.6, 0.4, 0.3]])
def test_gaussians_of_known_information(rho):
    found = nearest_neighbours(*gaussians(2000, rho))
    assert found.components == (len(rho), len(rho))
    assert found.value == pytest.approx(known(rho), abs=0.08)


def test_independence_gives_nothing_and_the_value_grows_with_the_correlation():
    values = [nearest_neighbours(*gaussians(800, [rho, rho])).value for rho in (0.0, 0.4, 0.7, 0.9)]
    assert values[0] == pytest.approx(0, abs=0.06)
    assert (np.diff(values) > 0.1).all()


def test_columns_may_have_any_scale_and_origin():
    x, y = gaussians(500, [0.8, 0.5, 0.0])
    scaled = nearest_neighbours(x * [1e-3, 40, 7] + 5, y * [300, 0.2, 1e4] - 1)
    assert scaled.value == pytest.approx(nearest_neighbours(x, y).value, abs=1e-6)


def test_the_leading_components_are_read():
    rng = np.random.default_rng(0)
    x, y = gaussians(1000, [0.9], seed=1)
    wide = [np.hstack([np.repeat(side, 6, axis=1), rng.standard_normal((1000, 3))]) for side in (x, y)]
    found = nearest_neighbours(*wide, Neighbours(components=1))
    assert found.components == (1, 1)
    assert found.value == pytest.approx(known([0.9]), abs=0.1)
    assert nearest_neighbours(*wide).components == (8, 8)


def test_ties_are_the_information_that_the_values_share():
    symbols = np.random.default_rng(0).integers(0, 4, 800)[:, None].astype(float)
    assert nearest_neighbours(symbols, -symbols).value == pytest.approx(math.log(4), abs=0.05)
    others = np.random.default_rng(1).integers(0, 4, 800)[:, None].astype(float)
    assert nearest_neighbours(symbols, others).value == pytest.approx(0, abs=0.08)


def test_the_standard_error_is_that_over_samples():
    found = [nearest_neighbours(*gaussians(400, [0.7, 0.5], seed)) for seed in range(40)]
    spread = np.std([information.value for information in found], ddof=1)
    assert np.mean([information.spread for information in found]) == pytest.approx(spread, rel=0.4)


def test_the_same_seed_gives_the_same_bits():
    sides = gaussians(100, [0.5])
    assert nearest_neighbours(*sides, seed=1) == nearest_neighbours(*sides, seed=1)


def test_a_side_that_is_the_same_for_all_items_tells_nothing():
    x, _ = gaussians(60, [0.5, 0.5])
    assert nearest_neighbours(x, np.full((60, 4), 3.3)) == Information(0.0, 0.0, 60, (2, 0))


def test_too_few_items_are_refused_and_the_fewest_give_a_number():
    with pytest.raises(ValueError, match="at least 20 items, not 19"):
        nearest_neighbours(*gaussians(19, [0.5]))
    assert math.isfinite(nearest_neighbours(*gaussians(20, [0.5])).value)
