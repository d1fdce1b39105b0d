"""Item vectors of items that are known by their number: a table of embeddings, alone or beside media.

Shapes: I items, n items, M channels, D width of a channel's features, E recommender width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.models.missing import Masked, evened, unmasked


class ItemEmbedding(nn.Module):
    """One learned vector per item, xavier-normal over the whole table (MicroLens); row 0, the padding, stays zero."""

    def __init__(self, items: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(items + 1, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the starting vectors."""
        nn.init.xavier_normal_(self.weight)
        with torch.no_grad():
            self.weight[0].zero_()

    def forward(self, items_n: Tensor) -> Tensor:
        """Item indices from 1 [n] to item vectors [n, E]: the rows themselves, nothing is computed."""
        return functional.embedding(items_n, self.weight)

    def slow_parameters(self, modalities: tuple[str, ...]) -> list[nn.Parameter]:
        """Nothing here trains at the adapters' rate."""
        return []


class EmbeddingWithFeatures(nn.Module):
    """Linear(E + sum of D, E) of the learned vector with the frozen features behind it.

    The concatenation of PixelRec's published SASRec with features, from the authors of MicroLens, whose own code of
    that row is not public. Since the layer is linear, it is a map of the id's vector plus one of the features.
    """

    def __init__(self, items: int, widths: Sequence[int], width: int) -> None:
        super().__init__()
        self.embedding = ItemEmbedding(items, width)
        self.fusion = nn.Linear(width + sum(widths), width)
        nn.init.xavier_normal_(self.fusion.weight)
        nn.init.zeros_(self.fusion.bias)

    def forward(self, inputs: tuple[Tensor, Sequence[Tensor] | Masked]) -> Tensor:
        """Item indices from 1 [n] and one [n, D] per channel to item vectors [n, E]."""
        items_n, (features, present_Mn) = inputs[0], unmasked(inputs[1])
        return self.fusion(torch.cat([self.embedding(items_n), *evened(features, present_Mn)], 1))

    def slow_parameters(self, modalities: tuple[str, ...]) -> list[nn.Parameter]:
        """Nothing here trains at the adapters' rate."""
        return []


class VectorsBeside(nn.Module):
    """A vector of each item's own, learned, added to the one that is made of its media: what its media do not tell.

    All start at zero, and an item that training never shows keeps its zero: a cold item is known by its media alone.
    Not in the papers. UniSRec (arXiv 2206.05941) adds ids to texts so, from vectors drawn at random.
    """

    def __init__(self, items: int, width: int, dropout: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(items + 1, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, items_n: Tensor, vectors_nE: Tensor) -> Tensor:
        """Item indices from 1 [n] and their media's vectors [n, E] to vectors of both [n, E]."""
        return vectors_nE + self.dropout(functional.embedding(items_n, self.weight))
