"""Both estimators of mutual information on correlated Gaussians, whose information is known.

    python -m tests.benchmarks.information
    python -m tests.benchmarks.information --quick

Two kinds of pairs, each side of `dimension` columns:

    even      every coordinate of one side correlates with its partner by the same rho: what there is to find is spread
              over all directions, none of which stands out
    leading   the four strongest of the directions correlate so, the others, whose deviations fall as 1 / place, not at
              all; both sides are then rotated: nearer to what trained representations look like

The information is -1/2 sum log(1 - rho^2). Per line: mean, bias and standard deviation over seeds, the mean of the
standard errors that the estimator itself gave, and processor seconds per estimate, on one thread.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from sanrec.evaluation.donsker_varadhan import cross_fitted
from sanrec.evaluation.information import Information
from sanrec.evaluation.nearest_neighbours import nearest_neighbours

DIMENSIONS = (2, 4, 8, 16, 32, 64)
NATS = (0.01, 0.2, 1.0, 2.0)
LEADING = 4
# kind, items, dimensions, seeds
WHOLE = (
    ("even", 480, DIMENSIONS, 4),
    ("leading", 480, (16, 64), 4),
    ("even", 20_000, (2, 64), 2),
    ("leading", 20_000, (64,), 2),
    ("even", 5_000, DIMENSIONS, 2),
    ("leading", 5_000, (16, 64), 2),
)
QUICK = (("even", 480, (2, 16), 2), ("leading", 480, (16,), 2))
ESTIMATORS: dict[str, Callable[..., Information]] = {"eta-DV": cross_fitted, "KSG": nearest_neighbours}
Sides = tuple[NDArray[np.float64], NDArray[np.float64]]


def gaussians(kind: str, items: int, dimension: int, nats: float, seed: int) -> Sides:
    """Two sides [items, dimension] that share exactly `nats`."""
    rng = np.random.default_rng(seed)
    correlated = dimension if kind == "even" else min(LEADING, dimension)
    rho = np.where(np.arange(dimension) < correlated, np.sqrt(-np.expm1(-2 * nats / correlated)), 0)
    x, noise = rng.standard_normal((2, items, dimension))
    y = rho * x + np.sqrt(1 - rho**2) * noise
    if kind == "even":
        return x, y
    deviations = 1 / np.maximum(np.arange(dimension) - LEADING + 2, 1)
    rotations = (np.linalg.qr(rng.standard_normal((dimension, dimension)))[0] for _ in range(2))
    return tuple((side * deviations) @ rotation for side, rotation in zip((x, y), rotations, strict=True))


def lines(plan: tuple[tuple[str, int, tuple[int, ...], int], ...]) -> Iterator[str]:
    """The table, line by line, as markdown."""
    headings = ("pairs", "items", "dimension", "truth", "estimator", "mean", "bias", "spread", "own error", "seconds")
    yield f"| {' | '.join(headings)} |"
    yield "|---" * len(headings) + "|"
    for kind, items, dimensions, seeds in plan:
        for dimension in dimensions:
            for nats in NATS:
                for name, estimator in ESTIMATORS.items():
                    found, seconds = [], []
                    for seed in range(seeds):
                        sides = gaussians(kind, items, dimension, nats, seed)
                        started = time.process_time()
                        found.append(estimator(*sides, seed=seed))
                        seconds.append(time.process_time() - started)
                    values, errors = np.array([(information.value, information.spread) for information in found]).T
                    numbers = f"{values.mean():.3f} | {values.mean() - nats:+.3f} | {values.std(ddof=1):.3f}"
                    own = f"{errors.mean():.3f} | {np.mean(seconds):.1f}"
                    yield f"| {kind} | {items} | {dimension} | {nats:g} | {name} | {numbers} | {own} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small part of the table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for line in lines(QUICK if arguments.quick else WHOLE):
        print(line, flush=True)
