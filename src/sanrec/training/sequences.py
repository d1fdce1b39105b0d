"""The first kind of training: on users' sequences, with the in-batch debiased loss (`loop`, `loss`)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from sanrec.artifacts import Run
from sanrec.config import Config
from sanrec.data.split import Held, Sequences, log_popularity
from sanrec.evaluation.metrics import metrics_from_ranks
from sanrec.evaluation.ranking import rank_targets
from sanrec.models.registry import POSITIONS, Recommender
from sanrec.training.checkpoint import Progress
from sanrec.training.loading import SourceLoader, load_source
from sanrec.training.loop import encode_histories, encode_items, fit
from sanrec.training.sources import ItemSource


class SequenceTraining:
    """One run's model with all that it trains and is scored on."""

    def __init__(self, config: Config, run: Run, sequences: Sequences, device: torch.device) -> None:
        self.run, self.sequences, self.device = run, sequences, device
        self.watched = config.datasets[run.dataset].watched
        self.source, self.model = untrained(config, run, sequences, device)

    def fit(
        self, state_file: Path | None, fingerprint: str, after_epoch: Callable[[Progress], None] | None = None
    ) -> Progress:
        """Train until validation stops it; the test split is not touched. Arguments as of `loop.fit_epochs`."""
        return fit(
            self.model,
            self.source,
            training_windows(self.sequences),
            log_popularity(self.sequences),
            lambda: metrics_from_ranks(self.rank("validation")),
            self.run.settings,
            self.run.seed,
            self.device,
            state_file,
            fingerprint,
            self.watched,
            after_epoch,
        )

    def rank(self, split: Held, see: Callable[[torch.Tensor], None] | None = None) -> np.ndarray:
        """The rank [U] of each user's target; `see` as of `ranking.rank_scored`."""
        return rank_split(self.model, self.source, self.sequences, self.run, split, self.device, see)


def untrained(
    config: Config, run: Run, sequences: Sequences, device: torch.device, load: SourceLoader = load_source
) -> tuple[ItemSource, Recommender]:
    """The run's source of items, and its model with the starting weights that the seed gives."""
    source, shape = load(config, run, sequences, device)
    torch.manual_seed(run.seed)
    return source, Recommender(run.model, shape, run.settings).to(device)


def training_windows(sequences: Sequences) -> np.ndarray:
    """Left-padded training sequences [users, POSITIONS + 1] of the users that have an input and a target in them."""
    windows = sequences.training(max_length=POSITIONS)
    return windows[(windows > 0).sum(1) >= 2]


def rank_split(
    model: Recommender,
    source: ItemSource,
    sequences: Sequences,
    run: Run,
    split: Held,
    device: torch.device,
    see: Callable[[torch.Tensor], None] | None = None,
) -> np.ndarray:
    """The rank [U] of each user's held-out item among all items, 0 where the user's history holds it."""
    histories, targets = sequences.held_out(split, max_length=POSITIONS)
    seen, offsets = sequences.history(split)
    items = encode_items(model, source, run.settings, device)
    states = encode_histories(model, items, histories, run.settings, device)
    as_tensor = torch.from_numpy
    return rank_targets(states, items, as_tensor(targets), (as_tensor(offsets), as_tensor(seen)), see=see).numpy()
