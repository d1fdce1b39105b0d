"""The eta-DV bound: the formula itself, its two fitted numbers, and the estimate on Gaussians of known information."""

import math

import numpy as np
import pytest
import torch

from sanrec.evaluation import donsker_varadhan
from sanrec.evaluation.donsker_varadhan import Critic, EtaDV, best_scale, cross_fitted, eta_dv
from sanrec.evaluation.information import Information

QUICK = EtaDV(folds=3, width=16, rank=8, learning_rate=4e-3, patience=8, most_steps=200)


def gaussians(items, rho, seed=0):
    """Two sides [items, d], coordinate j of one correlated with that of the other by rho[j]."""
    rho = np.asarray(rho)
    x, noise = np.random.default_rng(seed).standard_normal((2, items, len(rho)))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


def known(rho):
    return -0.5 * np.log1p(-np.square(rho)).sum()


def log_ratio(x, y, rho):
    """The logarithm of p(x, y) / p(x) p(y) of one pair of items, from the densities of the bivariate normal."""
    total = 0.0
    for a, b, r in zip(x, y, rho, strict=True):
        joint = -(a * a - 2 * r * a * b + b * b) / (2 * (1 - r * r)) - 0.5 * math.log(1 - r * r)
        total += joint + (a * a + b * b) / 2
    return total


def slow_bound(f, eta):
    """The formula word for word: a mean over pairs of one item, and one over ordered pairs of two."""
    n = len(f)
    joint = [f[i][i] for i in range(n)]
    product = [math.exp(f[i][j]) for i in range(n) for j in range(n) if i != j]
    return sum(joint) / n - math.exp(-eta) * sum(product) / len(product) - eta + 1


