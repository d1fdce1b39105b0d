"""Whether one system is better than another beyond chance: paired t-test over users, Holm's correction.

Both papers mark improvements by a paired t-test at the level of 0.05 (CROSSAN, caption of Table 3; IISAN-Versa,
caption of Table III). The test here is two-sided, so a star asks for both: the better mean and p below the level.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

LEVEL = 0.05


@dataclass(frozen=True)
class PairedTest:
    """A paired two-sided t-test over users: the mean difference (ours - other), its t and its p."""

    difference: float
    t: float
    p: float


def mean_over_seeds(values: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Average a metric [seeds, U] over seeds, user by user, to [U]. Raises ValueError where lengths differ."""
    lengths = {np.shape(value) for value in values}
    if len(lengths) != 1:
        raise ValueError(f"one vector per seed, all of one length, not of shapes {sorted(lengths)}")
    return np.mean(np.asarray(values, dtype=np.float64), axis=0)


def paired_t_test(ours: ArrayLike, other: ArrayLike) -> PairedTest:
    """Test two systems' values [U] of the same users in the same order.

    Where no user differs there is nothing to tell the two apart: t is 0 and p is 1 (the formula gives 0 / 0).
    Raises ValueError for lengths that differ, for fewer than two users, and for values that are not finite.
    """
    ours, other = np.asarray(ours, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if ours.shape != other.shape or ours.ndim != 1 or len(ours) < 2:
        raise ValueError(f"a paired test takes two vectors over the same users, not {ours.shape} and {other.shape}")
    if not (np.isfinite(ours).all() and np.isfinite(other).all()):
        raise ValueError("a paired test takes finite values only")
    difference = ours - other
    if not difference.any():
        return PairedTest(0.0, 0.0, 1.0)
    mean = float(difference.mean())
    if np.ptp(difference) == 0:  # every user differs by the same: no variance, which scipy warns of
        return PairedTest(mean, float(np.copysign(np.inf, mean)), 0.0)
    result = stats.ttest_rel(ours, other)
    return PairedTest(mean, float(result.statistic), float(result.pvalue))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down correction for m tests, in the order given.

    The i-th smallest p becomes the largest of (m - j + 1) p_j over j <= i, at most 1 (Holm 1979, Scand. J. Stat. 6).
    Raises ValueError for what is no probability.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values are between 0 and 1, not {p_values}")
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def is_starred(test: PairedTest, level: float = LEVEL) -> bool:
    """Whether ours is the better one, and significantly so: the papers' star."""
    return test.difference > 0 and test.p < level
