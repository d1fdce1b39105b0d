"""What both estimators read of a representation."""

import numpy as np
import pytest

from sanrec.evaluation.information import prepared, principal_components


def table(items=200, columns=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((items, columns)) @ rng.standard_normal((columns, columns)) + 7


def test_components_are_uncorrelated_strongest_first_and_of_unit_spread():
    found = principal_components(table(), 64)
    assert found.shape == (200, 5)
    assert found.std() == pytest.approx(1)
    spreads = found.std(0)
    assert (np.diff(spreads) < 0).all()  # they keep their relative sizes
    np.testing.assert_allclose(found.T @ found / 200, np.diag(spreads**2), atol=1e-10)


def test_the_leading_ones_are_kept_and_nothing_hangs_on_units():
    values = table()
    whole, first = principal_components(values, 5), principal_components(values, 2)
    np.testing.assert_allclose(first, whole[:, :2] / whole[:, :2].std(), atol=1e-10)
    np.testing.assert_allclose(principal_components(values * [1e-4, 2, 30, 4e5, 1] - 3, 2), first, atol=1e-6)


def test_constant_columns_are_left_out_also_where_rounding_stirs_them():
    values = table().astype(np.float32)
    stirred = np.float32(1000) + np.random.default_rng(1).choice([0, 6e-5], (200, 1)).astype(np.float32)
    assert np.ptp(stirred) > 0
    beside = np.hstack([values, stirred, np.zeros((200, 1), np.float32)])
    np.testing.assert_allclose(principal_components(beside, 9), principal_components(values, 9), atol=1e-10)
    assert principal_components(stirred, 9).shape == (200, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_finite_table_is_refused(bad):
    values = table()
    values[3, 1] = bad
    with pytest.raises(ValueError, match="finite"):
        principal_components(values, 3)
    with pytest.raises(ValueError, match="items x columns"):
        principal_components(values[:, 0], 3)


def test_a_sample_takes_the_same_items_on_both_sides():
    x = np.arange(90.0)[:, None]
    one, other = prepared(x, x, most=1, fewest_items=10, most_items=30, seed=4)
    assert one.shape == (30, 1)
    np.testing.assert_array_equal(one, other)
    again, _ = prepared(x, x, most=1, fewest_items=10, most_items=30, seed=5)
    assert not np.array_equal(one, again)


def test_sides_of_other_items_or_too_few_are_refused():
    with pytest.raises(ValueError, match="the same items, not 200 and 199"):
        prepared(table(), table()[1:], 3, 10, 1000, 0)
    with pytest.raises(ValueError, match="at least 10 items, not 9"):
        prepared(table()[:9], table()[:9], 3, 10, 1000, 0)