@pytest.mark.parametrize("eta", [-0.7, 0.0, 1.3])
def test_the_bound_is_the_formula(eta):
    f = torch.randn(7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(eta_dv(f, eta)) == pytest.approx(slow_bound(f.tolist(), eta))


def test_at_the_true_ratio_the_bound_is_the_true_information():
    rho = [0.6, -0.4, 0.2]
    x, y = gaussians(400, rho)
    f = torch.tensor([[log_ratio(a, b, rho) for b in y] for a in x])
    error = float(f.diagonal().std()) / math.sqrt(400)
    assert error < 0.04
    assert float(eta_dv(f, 0.0)) == pytest.approx(known(rho), abs=3 * error)
    shifted = float(eta_dv(f + 2, 2.0))  # a constant in f is taken up by eta
    assert shifted == pytest.approx(float(eta_dv(f, 0.0)))
    assert float(eta_dv(f + 2, 0.0)) < shifted - 1
    assert float(eta_dv(0.5 * f, 0.0)) < shifted


def test_eta_at_the_optimum_is_the_logarithm_of_the_mean_ratio():
    f = torch.randn(40, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    eta = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([eta], lr=0.2)
    for _ in range(400):
        optimizer.zero_grad()
        (-eta_dv(f, eta)).backward()
        optimizer.step()
    eta = eta.detach()
    product = f[~torch.eye(40, dtype=torch.bool)]
    expected = math.log(product.exp().mean())
    assert float(eta) == pytest.approx(expected)
    plain = float(f.diagonal().mean()) - expected  # Donsker and Varadhan's own form
    assert float(eta_dv(f, eta)) == pytest.approx(plain)


def test_the_scale_is_the_best_of_a_grid_and_eta_fits_it():
    generator = torch.Generator().manual_seed(2)
    f = 3 * torch.randn(60, 60, generator=generator, dtype=torch.float64) + 2 * torch.eye(60)
    scale, eta, value = best_scale(f)
    product = f[~torch.eye(60, dtype=torch.bool)]
    grid = np.linspace(0, 1, 1001)
    values = [s * float(f.diagonal().mean()) - math.log((s * product).exp().mean()) for s in grid]
    assert 0.01 < scale < 0.99
    assert scale == pytest.approx(grid[np.argmax(values)], abs=2e-3)
    assert value == pytest.approx(max(values), abs=1e-5)
    assert float(eta_dv(scale * f, eta)) == pytest.approx(value)


def test_the_scale_only_takes_back():
    f = torch.randn(60, 60, generator=torch.Generator().manual_seed(3)) * 0.1
    assert best_scale(f + 5 * torch.eye(60))[0] == 1
    scale, _, value = best_scale(f - 5 * torch.eye(60))  # a critic that is wrong about every item says nothing
    assert scale < 2e-3
    assert value == pytest.approx(0, abs=0.01)


def test_the_critic_starts_at_zero_and_gives_every_pair_its_own_value():
    torch.manual_seed(0)
    critic = Critic(3, 2, width=4, rank=5, limit=2.0)
    x, y = torch.randn(6, 3), torch.randn(6, 2)
    assert not critic(x, y).any()
    for parameter in critic.parameters():
        torch.nn.init.normal_(parameter, std=2)
    with torch.no_grad():
        f = critic(x, y)
        one_by_one = [[float(critic(x[i : i + 1], y[j : j + 1])) for j in range(6)] for i in range(6)]
    torch.testing.assert_close(f, torch.tensor(one_by_one))
    assert 1.9 < f.abs().max() <= 2.0
    assert f.diff(dim=0).diff(dim=1).abs().max() > 0.1  # more than a(x) + b(y)


@pytest.mark.parametrize("rho", [[0.75], [0.7, 0.7], [0.6, 0.4, 0.3, 0.1]])
def test_gaussians_of_known_information(rho):
    found = cross_fitted(*gaussians(900, rho), QUICK)
    assert found.items == 900
    assert found.components == (len(rho), len(rho))
    assert 0 < found.spread < 0.08
    assert found.value == pytest.approx(known(rho), abs=0.12)
    assert found.value < known(rho) + 2 * found.spread  # a bound from below


def test_dependence_without_correlation_is_found():
    x, noise = np.random.default_rng(0).standard_normal((2, 600, 1))
    y = x**2 + 0.3 * noise
    assert abs(np.corrcoef(x.T, y.T)[0, 1]) < 0.15
    assert cross_fitted(x, y, QUICK).value > 0.4


def test_the_value_grows_with_the_correlation():
    values = [cross_fitted(*gaussians(300, [rho, rho]), QUICK).value for rho in (0.0, 0.5, 0.8)]
    assert values[0] == pytest.approx(0, abs=0.05)
    assert (np.diff(values) > 0.1).all()


def test_what_was_learned_by_heart_does_not_count():
    x, y = np.random.default_rng(0).standard_normal((2, 120, 40))  # independent, and few beside their columns
    assert cross_fitted(x, y, QUICK).value < 0.05


def test_columns_may_have_any_scale_and_origin():
    x, y = gaussians(300, [0.8, 0.5, 0.0])
    plain = cross_fitted(x, y, QUICK)
    scaled = cross_fitted(x * [1e-3, 40, 7] + 5, y * [300, 0.2, 1e4] - 1, QUICK)
    assert scaled.value == pytest.approx(plain.value, abs=0.03)
    assert plain.value > 0.3


def test_each_item_is_read_once_by_a_critic_that_never_met_it(monkeypatch):
    seen = []

    def note(x, y, parts, recipe, seed):
        seen.append([part.tolist() for part in parts])
        return 1.0 + seed

    monkeypatch.setattr(donsker_varadhan, "fold_value", note)
    found = cross_fitted(*gaussians(53, [0.5]), EtaDV(stop_items=7))
    assert sorted(item for _, _, read in seen for item in read) == list(range(53))
    for train, decide, read in seen:
        assert len(decide) == 7
        assert sorted(train + decide + read) == list(range(53))
    assert found == Information(3.0, pytest.approx(math.sqrt(2.5 / 5)), 53, (1, 1))  # of 1, 2, 3, 4, 5


def test_the_same_seed_gives_the_same_bits_and_leaves_the_callers_generator_alone():
    sides, recipe = gaussians(150, [0.7, 0.2]), EtaDV(folds=3, most_steps=40)
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first = cross_fitted(*sides, recipe, seed=3)
    assert torch.equal(torch.rand(3), expected)
    assert cross_fitted(*sides, recipe, seed=3) == first
    assert cross_fitted(*sides, recipe, seed=4).value != first.value


@pytest.mark.parametrize("collapsed", [np.zeros((60, 4)), np.full((60, 4), 3.3), np.tile([1.0, 2.0], (60, 1))])
def test_a_side_that_is_the_same_for_all_items_tells_nothing(collapsed):
    x, _ = gaussians(60, [0.5, 0.5])
    assert cross_fitted(x, collapsed, QUICK) == Information(0.0, 0.0, 60, (2, 0))
    assert cross_fitted(collapsed, x, QUICK) == Information(0.0, 0.0, 60, (0, 2))


def test_too_few_items_are_refused_and_the_fewest_give_a_number():
    with pytest.raises(ValueError, match="at least 20 items, not 19"):
        cross_fitted(*gaussians(19, [0.5]))
    assert math.isfinite(cross_fitted(*gaussians(20, [0.5]), EtaDV(most_steps=20)).value)


def test_no_more_items_are_read_than_asked_for():
    found = cross_fitted(*gaussians(300, [0.9]), EtaDV(folds=3, most_items=90, most_steps=20))
    assert found.items == 90
