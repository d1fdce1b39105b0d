"""Sampled items for training on pairs: uniform over the items that the user does not have in training, and exact.

Shapes: U users, I items, N training interactions, P distinct (user, item) pairs.
"""

import numpy as np


class Negatives:
    """Draws, for any users, items they do not have: each such item with the same probability, none rejected.

    Of a user's n distinct items s_0 < s_1 < ... the j-th leaves s_j - j smaller items free. So the r-th free item,
    counted from 0, is r + k, k the number of j with s_j - j <= r: one binary search per draw. Where items are drawn
    from a `pool` alone (ascending, with all items of training in it), they are counted by their places in it.
    """

    def __init__(
        self, user_N: np.ndarray, item_N: np.ndarray, users: int, items: int, pool: np.ndarray | None = None
    ) -> None:
        self.pool = pool
        if pool is not None:
            item_N, items = np.searchsorted(pool, item_N), len(pool)
        pairs = np.unique(user_N.astype(np.int64) * items + item_N)
        user_P, item_P = pairs // items, pairs % items
        taken = np.bincount(user_P, minlength=users)
        self.begins = np.concatenate([[0], np.cumsum(taken)])[:-1]
        self.free = items - taken
        self.stride = items + 1
        before = np.arange(len(pairs)) - np.repeat(self.begins, taken)
        self.keys = user_P * self.stride + item_P - before

    def draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One item [n], from 0, for each of `users` [n]. Raises ValueError for a user who has every item."""
        free = self.free[users]
        if len(users) and free.min() < 1:
            raise ValueError(f"user {users[int(free.argmin())]} has every item: there is none to sample")
        place = rng.integers(0, free)
        smaller = np.searchsorted(self.keys, users.astype(np.int64) * self.stride + place, side="right")
        drawn = place + smaller - self.begins[users]
        return drawn if self.pool is None else self.pool[drawn]
