"""What of users' interactions may train, what validates, what tests.

Leave-one-out: of a user's n items the last tests, the one before validates, the first n - 2 train. Or a split that is
given with the data: any number of each, training first, and no order within. Or by time (`timeline`): any number of
each, in the order of time, with interactions between them that are history alone. All arrays, no files.

    U users   I items (index 0 pads)   N interactions   S input positions, at most `max_length`
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

MAX_LENGTH = 10  # inputs per sequence, as in both papers
Held = Literal["validation", "test"]
HELD_BACK: dict[str, int] = {"train": 2, "validation": 1, "test": 0}  # items that a split may not see at all


@dataclass(frozen=True)
class Sequences:
    """Every user's items, oldest first, one user after the other.

    items: int32 [N] item indices from 1; offsets: int64 [U + 1], user u has items[offsets[u]:offsets[u + 1]], with
    leave-one-out at least three of them; users: [U] original ids (str); item_rows: int32 [I + 1], the corpus row of
    each item index (row in items.parquet and in every store), -1 at index 0; held_from: where in `items` each user's
    validation targets begin, and where the test targets, int64 [U] each; None for leave-one-out. timed: where what
    trains ends, and where the validation targets do, int64 [U] each, for a split by time: what stands between is
    history.

    Methods take `users`, an array of user numbers, or None for all of them.
    """

    items: np.ndarray
    offsets: np.ndarray
    users: np.ndarray
    item_rows: np.ndarray
    held_from: tuple[np.ndarray, np.ndarray] | None = None
    timed: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def given(self) -> bool:
        """Whether the split came with the data: then nothing here has an order, and `targets` has what is held out."""
        return self.many and self.timed is None

    @property
    def many(self) -> bool:
        """Whether users may have several targets in a split, or none: always but with leave-one-out."""
        return self.held_from is not None

    @property
    def user_count(self) -> int:
        """U."""
        return len(self.offsets) - 1

    @property
    def item_count(self) -> int:
        """I, padding not counted."""
        return len(self.item_rows) - 1

    def training(self, users: np.ndarray | None = None, max_length: int = MAX_LENGTH) -> np.ndarray:
        """Training windows, int32 [users, max_length + 1], padded with 0 on the left.

        window[:, :-1] are the inputs and window[:, 1:] their targets, one step on; a position counts where its input
        is not 0. Of longer training parts the last max_length + 1 items are taken. Raises ValueError for a given split.
        """
        self._require_order()
        return self._last(users, self._train_to(users), max_length + 1)

    def held_out(
        self, split: Held, users: np.ndarray | None = None, max_length: int = MAX_LENGTH
    ) -> tuple[np.ndarray, np.ndarray]:
        """Inputs int32 [users, max_length], padded with 0 on the left, and the held-out target of each user [users].

        Validation: the last of the first n - 2 items, and item n - 1. Test: the last of the first n - 1, and item n.
        Raises ValueError but for leave-one-out: see `inputs` and `targets`.
        """
        self._require_order()
        if self.many:
            raise ValueError("users may have several targets, or none")
        return self.inputs(split, users, max_length), self.items[self._held_from(split, users)]

    def inputs(self, split: Held, users: np.ndarray | None = None, max_length: int = MAX_LENGTH) -> np.ndarray:
        """The last items before each user's targets, int32 [users, max_length], padded with 0 on the left.

        Raises ValueError for a given split.
        """
        self._require_order()
        return self._last(users, self._held_from(split, users), max_length)

    def history(self, split: Held, users: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """All that a user took before the target, to be masked in the ranking: items, and offsets [users + 1].

        The first n - 2 items for validation, the first n - 1 for test, not cut to any input length; of a given split
        the training items for validation, and for test those of validation too; of one by time all that stands before
        the first target. User k of `users` has
        items[offsets[k]:offsets[k + 1]]; an item that was taken twice stands there twice.
        """
        return self._between(self._starts(users), self._held_from(split, users))

    def training_items(self, users: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The whole training parts (first n - 2 items): items, and offsets [users + 1]."""
        return self._between(self._starts(users), self._train_to(users))

    def targets(self, split: Held, users: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What is held out for the split: items, and offsets [users + 1].

        One per user; of a given split, or one by time, any number.
        """
        if split == "test":
            ends = self._ends(users)
        else:
            ends = self._of(self.timed[1], users) if self.timed else self._held_from("test", users)
        return self._between(self._held_from(split, users), ends)

    def _starts(self, users: np.ndarray | None) -> np.ndarray:
        return self.offsets[:-1] if users is None else self.offsets[np.asarray(users)]

    def _ends(self, users: np.ndarray | None) -> np.ndarray:
        return self.offsets[1:] if users is None else self.offsets[np.asarray(users) + 1]

    def _last(self, users: np.ndarray | None, ends: np.ndarray, width: int) -> np.ndarray:
        """The last `width` items before `ends` [users], int32 [users, width], padded with 0 on the left."""
        positions = (ends - width)[:, None] + np.arange(width)
        inside = positions >= self._starts(users)[:, None]
        return np.where(inside, self.items[np.where(inside, positions, 0)], np.int32(0))

    def _held_from(self, split: Held, users: np.ndarray | None) -> np.ndarray:
        """Where each user's targets of the split begin."""
        back = HELD_BACK[split]
        if self.held_from is None:
            return self._ends(users) - 1 - back
        return self._of(self.held_from[1 - back], users)

    def _train_to(self, users: np.ndarray | None) -> np.ndarray:
        """Where each user's training part ends."""
        return self._of(self.timed[0], users) if self.timed else self._held_from("validation", users)

    @staticmethod
    def _of(places_U: np.ndarray, users: np.ndarray | None) -> np.ndarray:
        return places_U if users is None else places_U[np.asarray(users)]

    def _between(self, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The items from `starts` to before `ends` of each user, and offsets [users + 1]."""
        positions, offsets = ranges(starts, ends - starts)
        return self.items[positions], offsets

    def _require_order(self) -> None:
        if self.given:
            raise ValueError("a given split has no order in which a user took items")


def ranges(starts: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers starts[k], starts[k] + 1, ... (counts[k] of them) for each k in turn, and their offsets [k + 1]."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts), offsets


def popularity(sequences: Sequences) -> np.ndarray:
    """How often each item occurs in the training parts, as a probability: float64 [I + 1], 0 at the padding index.

    Validation and test items never count. An item that only they hold has probability 0.
    """
    items, _ = sequences.training_items()
    counts = np.bincount(items, minlength=sequences.item_count + 1)
    return counts / counts.sum()


def log_popularity(sequences: Sequences) -> np.ndarray:
    """Logarithm of p(item) for the loss, float32 [I + 1], finite throughout.

    0 at the padding index and for items that never train: neither can be a candidate in training.
    """
    probability = popularity(sequences)
    return np.log(np.where(probability > 0, probability, 1)).astype(np.float32)
