"""DeepFM (Guo et al. 2017, arXiv 1703.04247).

Shapes: B interactions, E width, M channels.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from sanrec.config import Settings
from sanrec.models.pairs.base import linear
from sanrec.models.pairs.factorization import Factorization, hidden_stack
from sanrec.models.pairs.graph import Interactions


class DeepFM(Factorization):
    """score = Σ_j w_j x_j + Σ_{j<k} v_j · v_k + MLP([v_1; v_2; …]) over the same fields (Eq. 1 to 4).

    The first hidden layer of the concatenation is the sum of one map of the user's field and one of the item's, so
    that scores of all items never need the concatenation itself.
    """

    def __init__(self, graph: Interactions, features: Sequence[Tensor], settings: Settings) -> None:
        super().__init__(graph, features, settings)
        if settings.hidden_layers:
            self.of_user = linear(self.width, self.width, bias=False)
            self.of_item = linear((1 + len(features)) * self.width, self.width)
            self.deep = hidden_stack(self.width, self.width, settings.hidden_layers - 1, settings.dropout)
        else:
            self.deep = None
        self.dropout = nn.Dropout(settings.dropout)

    def pair_scores(self, user: Tensor, fields: Tensor) -> Tensor:
        """The second-order and the deep part of the scores [...]."""
        pairwise = self.second_order(user, fields).sum(-1)
        if self.deep is None:
            return pairwise
        hidden = self.of_user(self.dropout(user)) + self.of_item(self.dropout(fields.flatten(-2)))
        return pairwise + self.deep(functional.relu(hidden)).squeeze(-1)
