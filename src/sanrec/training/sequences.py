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
from sanrec.models.own import item_builder, user_builder
from sanrec.models.registry import POSITIONS, Recommender, Shape
from sanrec.own import load_own, own_records
from sanrec.training.checkpoint import Progress
from sanrec.training.loading import SourceLoader, load_source
from sanrec.training.loop import encode_histories, encode_items, fit
from sanrec.training.pairs import owners
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
            lambda: metrics_from_ranks(self.rank("validation"), owners(self.sequences, "validation")),
            self.run.settings,
            self.run.seed,
            self.device,
            state_file,
            fingerprint,
            self.watched,
            after_epoch,
        )

    def rank(self, split: Held, see: Callable[[torch.Tensor], None] | None = None) -> np.ndarray:
        """The rank [T] of every target of the split, users in their order; `see` as of `ranking.rank_scored`."""
        return rank_split(self.model, self.source, self.sequences, self.run, split, self.device, see)


def untrained(
    config: Config, run: Run, sequences: Sequences, device: torch.device, load: SourceLoader = load_source
) -> tuple[ItemSource, Recommender]:
    """The run's source of items, and its model with the starting weights that the seed gives."""
    source, shape = load(config, run, sequences, device)
    torch.manual_seed(run.seed)
    return source, recommender(config, run, shape).to(device)


def recommender(config: Config, run: Run, shape: Shape) -> Recommender:
    """The run's untrained model, with the user's own encoders where it has any. Raises ConfigError for these."""
    own = own_records(config, run)
    item = next((key for key in own if key.startswith("methods.")), None)
    user = next((key for key in own if key.startswith("user_encoders.")), None)
    return Recommender(
        run.model,
        shape,
        run.settings,
        item_builder(load_own(own[item].code, item), own[item].options, item) if item else None,
        user_builder(load_own(own[user].code, user), own[user].options, user) if user else None,
    )


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
    """The rank [T] of every target of a split among all items, 0 where the user's history holds it."""
    users = np.flatnonzero(np.diff(sequences.targets(split)[1])) if sequences.many else None
    wanted, held = map(torch.from_numpy, sequences.targets(split, users))
    seen, offsets = map(torch.from_numpy, sequences.history(split, users))
    items = encode_items(model, source, run.settings, device)
    histories = sequences.inputs(split, users, POSITIONS)
    states = encode_histories(model, items, histories, run.settings, device)
    targets = (held, wanted) if sequences.many else wanted
    return rank_targets(states, items, targets, (offsets, seen), see=see).numpy()
