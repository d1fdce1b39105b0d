"""Mutual information by nearest neighbours: estimator 1 of Kraskov, Stögbauer and Grassberger (Phys. Rev. E 69, 2004).

Nothing is trained and nothing held out. With e_i the distance from item i to its k-th neighbour in both sides
together (the larger of the two sides' distances, each in the maximum norm), and n_x(i), n_y(i) the other items strictly
nearer than e_i on one side,

    I = psi(k) + psi(N) - < psi(n_x + 1) + psi(n_y + 1) >

(Eq. 8). Its error grows with the dimension, hence the few leading principal components that it reads.

Shapes: I items, D columns, d components.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma
from sklearn.neighbors import KDTree, NearestNeighbors

from sanrec.evaluation.information import Information, prepared

JITTER = 1e-10  # breaks ties, which the formula does not know; the sides have unit spread
PARTS = 4


@dataclass(frozen=True)
class Neighbours:
    """How neighbours are counted."""

    components: int = 8
    """Principal components per side, at most."""
    neighbours: int = 3
    """k: small is less biased, large less noisy."""
    most_items: int = 20_000
    """A random sample of this size is read where there are more items."""

    @property
    def fewest_items(self) -> int:
        """The spread needs k neighbours in each of its parts."""
        return PARTS * (self.neighbours + 2)


def kraskov(x_Id: NDArray[np.float64], y_Id: NDArray[np.float64], k: int) -> float:
    """Eq. 8, in nats, for two tables of the same items without ties."""
    both = np.hstack([x_Id, y_Id])
    distances, _ = NearestNeighbors(n_neighbors=k, metric="chebyshev").fit(both).kneighbors()
    below = np.nextafter(distances[:, -1], 0)  # "strictly nearer", from a tree that counts what is as near
    # the counts hold the item itself: they are n + 1
    counts = [KDTree(side, metric="chebyshev").query_radius(side, below, count_only=True) for side in (x_Id, y_Id)]
    return float(digamma(k) + digamma(len(both)) - sum(digamma(count).mean() for count in counts))


def nearest_neighbours(
    x_ID: ArrayLike, y_ID: ArrayLike, recipe: Neighbours | None = None, seed: int = 0
) -> Information:
    """Mutual information of the leading principal components of two representations [I, D] of the same items.

    The spread is the standard error after Holmes and Nemenman (Phys. Rev. E 100, 2019): the variance is taken to fall
    as 1 / N, so that over disjoint parts tells it. Items that are alike on a side are told apart by a random
    number far below every distance: as many as are alike on both sides count as one value that the sides share.
    Raises ValueError for arrays that do not fit together, are not finite, or have too few items.
    """
    recipe = recipe or Neighbours()
    x, y = prepared(x_ID, y_ID, recipe.components, recipe.fewest_items, recipe.most_items, seed)
    widths = (x.shape[1], y.shape[1])
    if not all(widths):
        return Information(0.0, 0.0, len(x), widths)
    rng = np.random.default_rng(seed)
    x, y = (side + JITTER * rng.standard_normal(side.shape) for side in (x, y))
    parts = np.array_split(rng.permutation(len(x)), PARTS)
    of_parts = [kraskov(x[part], y[part], recipe.neighbours) for part in parts]
    spread = float(np.std(of_parts, ddof=1) / PARTS**0.5)
    return Information(kraskov(x, y, recipe.neighbours), spread, len(x), widths)
