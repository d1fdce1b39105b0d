"""The split by time: two moments, the same for all users, part what trains from what validates and what tests.

Leave-one-out lets a user's last item of March train what is tested on another's of January: what a method learns then
holds the future of its test (Ji et al. 2023, arXiv 2010.11060). With one moment for all it cannot. Arrays and tables,
no files.

    U users   N interactions   K users that are kept
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sanrec.config import Periods
from sanrec.data.inter import SPLITS, TimedPairs, read_moments
from sanrec.data.split import ranges
from sanrec.errors import DataError

HISTORY = "history"  # comes after what trains, and is no target: read by what is ranked after it
TRAINS, VALIDATES, TESTS, BETWEEN = range(4)
LABELS = (*SPLITS, HISTORY)


@dataclass(frozen=True)
class Split:
    """What is kept of a table, users one after the other, each oldest first.

    users [K] are positions among the table's users, positions [N'] among its interactions, offsets [K + 1] into these,
    splits int8 [N'] positions in `LABELS`.
    """

    users: np.ndarray
    positions: np.ndarray
    offsets: np.ndarray
    splits: np.ndarray
    counts: dict[str, int]
    """Users without history: those who come after the training period, or have too little in it. Repeats: of targets
    that a user has twice in a period, the later ones, which are left out where all are targets."""


def cuts(timed: TimedPairs, periods: Periods, where: str) -> tuple[int | float, int | float]:
    """The moments from which interactions validate and test, as numbers of `timed.times`.

    By shares these are moments of interactions: what is of one moment is never parted. Raises DataError, naming
    `where`, for moments of another kind than the table's, and for those that leave one of the three parts empty.
    """
    if periods.test_from is not None and periods.validation_from is not None:
        given = pa.array([periods.validation_from, periods.test_from])
        found, dates = read_moments(given, lambda n: f"{where}: periods.{('validation', 'test')[n]}_from: ")
        if dates != timed.dates:
            kinds = "dates" if timed.dates else "numbers", "dates" if dates else "numbers"
            raise DataError(f"{where}: its moments are {kinds[0]}, but 'periods' of the data set gives {kinds[1]}")
        first, second = found.tolist()
    else:
        ordered, shares = np.sort(timed.times), (periods.validation_share + periods.test_share, periods.test_share)
        first, second = (ordered[min(int(len(ordered) * (1 - share)), len(ordered) - 1)].item() for share in shares)
    parts = [int((timed.times < first).sum()), int(((timed.times >= first) & (timed.times < second)).sum())]
    parts.append(len(timed.times) - sum(parts))
    if min(parts) < 1 or first >= second:
        named = f"{spelled(first, timed.dates)} and {spelled(second, timed.dates)}"
        counted = ", ".join(f"{part} {n}" for part, n in zip(SPLITS, parts, strict=True))
        raise DataError(
            f"{where}: cut at {named}, interactions are {counted}, and none of the three may be empty. Set other "
            "shares or moments in the data set's 'periods'"
        )
    return first, second


def spelled(moment: int | float, dates: bool) -> str:
    """A moment as people write it: a number, or a date in UTC."""
    if dates:
        return str(np.datetime64(int(moment), "us")).removesuffix("T00:00:00.000000")
    return str(moment) if isinstance(moment, int) else f"{moment:.15g}"


def split_by_time(
    timed: TimedPairs,
    moments: tuple[int | float, int | float],
    targets: str,
    min_interactions: int,
    keep_last: int,
    where: str,
) -> Split:
    """Part interactions at two moments; `targets` as in `Periods`.

    A user is kept who has `min_interactions` in the training period, and keeps the last `keep_last` of these; nothing
    later has a say in it. Raises DataError where nobody is left, or nobody has a target in one of the periods.
    """
    starts, lengths = timed.pairs.offsets[:-1], np.diff(timed.pairs.offsets)
    owner_N, place_N = np.repeat(np.arange(len(lengths)), lengths), np.arange(len(timed.times))
    period_N = (timed.times >= moments[0]).astype(np.int8) + (timed.times >= moments[1])
    trains_U = np.bincount(owner_N[period_N == TRAINS], minlength=len(lengths))
    kept_U = trains_U >= max(1, min_interactions)
    label_N = np.where(period_N == TRAINS, TRAINS, BETWEEN).astype(np.int8)
    stays_N = kept_U[owner_N] & (place_N >= (starts + trains_U - keep_last)[owner_N])
    held_N = period_N != TRAINS
    group_N = owner_N.astype(np.int64) * 3 + period_N
    new_N = np.concatenate([[True], np.diff(group_N) > 0])
    if targets == "all":
        _, first = np.unique(np.stack([group_N, timed.pairs.items]), axis=1, return_index=True)
        chosen_N = np.isin(place_N, first)
        stays_N &= chosen_N | ~held_N
    else:
        chosen_N = new_N if targets == "first" else np.append(new_N[1:], True)
        stays_N &= chosen_N | (period_N != TESTS) | (targets == "last")
    label_N[held_N & chosen_N] = period_N[held_N & chosen_N]
    counts = {
        "users_without_history": int((~kept_U).sum()),
        "repeated_targets": int((kept_U[owner_N] & held_N & ~chosen_N).sum()) if targets == "all" else 0,
    }
    users = np.flatnonzero(kept_U)
    for period in (VALIDATES, TESTS):
        if not (stays_N & (label_N == period)).any():
            raise DataError(
                f"{where}: no user with {min_interactions} interactions in the training period (the data set's "
                f"'min_interactions') has one in the {SPLITS[period]} period. Set other moments or shares in 'periods'"
            )
    positions = np.flatnonzero(stays_N)
    kept_counts = np.bincount(owner_N[positions], minlength=len(lengths))[users]
    _, offsets = ranges(np.zeros(len(users), np.int64), kept_counts)
    return Split(users, positions, offsets, label_N[positions], counts)


def counted(table: pa.Table) -> dict[str, object]:
    """What there is to know of a table split by time: targets and their users, and items that nobody trained on."""
    split, item, user = (table[name].to_numpy(zero_copy_only=False) for name in ("split", "item_index", "user_index"))
    warm = np.unique(item[split == "train"])
    cold_N = ~np.isin(item, warm)
    held = SPLITS[1:]
    return {
        "interactions_of": {name: int((split == name).sum()) for name in LABELS},
        "users_with_targets": {name: len(np.unique(user[split == name])) for name in held},
        "cold_items": len(np.unique(item[cold_N])),
        "cold_targets": {name: int((cold_N & (split == name)).sum()) for name in held},
    }
