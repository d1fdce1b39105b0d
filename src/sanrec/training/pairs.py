"""The second kind of training: on (user, item, sampled item) triples, with BPR or the model's own loss.

Shapes: U users, I items, N training interactions, T targets, B interactions of a batch.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from sanrec.artifacts import Run
from sanrec.config import Config, Settings
from sanrec.data.split import Held, Sequences
from sanrec.errors import DataError
from sanrec.evaluation.metrics import metrics_from_ranks
from sanrec.evaluation.ranking import rank_scored
from sanrec.models.pairs.base import PairModel
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.registry import build_pair_model
from sanrec.progress import inner_bar
from sanrec.training.checkpoint import Progress
from sanrec.training.loading import frozen_features
from sanrec.training.loop import check_loss, fit_epochs, seed_epoch
from sanrec.training.negatives import Negatives

SAVE_SECONDS = 20.0  # epochs of pairs may take less time than writing their state does


class PairTraining:
    """One run's model with all that it trains and is scored on."""

    def __init__(self, config: Config, run: Run, sequences: Sequences, device: torch.device) -> None:
        self.run, self.sequences, self.device = run, sequences, device
        self.watched = config.datasets[run.dataset].watched
        self.user_N, self.item_N = training_pairs(sequences)
        graph = Interactions(
            sequences.user_count, sequences.item_count, torch.from_numpy(self.user_N), torch.from_numpy(self.item_N)
        )
        rows = sequences.item_rows[1:]
        features = [torch.from_numpy(part.astype(np.float32)) for part in frozen_features(config, run, rows)]
        torch.manual_seed(run.seed)
        self.model = build_pair_model(run.model, graph, features, run.settings).to(device)

    def fit(
        self, state_file: Path | None, fingerprint: str, after_epoch: Callable[[Progress], None] | None = None
    ) -> Progress:
        """Train until validation stops it; the test split is not touched. Arguments as of `loop.fit_epochs`."""
        settings, seed = self.run.settings, self.run.seed
        negatives = sampled_items(self.sequences, self.user_N, self.item_N)
        drawable = negatives.free[self.user_N] > 0  # who has every item has nothing to learn from
        if not drawable.any():
            raise DataError(f"data set '{self.run.dataset}': every user has every item, so there is nothing to rank")
        pairs = self.user_N[drawable], self.item_N[drawable]
        optimizer = torch.optim.Adam(self.model.parameters(), lr=settings.learning_rate, fused=True)
        return fit_epochs(
            self.model,
            optimizer,
            lambda epoch: train_epoch(self.model, *pairs, negatives, optimizer, settings, seed, epoch, self.device),
            self._validate,
            settings,
            state_file,
            fingerprint,
            self.watched,
            after_epoch,
            SAVE_SECONDS,
        )

    def rank(self, split: Held, see: Callable[[torch.Tensor], None] | None = None) -> np.ndarray:
        """The rank [T] of every target of the split, users in their order; 0 where the own history holds it.

        `see` as of `ranking.rank_scored`: of the users who have targets, it is shown the scores.
        """
        return rank_pairs(self.model, self.sequences, split, self.device, see)

    def _validate(self) -> dict[str, float]:
        return metrics_from_ranks(self.rank("validation"), owners(self.sequences, "validation"))


def training_pairs(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """The users [N] and items [N] of all training interactions, both numbered from 0, int64."""
    items, offsets = sequences.training_items()
    return np.repeat(np.arange(sequences.user_count), np.diff(offsets)), items.astype(np.int64) - 1


def sampled_items(sequences: Sequences, user_N: np.ndarray, item_N: np.ndarray) -> Negatives:
    """What training samples from: all items, but with a split by time those that somebody has in training.

    An item that is first seen later is not there yet: sampled, it would be learned to be none that anybody takes.
    """
    pool = np.unique(item_N) if sequences.timed else None
    return Negatives(user_N, item_N, sequences.user_count, sequences.item_count, pool)


def owners(sequences: Sequences, split: Held) -> np.ndarray | None:
    """The user [T] of every target of a split; None with leave-one-out, where each user has one."""
    _, offsets = sequences.targets(split)
    return np.repeat(np.arange(sequences.user_count), np.diff(offsets)) if sequences.many else None


def train_epoch(
    model: PairModel,
    user_N: np.ndarray,
    item_N: np.ndarray,
    negatives: Negatives,
    optimizer: torch.optim.Optimizer,
    settings: Settings,
    seed: int,
    epoch: int,
    device: torch.device,
) -> tuple[float, float]:
    """Every interaction once with an item sampled for it, in an order of `seed` and `epoch` alone.

    Gives the mean loss over steps, and the seconds it took. Raises DivergenceError for a loss that is no number.
    """
    seed_epoch(seed, epoch)
    rng = np.random.default_rng([seed, epoch])
    started, total, steps = time.perf_counter(), torch.zeros((), device=device), 0
    order = rng.permutation(len(user_N))
    triples = user_N[order], item_N[order], negatives.draw(user_N[order], rng)
    batches = zip(*(torch.from_numpy(part).to(device).split(settings.batch_size) for part in triples), strict=True)
    model.train()
    model.start_epoch()
    count = -(-len(order) // settings.batch_size)
    for users_B, positives_B, negatives_B in inner_bar(batches, total=count, unit="step", desc=f"epoch {epoch}"):
        loss = model.loss(users_B, positives_B, negatives_B)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.detach()
        steps += 1
    mean_loss = total.item() / steps
    seconds = time.perf_counter() - started
    check_loss(mean_loss, epoch)
    return mean_loss, seconds


@torch.no_grad()
def rank_pairs(
    model: PairModel,
    sequences: Sequences,
    split: Held,
    device: torch.device,
    see: Callable[[torch.Tensor], None] | None = None,
) -> np.ndarray:
    """The rank [T] of every target of a split among all items, by the model as it is; other users cost nothing."""
    counts = np.diff(sequences.targets(split)[1])
    users = np.flatnonzero(counts)
    wanted, held = map(torch.from_numpy, sequences.targets(split, users))
    seen, offsets = map(torch.from_numpy, sequences.history(split, users))
    users_U = torch.from_numpy(users).to(device)
    model.eval()
    model.prepare()

    def score(first: int, last: int) -> torch.Tensor:
        return model.score(users_U[first:last]).float()

    return rank_scored(score, sequences.item_count, (held, wanted), (offsets, seen), see=see).numpy()
