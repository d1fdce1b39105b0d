"""What lists of recommendations are like, beside whether they hit: coverage, novelty, popularity bias, exposure.

Popularity is the training part's: p(i) = users who have item i in it / users who have anything in it. With L_u the
list of user u's k best items,

    coverage     |union of all L_u| / I
                 (catalogue coverage: Ge, Delgado-Battenfeld, Jannach: Beyond accuracy, RecSys 2010)
    novelty      mean over u of the mean over i in L_u of -log2 p(i), in bits
                 (self-information: Zhou et al.: Solving the apparent diversity-accuracy dilemma, PNAS 107, 2010)
    popularity   mean over u of the mean over i in L_u of p(i)
                 (average recommendation popularity: Yin et al.: Challenging the long tail recommendation, VLDB 2012)
    lift         (popularity of lists - popularity of histories) / popularity of histories, the latter being the same
                 mean over the items of u's training part, both over the users who have one
                 (Abdollahpouri et al.: The connection between popularity bias, calibration and fairness, RecSys 2020)
    gini         sum over j of (2 j - I - 1) e_j / ((I - 1) sum over j of e_j), e_1 <= ... <= e_I being how many lists
                 hold each item (Castells, Hurley, Vargas: Novelty and diversity, Recommender systems handbook, 2015)

Of an item that nobody has, -log2 p(i) has no bound; it counts as one that a single user has, as in RecTools.

    U users   I items   k length of a list   n items of all histories
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

COLD, TAIL, MID, HEAD = PARTS = ("cold", "tail", "mid", "head")


class Lists:
    """Lists of recommendations beside what users took in training; a method per measure.

    A user to whom nothing can be shown has an empty list, and is left out of means over users.

    Args:
        top_Uk: [U, k] integer, each user's best items by number from 0, best first; -1 where a list is shorter.
        holders_I: [I] integer, how many users have each item in their training part.
        holding: how many users have a training part.

    Raises:
        ValueError: what cannot be lists of these items, or no list that holds anything.
    """

    def __init__(self, top_Uk: ArrayLike, holders_I: ArrayLike, holding: int) -> None:
        self.top_Uk, self.holders_I = np.asarray(top_Uk), np.asarray(holders_I)
        items = len(self.holders_I)
        if self.top_Uk.ndim != 2 or not (self.top_Uk >= 0).any():
            raise ValueError(f"no list that holds anything, in {self.top_Uk.shape}")
        if self.top_Uk.min() < -1 or self.top_Uk.max() >= items:
            raise ValueError(f"items are numbered from 0 to {items - 1}, and nothing is -1")
        if self.holders_I.min() < 0 or self.holders_I.max() > holding:
            raise ValueError(f"each item is had by 0 to {holding} users")
        self.share_I = self.holders_I / holding
        self.holding = holding
        self.shown_Uk = self.top_Uk >= 0
        self.exposure_I = np.bincount(self.top_Uk[self.shown_Uk], minlength=items)

    def coverage(self) -> float:
        """The share of the items that stand in at least one list."""
        return float((self.exposure_I > 0).mean())

    def novelty(self) -> float:
        """The mean self-information of a list's items, in bits."""
        return float(np.nanmean(self._mean_of(-np.log2(np.maximum(self.holders_I, 1) / self.holding))))

    def popularity(self) -> float:
        """The mean share of users who have a list's items."""
        return float(np.nanmean(self._mean_of(self.share_I)))

    def lift(self, histories: tuple[ArrayLike, ArrayLike]) -> float:
        """By which part the lists' items are more popular than those of the users' histories; below 0: less.

        `histories` are the users' training parts: items [n] from 0, and offsets [U + 1]. Raises ValueError where they
        do not fit the lists, or nobody has both.
        """
        theirs_U, own_U = history_popularity(histories, self.share_I), self._mean_of(self.share_I)
        if theirs_U.shape != own_U.shape:
            raise ValueError(f"lists of {len(own_U)} users, but histories of {len(theirs_U)}")
        both = np.isfinite(theirs_U) & np.isfinite(own_U)
        if not both.any():
            raise ValueError("no user has a list and a history to compare it with")
        theirs = theirs_U[both].mean()
        return float((own_U[both].mean() - theirs) / theirs)

    def gini(self) -> float:
        """How unevenly items are shown: 0 where all are shown equally often, 1 where only one is shown.

        Raises ValueError for fewer than two items.
        """
        items = len(self.exposure_I)
        if items < 2:
            raise ValueError("of one item alone nothing is uneven")
        ordered = np.sort(self.exposure_I).astype(np.float64)
        weights = 2 * np.arange(1, items + 1) - items - 1
        return float(weights @ ordered / ((items - 1) * ordered.sum()))

    def _mean_of(self, values_I: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean [U] of each list's values; NaN for an empty one."""
        sums, counts = np.where(self.shown_Uk, values_I[self.top_Uk], 0.0).sum(1), self.shown_Uk.sum(1)
        return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def history_popularity(histories: tuple[ArrayLike, ArrayLike], share_I: ArrayLike) -> NDArray[np.float64]:
    """The mean share [U] of users who have the items of each history; NaN for an empty one.

    `histories` are items [n] from 0, and offsets [U + 1]; `share_I` [I] is the share of users who have each item.
    Raises ValueError for offsets that do not fit the items.
    """
    items, offsets = (np.asarray(part) for part in histories)
    counts = np.diff(offsets)
    if len(offsets) < 2 or offsets[-1] != len(items):
        raise ValueError(f"offsets end at {offsets[-1:]}, but there are {len(items)} items")
    sums = np.bincount(np.repeat(np.arange(len(counts)), counts), np.asarray(share_I)[items], len(counts))
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def parts_by_popularity(counts_I: ArrayLike, head: float, tail: float) -> NDArray[np.str_]:
    """Which part each item [I] is of, by its occurrences in training: `cold`, `tail`, `mid` or `head`.

    Cold items never occur. An item is of the head where those that occur more often than it make up less than the share
    `head` of all occurrences, of the tail where they make up at least 1 - `tail`; the rest is between (after
    Abdollahpouri et al.: User-centered evaluation of popularity bias, UMAP 2021, who have 0.2 for both). So items that
    occur equally often are of the same part. Raises ValueError for shares that leave nothing.
    """
    if not (0 < head < 1 and 0 < tail < 1 and head + tail <= 1):
        raise ValueError(f"head and tail are shares above 0 that add up to 1 at most, not {head} and {tail}")
    counts = np.asarray(counts_I)
    sizes, place, items = np.unique(counts, return_inverse=True, return_counts=True)
    occurrences = sizes * items
    more = (occurrences.sum() - np.cumsum(occurrences))[place]  # occurrences of the items that occur more often
    total = occurrences.sum()
    parts = np.select([counts == 0, more < head * total, more >= (1 - tail) * total], [COLD, HEAD, TAIL], MID)
    return parts.astype(np.str_)
