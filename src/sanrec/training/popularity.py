"""The floor: everybody is shown what most users took in training, under the protocol of every other run."""

import torch

from sanrec.data.split import Held, Sequences, popularity
from sanrec.evaluation.metrics import metrics_from_ranks
from sanrec.evaluation.ranking import rank_scored
from sanrec.training.pairs import owners


def popularity_metrics(sequences: Sequences, split: Held) -> dict[str, float]:
    """HR, NDCG and MRR of ranking by training popularity, the user's own history masked, ties against the target."""
    shares = torch.from_numpy(popularity(sequences))[1:]  # [I]: a score that no user changes
    targets, held = map(torch.from_numpy, sequences.targets(split))
    seen, offsets = map(torch.from_numpy, sequences.history(split))

    def score(first: int, last: int) -> torch.Tensor:
        return shares.repeat(last - first, 1)

    ranks = rank_scored(score, sequences.item_count, (held, targets), (offsets, seen))
    return metrics_from_ranks(ranks.numpy(), owners(sequences, split))
