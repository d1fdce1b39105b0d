"""Matrix factorisation trained by Bayesian personalised ranking (Rendle et al. 2009): score = p_u · q_i.

Shapes: U users, I items, B interactions, E width.
"""

from collections.abc import Sequence

from torch import Tensor

from sanrec.config import Settings
from sanrec.models.pairs.base import VectorModel, embeddings, rows
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.losses import bpr_loss, half_squares


class MatrixFactorization(VectorModel):
    """MF-BPR."""

    def __init__(self, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> None:
        super().__init__()
        self.users = embeddings(graph.users, settings.recommender_width)
        self.items = embeddings(graph.items, settings.recommender_width)
        self.regularization = settings.regularization

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The learned vectors [U, E] and [I, E] themselves."""
        return self.users, self.items

    def loss(self, users_B: Tensor, positives_B: Tensor, negatives_B: Tensor) -> Tensor:
        """BPR-Opt with the squared lengths of the batch's vectors."""
        user, positive, negative = (
            rows(self.users, users_B), rows(self.items, positives_B), rows(self.items, negatives_B),
        )  # fmt: skip
        ranking = bpr_loss((user * positive).sum(1), (user * negative).sum(1))
        return ranking + self.regularization * half_squares(user, positive, negative)
