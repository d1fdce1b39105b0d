"""The floor: everybody is shown what most users took in training, under the protocol of every other run."""

import torch

from sanrec.data.split import Held, Sequences, popularity
from sanrec.evaluation.metrics import metrics_from_ranks
from sanrec.evaluation.ranking import rank_targets


def popularity_metrics(sequences: Sequences, split: Held) -> dict[str, float]:
    """HR, NDCG and MRR of ranking by training popularity, the user's own history masked, ties against the target."""
    shares = torch.from_numpy(popularity(sequences))[:, None]  # [I + 1, 1]: a score that no user changes
    _, targets = sequences.held_out(split)
    seen, offsets = map(torch.from_numpy, sequences.history(split))
    everyone = torch.ones(sequences.user_count, 1, dtype=shares.dtype)
    ranks = rank_targets(everyone, shares, torch.from_numpy(targets), (offsets, seen))
    return metrics_from_ranks(ranks.numpy())
