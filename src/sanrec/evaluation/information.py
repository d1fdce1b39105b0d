"""What the estimators of mutual information share: their result, and how representations are made comparable.

Mutual information does not change when either side passes an invertible map, but estimates from finitely many items do.
Both estimators therefore read the same thing: standardised columns, turned onto their principal components, of which
the leading ones are kept. Each side is prepared without a look at the other, so this can lose information, never add.

Shapes: I items, D columns of a representation, d components kept.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA

ROUNDING = 1e-6  # a column that varies by no more than this part of its size varies by float32's rounding alone


@dataclass(frozen=True)
class Information:
    """An estimate of mutual information, `value` in nats, with its standard error.

    `items` were read, each side through so many `components`; with none, a side is the same for all items and the
    value is 0, exactly.
    """

    value: float
    spread: float
    items: int
    components: tuple[int, int]


def principal_components(values_ID: ArrayLike, most: int) -> NDArray[np.float64]:
    """The leading principal components [I, d] of standardised columns, d at most `most`, as one block of unit spread.

    Constant columns are left out; d is 0 where all are. Components keep their relative sizes: to whiten them would
    raise what is mostly noise to the size of what is mostly signal. Raises ValueError for what is no finite table.
    """
    values = np.asarray(values_ID, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(f"a representation is a table of finite numbers, items x columns, not of shape {values.shape}")
    values = values[:, values.std(0) > ROUNDING * np.abs(values).max(0, initial=0)]
    most = min(most, values.shape[1], len(values) - 1)
    if most < 1:
        return np.empty((len(values), 0))
    standardised = (values - values.mean(0)) / values.std(0)
    components = PCA(most, svd_solver="covariance_eigh").fit_transform(standardised)
    return components / components.std()


def prepared(
    x_ID: ArrayLike, y_ID: ArrayLike, most: int, fewest_items: int, most_items: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both sides' components, of the same items: all, or a random `most_items` of them.

    Raises ValueError for sides of different length, or fewer than `fewest_items`.
    """
    if len(x_ID) != len(y_ID):
        raise ValueError(f"both sides describe the same items, not {len(x_ID)} and {len(y_ID)}")
    if len(x_ID) < fewest_items:
        raise ValueError(f"mutual information is estimated from at least {fewest_items} items, not {len(x_ID)}")
    x, y = np.asarray(x_ID), np.asarray(y_ID)
    if len(x) > most_items:
        chosen = np.sort(np.random.default_rng(seed).choice(len(x), most_items, replace=False))
        x, y = x[chosen], y[chosen]
    return principal_components(x, most), principal_components(y, most)
