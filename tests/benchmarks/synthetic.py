"""Random users, tokens and pixels of MicroLens-100K's shapes, and the real users of a published file of pairs."""

from pathlib import Path
from typing import Any

import numpy as np

from sanrec.data.interactions import cut
from sanrec.data.layouts import read_pairs
from sanrec.data.split import Sequences

SHORTEST, LONGEST = 5, 13  # what is kept of a user's history
MEAN_LENGTH = 719_405 / 100_000  # interactions over users of MicroLens-100K
FAR = 2000  # where a power law's tail is cut
POPULARITY_SHIFT, POPULARITY_POWER = 100, 0.8
TOKENS_OF_BERT, FEWEST_TOKENS = 30_522, 8


def synthetic_sequences(users: int, items: int, seed: int = 0) -> Sequences:
    """Users with MicroLens-100K's lengths (see `lengths`), each item drawn by popularity.

    The k-th most popular item has a share of about (k + 100)^-0.8, near what MicroLens-50K shows: there 512 users bring
    2,143 different items into a step. Items are drawn with replacement; a user hardly ever meets one twice.
    """
    rng = np.random.default_rng(seed)
    counts = rng.permutation(lengths(users))
    weights = (np.arange(1, items + 1) + POPULARITY_SHIFT) ** -POPULARITY_POWER
    ranks = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(counts.sum()), side="right")
    drawn = rng.permutation(items)[np.minimum(ranks, items - 1)] + 1
    offsets = np.concatenate([[0], np.cumsum(counts)])
    rows = np.arange(-1, items, dtype=np.int32)
    return Sequences(drawn.astype(np.int32), offsets, np.arange(users).astype(str), rows)


def real_sequences(pairs: Path) -> Sequences:
    """The users of a file of pairs as the protocol keeps them; items are numbered as they stand in the file."""
    read = read_pairs(pairs)
    users, positions, offsets = cut(read.offsets, SHORTEST, LONGEST)
    kept, items = np.unique(read.items[positions], return_inverse=True)
    names = read.users.to_numpy(zero_copy_only=False)[users]
    return Sequences((items + 1).astype(np.int32), offsets, names, np.arange(-1, len(kept), dtype=np.int32))


def lengths(users: int) -> np.ndarray:
    """Lengths [users] from 5 to 13 whose mean is MicroLens-100K's, 7.19405: 719,405 interactions of 100,000 users.

    Whole histories fall off as a power of their length, and those of 13 and more are cut to 13. The power follows from
    the mean: 3.26 here. Fitted so to MicroLens-50K (mean 6.79, power 3.69), no length's share is off by more than .7
    points: .413 of the users have 5 and .065 have 13, of the real ones .407 and .062.
    """
    low, high = 1.5, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _shares(middle) @ np.arange(SHORTEST, LONGEST + 1) > MEAN_LENGTH else (low, middle)
        )
    places = (np.arange(users) + 0.5) / users
    counts = SHORTEST + np.searchsorted(np.cumsum(_shares(low)), places).clip(0, LONGEST - SHORTEST)
    off = round(users * MEAN_LENGTH) - counts.sum()  # what rounding left over
    change = np.flatnonzero(counts == (SHORTEST if off > 0 else SHORTEST + 1))[: abs(off)]
    counts[change] += np.sign(off)
    return counts


def _shares(power: float) -> np.ndarray:
    shares = np.arange(SHORTEST, FAR, dtype=float) ** -power
    kept = LONGEST - SHORTEST
    cut = np.append(shares[:kept], shares[kept:].sum())
    return cut / cut.sum()


def random_inputs(modality: str, items: int, max_tokens: int, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and model-ready integers, as a store of inputs has them: tokens of BERT, or pixels of ViT."""
    rng = np.random.default_rng(seed)
    if modality == "text":
        ids = rng.integers(1000, TOKENS_OF_BERT, (items, max_tokens), dtype=np.int32)
        return {"bos": None}, {"input_ids": ids, "length": rng.integers(FEWEST_TOKENS, max_tokens + 1, items)}
    pixels = rng.integers(0, 256, (items, 3, 224, 224), dtype=np.uint8)
    return {"mean": [0.5] * 3, "std": [0.5] * 3, "scale": 1 / 255}, {"pixels": pixels}
