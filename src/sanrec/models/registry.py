"""From a method's name to its item encoder, and the whole recommender around it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.config import Settings
from sanrec.models.crossan import Crossan
from sanrec.models.crossan_unequal import UnequalCrossan
from sanrec.models.iisan import Iisan
from sanrec.models.iisan_va import IisanVa
from sanrec.models.item_ids import EmbeddingWithFeatures, ItemEmbedding, VectorsBeside
from sanrec.models.tuning import FinalReadOut, TunedBackbones, add_houlsby, add_lora, train_biases
from sanrec.models.user_encoders.gru4rec import Gru4Rec
from sanrec.models.user_encoders.nextitnet import NextItNet
from sanrec.models.user_encoders.youtube import YouTube
from sanrec.models.users import UserEncoder

POSITIONS = 10  # most items of a history that the user encoder reads


@dataclass(frozen=True)
class Shape:
    """What an item encoder is built for: one entry per channel, and the backbones themselves where they are tuned."""

    modalities: tuple[str, ...]
    widths: tuple[int, ...]
    layers: int | tuple[int, ...]
    """Kept hidden states, embeddings included: of every channel, or of each."""
    poolings: tuple[str, ...] = ()
    backbones: Sequence[nn.Module] = field(default=(), compare=False)
    items: int = 0
    """Items I of the data set, where each has a learned vector."""
    beside: bool = False
    """Whether that is added to the vector that the item encoder makes, which knows nothing of it."""

    @property
    def depths(self) -> tuple[int, ...]:
        """The number of kept hidden states of each channel."""
        return (self.layers,) * len(self.widths) if isinstance(self.layers, int) else self.layers

    @property
    def equal(self) -> bool:
        """Whether all channels have one width and one number of layers, so that their towers run as one product."""
        return len(set(self.widths)) == 1 and len(set(self.depths)) == 1


def _crossan(shape: Shape, settings: Settings, independent: bool = False) -> nn.Module:
    if shape.equal:
        return Crossan(len(shape.widths), shape.depths[0], shape.widths[0], settings, independent)
    return UnequalCrossan(shape.widths, shape.depths, settings, independent)


def _iisan(shape: Shape, settings: Settings, extended: bool) -> nn.Module:
    if shape.equal:
        return Iisan(len(shape.widths), shape.depths[0], shape.widths[0], settings, extended)
    return IisanVa(shape.widths, shape.depths, settings, extended)


def _tuned(shape: Shape, settings: Settings, prepare: Callable[[nn.Module], nn.Module]) -> nn.Module:
    return TunedBackbones([prepare(b) for b in shape.backbones], shape.poolings, settings.recommender_width)


def _ids(shape: Shape, settings: Settings) -> nn.Module:
    if shape.widths:
        return EmbeddingWithFeatures(shape.items, shape.widths, settings.recommender_width)
    return ItemEmbedding(shape.items, settings.recommender_width)


BUILDERS: dict[str, Callable[[Shape, Settings], nn.Module]] = {
    "crossan": _crossan,
    "indsan": lambda shape, s: _crossan(shape, s, independent=True),
    "iisan": lambda shape, s: _iisan(shape, s, extended=False),
    "iisan-e": lambda shape, s: _iisan(shape, s, extended=True),
    "full": lambda shape, s: _tuned(shape, s, lambda b: b.requires_grad_(True)),
    "adapter": lambda shape, s: _tuned(shape, s, lambda b: add_houlsby(b, s.adapter_width, s.activation)),
    "lora": lambda shape, s: _tuned(shape, s, lambda b: add_lora(b, s.lora_rank)),
    "bitfit": lambda shape, s: _tuned(shape, s, train_biases),
    "frozen": lambda shape, s: FinalReadOut(shape.widths, s.recommender_width),
    "sasrec": _ids,
    "gru4rec": _ids,
    "nextitnet": _ids,
    "youtube": _ids,
}

USER_ENCODERS: dict[str, Callable[[Settings], nn.Module]] = {
    "transformer": lambda s: UserEncoder(s.recommender_width, POSITIONS, s.user_blocks, s.user_heads, s.dropout),
    "gru4rec": lambda s: Gru4Rec(s.recommender_width, s.user_blocks, s.dropout),
    "nextitnet": lambda s: NextItNet(s.recommender_width, s.user_blocks, s.dropout),
    "youtube": lambda s: YouTube(s.recommender_width, s.user_blocks, s.dropout),
}


class Recommender(nn.Module):
    """An item encoder and a user encoder; the score of an item for a user is the product of their vectors."""

    def __init__(
        self,
        model: str,
        shape: Shape,
        settings: Settings,
        item_builder: Callable[[Shape, Settings], nn.Module] | None = None,
        user_builder: Callable[[Settings], nn.Module] | None = None,
    ) -> None:
        """With builders of its own in place of those of the registries, where they are given."""
        super().__init__()
        self.model, self.modalities = model, shape.modalities
        self.item_encoder = (item_builder or BUILDERS[model])(shape, settings)
        self.user_encoder = (user_builder or USER_ENCODERS[settings.user_encoder])(settings)
        self.length = settings.cosine_temperature**-0.5 if settings.cosine_temperature else None
        width, dropout = settings.recommender_width, settings.dropout
        self.item_ids = VectorsBeside(shape.items, width, dropout) if shape.beside else None

    def encode_items(self, inputs: Any) -> Tensor:
        """Item vectors [n, E] of what the item encoder reads, in the length that scores are made from.

        With vectors of the items' own beside: `inputs` are item indices from 1 [n], and what the encoder reads. Under
        cosine scores these vectors are beside one of length one, so that they weigh the same for each item.
        """
        if self.item_ids is None:
            return with_length(self.item_encoder(inputs), self.length)
        vectors_nE = with_length(self.item_encoder(self.media(inputs)), self.length and 1.0)
        return with_length(self.item_ids(inputs[0], vectors_nE), self.length)

    def media(self, inputs: Any) -> Any:
        """Of `inputs` what the item encoder reads: all but the indices of items that have vectors beside."""
        return inputs if self.item_ids is None else inputs[1]

    def encode_users(self, items_BSE: Tensor, present_BS: Tensor) -> Tensor:
        """User states [B, S, E] after each item of left-padded histories, in the length that scores are made from."""
        return with_length(self.user_encoder(items_BSE, present_BS), self.length)

    def parameter_groups(self, settings: Settings) -> list[dict[str, object]]:
        """Adam's groups: the slow ones (adapters, gates that are not text's; tuned backbones) and all the rest."""
        slow_ones = getattr(self.item_encoder, "slow_parameters", lambda _: [])  # a user's own may have none
        slow = {id(p): p for p in slow_ones(self.modalities)}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in slow]
        rate = settings.backbone_learning_rate if self.model == "full" else settings.adapter_learning_rate
        groups = [{"params": rest, "lr": settings.learning_rate}]
        return groups + ([{"params": list(slow.values()), "lr": rate}] if slow else [])


def with_length(vectors: Tensor, length: float | None) -> Tensor:
    """Vectors [..., E] in that length, in float32; as they are where it is None. A vector of zeros stays one."""
    return vectors if length is None else functional.normalize(vectors.float(), dim=-1) * length


def trainable_parameters(model: nn.Module) -> int:
    """How many numbers training changes."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a module without allocating its weights, to count them."""
    with torch.device("meta"):
        return build()
