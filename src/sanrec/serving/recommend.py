"""What a finished run recommends: to users of its data set, or to someone with a history of their own.

Shapes: P people, I items, K towers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.config import Config
from sanrec.data.interactions import load_sequences
from sanrec.data.split import Sequences
from sanrec.errors import SanrecError
from sanrec.evaluation.ranking import rank_scored
from sanrec.methods import METHODS
from sanrec.models.registry import POSITIONS
from sanrec.serving.catalogue import Catalogue, read_catalogue, user_numbers
from sanrec.training.loop import encode_histories
from sanrec.training.pairs import PairTraining
from sanrec.training.restore import Restored, restore
from sanrec.training.towers import fused_towers, weighed_items, why_no_weights


@dataclass(frozen=True)
class Person:
    """Whom to recommend to."""

    user: str | None
    """The original id; None for someone whom the data set does not know."""
    number: int | None
    """The user's number, from 0."""
    history: np.ndarray
    """Numbers of all items taken, oldest first: these are not recommended again."""
    truth: np.ndarray
    """Numbers of the held-out test items: one with leave-one-out, of a given split any number, of a stranger none."""


@dataclass(frozen=True)
class Recommendation:
    """What one person is recommended."""

    person: Person
    items: np.ndarray
    """Numbers of the recommended items, best first."""
    scores: np.ndarray
    """Their scores, float32."""
    ranks: np.ndarray
    """The rank of each item of the truth, as the run's own ranks count it; 0 where the history holds it."""


@dataclass(frozen=True)
class Recommendations:
    """What a run recommends, with all that tells people what it is."""

    run: Run
    catalogue: Catalogue
    people: tuple[Recommendation, ...]
    reads: int | None
    """How many of the last items of a history the run's model reads; None where it knows its users by number."""
    towers: tuple[str, ...]
    weights: np.ndarray | None
    """How much each tower weighs in each item's vector [I, K]; None where nothing is weighed."""
    why_no_weights: str

    def shares(self, number: int) -> dict[str, float] | None:
        """How much each tower weighs in an item's vector, by the tower's name."""
        if self.weights is None:
            return None
        return dict(zip(self.towers, map(float, self.weights[number - 1]), strict=True))


def recommend(
    config: Config, run: Run, users: Sequence[str] = (), history: Sequence[str] | None = None, k: int = 10
) -> Recommendations:
    """The k items that a finished run scores highest for each user, and for someone with a `history`, oldest first.

    Ids are the original ones. What a person has taken is masked as in the test protocol: of a user all but the held-out
    test items. Fewer than k where fewer items are left. Raises DataError for unknown ids and for a run that is not
    finished, SanrecError for a history where the method learns its users by number.
    """
    if history is not None:
        refuse_strangers(run)
    sequences = load_sequences(artifacts.interactions(run.dataset))
    catalogue = read_catalogue(config, run.dataset, sequences)
    numbers = user_numbers(sequences, users, run.dataset)
    people = [known(sequences, *one) for one in zip(users, numbers, strict=True)]
    if history is not None:
        people.append(Person(None, None, catalogue.numbers(history), np.empty(0, np.int32)))
    restored = restore(config, run, sequences)
    scores_PI, weights = score(restored, people)
    ranks = ranks_of_truth(scores_PI, people)
    found = [best(scores_I, *of_one, k) for scores_I, *of_one in zip(scores_PI.numpy(), people, ranks, strict=True)]
    return Recommendations(
        restored.run,
        catalogue,
        tuple(found),
        None if isinstance(restored.training, PairTraining) else POSITIONS,
        () if weights is None else tuple(fused_towers(restored.run)),
        weights,
        why_no_weights(restored.run),
    )


def refuse_strangers(run: Run) -> None:
    """Raise SanrecError for a method that has no way to read a history."""
    if run.spec.trains == "pairs":
        reading = ", ".join(name for name, method in METHODS.items() if method.trains == "sequences")
        raise SanrecError(
            f"{run.folder}: {run.spec.title} learns a vector of each user and has none for someone it was "
            f"not trained on, whatever they took. Give --user, or a run of a method that reads histories: {reading}, "
            "or an item encoder of your own"
        )


def known(sequences: Sequences, user: str, number: int) -> Person:
    """A user of the data set, as the test split has them."""
    one = np.array([number])
    return Person(user, number, sequences.history("test", one)[0], sequences.targets("test", one)[0])


@torch.inference_mode()
def score(restored: Restored, people: Sequence[Person]) -> tuple[torch.Tensor, np.ndarray | None]:
    """Scores [P, I] of all items for each person, as the run ranks them, and the towers' weights [I, K], if any."""
    training = restored.training
    if isinstance(training, PairTraining):
        training.model.eval()
        training.model.prepare()
        users_P = torch.tensor([person.number for person in people], device=training.device)
        return training.model.score(users_P).float().cpu(), None
    settings, device = restored.run.settings, training.device
    items, weights = weighed_items(training.model, training.source, restored.run, device)
    states = encode_histories(training.model, items, last_items(people), settings, device)
    return (states @ items[1:].T).cpu(), None if weights is None else weights.numpy()


def last_items(people: Sequence[Person]) -> np.ndarray:
    """What a user encoder reads of each history: the last items, int32 [P, POSITIONS], padded with 0 on the left."""
    read = np.zeros((len(people), POSITIONS), np.int32)
    for row, person in zip(read, people, strict=True):
        last = person.history[-POSITIONS:]
        row[len(row) - len(last) :] = last
    return read


def ranks_of_truth(scores_PI: torch.Tensor, people: Sequence[Person]) -> list[np.ndarray]:
    """The rank of each item of each person's truth. Raises DivergenceError for scores that are no numbers."""
    held, seen = (
        (torch.tensor([0, *map(len, lists)]).cumsum(0), torch.from_numpy(np.concatenate(lists)))
        for lists in ([person.truth for person in people], [person.history for person in people])
    )
    ranks = rank_scored(lambda first, last: scores_PI[first:last].clone(), scores_PI.shape[1], held, seen)
    return np.split(ranks.numpy(), held[0][1:-1].numpy())


def best(scores_I: np.ndarray, person: Person, ranks: np.ndarray, k: int) -> Recommendation:
    """The k highest scores of what the person has not taken; of equal ones the truth last, as its rank counts it."""
    masked = scores_I.copy()
    masked[person.history - 1] = -np.inf
    behind = np.zeros(len(masked), np.int64)
    behind[person.truth - 1] = np.arange(1, len(person.truth) + 1)
    order = np.lexsort((behind, -masked))[: min(k, int(np.isfinite(masked).sum()))]
    return Recommendation(person, order.astype(np.int32) + 1, masked[order], ranks)
