"""The floor: everybody is shown what most users took in training, under the protocol of every other run."""

from collections.abc import Callable

import numpy as np
import torch

from sanrec import artifacts
from sanrec.data.interactions import load_sequences
from sanrec.data.split import Held, Sequences, popularity
from sanrec.evaluation.metrics import metrics_from_ranks
from sanrec.evaluation.ranking import rank_scored
from sanrec.evaluation.top_lists import TopLists
from sanrec.files import write_json
from sanrec.training.pairs import owners
from sanrec.training.user_tables import write_user_tables


def popularity_ranks(
    sequences: Sequences, split: Held, see: Callable[[torch.Tensor], None] | None = None
) -> np.ndarray:
    """The rank [T] of every target by training popularity, the own history masked, ties against the target.

    `see` as of `ranking.rank_scored`.
    """
    shares = torch.from_numpy(popularity(sequences))[1:]  # [I]: a score that no user changes
    users = np.flatnonzero(np.diff(sequences.targets(split)[1]))
    targets, held = map(torch.from_numpy, sequences.targets(split, users))
    seen, offsets = map(torch.from_numpy, sequences.history(split, users))

    def score(first: int, last: int) -> torch.Tensor:
        return shares.repeat(last - first, 1)

    return rank_scored(score, sequences.item_count, (held, targets), (offsets, seen), see=see).numpy()


def score_popularity(dataset: str) -> None:
    """Write what popularity alone reaches on a data set: metrics, and the ranks and lists that runs leave too.

    Raises DataError for interactions that are not as they should be.
    """
    interactions = artifacts.interactions(dataset)
    sequences, top = load_sequences(interactions), TopLists()
    ranks: dict[Held, np.ndarray] = {
        "validation": popularity_ranks(sequences, "validation"),
        "test": popularity_ranks(sequences, "test", top.see),
    }
    write_user_tables(artifacts.popularity_folder(dataset), sequences, ranks, top.items, interactions)
    scores = {split: metrics_from_ranks(of, owners(sequences, split)) for split, of in ranks.items()}
    write_json(artifacts.popularity(dataset), {"dataset": dataset, "users": sequences.user_count, **scores})
