"""From token states to one vector per item.

n items, S tokens, D width, L hidden states (embedding output and every block).

Which tokens are real: for encoder models all that the attention mask lets through, so a mean takes in CLS and SEP as
sentence-transformers does; for decoder language models all but padding and a leading BOS, whose state is the same for
every item and by far the largest; for images, videos and AST all; for Whisper those that the sound covers, not the
silence up to 30 s.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def pool(states: Tensor, mask: Tensor | None, how: str) -> Tensor:
    """States [n, S, D] to vectors [n, D] in float32: `first` token, `mean` over real tokens, or `last` real token.

    `mask` [n, S] is true or 1 at real tokens; None where all are. Half-precision states are widened before they are
    summed, since those of language models leave float16's range. An item without a real token gives zeros (`mean`)
    or its first state (`last`). The mask may lie on another device than the states of a model that is spread.
    """
    mask = None if mask is None else mask.to(states.device)
    if how == "first":
        return states[:, 0].float()
    if how == "mean":
        if mask is None:
            return states.float().mean(1)
        weights = mask.to(torch.float32).unsqueeze(-1)
        # padding may hold anything, infinities too, which a weight of zero would turn into NaN
        summed = states.float().masked_fill(weights == 0, 0.0).sum(1)
        return summed / weights.sum(1).clamp_min(1.0)
    if how == "last":
        if mask is None:
            return states[:, -1].float()
        places = torch.arange(states.shape[1], device=states.device)
        last = (places * mask.to(places.dtype)).amax(1)
        return states[torch.arange(states.shape[0], device=states.device), last].float()
    raise ValueError(f"pooling is 'first', 'mean' or 'last', not '{how}'")


def pool_final(last_hidden_state: Tensor, mask: Tensor | None, how: str) -> Tensor:
    """The pooled last state [n, D] after the backbone's own last norm, in float32.

    `last_hidden_state` [n, S, D] as the model returns it: ViT, AST and VideoMAE apply their final layer norm to it
    (VideoMAE only where `use_mean_pooling` is false; where it is true the encoder has none), Whisper's encoder and
    decoder language models too; BERT's blocks end in a norm, so it is its last hidden state.
    """
    return pool(last_hidden_state, mask, how)


def in_type_of(model: "PreTrainedModel", kwargs: dict[str, Tensor]) -> dict[str, Tensor]:
    """A forward pass' arguments, pixels and sounds in the type of the model's weights: some models insist on it."""
    return {name: x.to(model.dtype) if x.is_floating_point() else x for name, x in kwargs.items()}


def encode(
    model: "PreTrainedModel",
    kwargs: dict[str, Tensor],
    mask: Tensor | None,
    how: str,
    layers: Sequence[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Run an encoder on model-ready inputs: pooled hidden states [n, L, D] and the pooled final state [n, D].

    L are the `layers` (0: embeddings), or all. Both come back in float32 on the device where the model ends.
    """
    output = model(**in_type_of(model, kwargs), output_hidden_states=True)
    final = pool_final(output.last_hidden_state, mask, how)
    chosen = range(len(output.hidden_states)) if layers is None else layers
    pooled = [pool(output.hidden_states[layer], mask, how).to(final.device) for layer in chosen]
    return torch.stack(pooled, dim=1), final
