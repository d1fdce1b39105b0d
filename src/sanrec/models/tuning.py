"""Item encoders with the backbones inside: full fine-tuning, Houlsby adapters, LoRA, BitFit; and the frozen read-out.

Shapes: M channels, n items, D width of a backbone (they may differ), E recommender width.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.backbones.conversion import ModelInput
from sanrec.backbones.pooling import pool_final
from sanrec.errors import ConfigError
from sanrec.models.blocks import AdapterBlock
from sanrec.models.fusion import ConcatFusion
from sanrec.models.missing import Masked, unmasked

# The two places of a transformer block that Houlsby et al. (2019) adapt: what attention and what the feed-forward part
# add to the residual stream. BERT, VideoMAE: `attention.output.dense`, `output.dense`; ViT, AST: `o_proj`, `fc2`;
# Llama: `o_proj`, `down_proj`.
HOULSBY_PLACES = re.compile(
    r"\.(attention\.output\.dense|(?<!attention\.)output\.dense|(attention|self_attn)\.o_proj|mlp\.(fc2|down_proj))$"
)
GROUP = 128  # texts that are padded together, to the longest of them
LORA_TARGETS = ["query", "value", "q_proj", "v_proj"]


class FinalReadOut(nn.Module):
    """From each backbone's pooled last state to an item vector: Linear(D, E), GELU, concat fusion (published code)."""

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, outputs) for width in widths)
        self.fusion = ConcatFusion(len(widths), outputs)

    def forward(self, inputs: Sequence[Tensor] | Masked) -> Tensor:
        """One [n, D] per channel to item vectors [n, E]."""
        finals, present_Mn = unmasked(inputs)
        vectors = [functional.gelu(head(x)) for head, x in zip(self.heads, finals, strict=True)]
        return self.fusion(torch.stack(vectors), present_Mn)

    def slow_parameters(self, modalities: tuple[str, ...]) -> list[nn.Parameter]:
        """Nothing here trains at the adapters' rate."""
        return []


class TunedBackbones(nn.Module):
    """Backbones that run on model-ready inputs in each step, under the same read-out."""

    def __init__(self, backbones: Sequence[nn.Module], poolings: Sequence[str], outputs: int) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(backbones)
        self.poolings = tuple(poolings)
        self.read_out = FinalReadOut([b.config.hidden_size for b in backbones], outputs)

    def forward(self, inputs: Sequence[ModelInput] | Masked) -> Tensor:
        """Per backbone its forward pass' keyword arguments and real tokens, n items each, to item vectors [n, E]."""
        channels, present_Mn = unmasked(inputs)
        finals = [
            final_states(backbone, kwargs, mask, pooling)
            for backbone, (kwargs, mask), pooling in zip(self.backbones, channels, self.poolings, strict=True)
        ]
        return self.read_out(finals if present_Mn is None else Masked(finals, present_Mn))

    def slow_parameters(self, modalities: tuple[str, ...]) -> list[nn.Parameter]:
        """All that trains inside the backbones."""
        return [p for p in self.backbones.parameters() if p.requires_grad]


def final_states(backbone: nn.Module, kwargs: dict[str, Tensor], mask: Tensor | None, pooling: str) -> Tensor:
    """The pooled last state [n, D] of n items; texts go through in groups of like length, so that little is padding.

    Their tokens stand on the left. Padding is seen by no state, so that groups change the last bits alone, and in
    training which states dropout leaves out.
    """
    attention = kwargs.get("attention_mask")
    if attention is None or len(attention) <= GROUP:
        return pool_final(backbone(**kwargs).last_hidden_state, mask, pooling)
    lengths = attention.sum(1)
    order = lengths.argsort(stable=True)
    groups = order.split(GROUP)
    longest = lengths[torch.stack([group[-1] for group in groups])].tolist()  # the device is waited for once
    finals = []
    for group, length in zip(groups, longest, strict=True):
        some = {name: values[group, :length] for name, values in kwargs.items()}
        real = None if mask is None else mask[group, :length]
        finals.append(pool_final(backbone(**some).last_hidden_state, real, pooling))
    return torch.cat(finals)[order.argsort()]


class Adapted(nn.Module):
    """A frozen linear layer followed by a trained adapter block."""

    def __init__(self, layer: nn.Linear, inner: int, activation: str) -> None:
        super().__init__()
        self.layer = layer
        self.adapter = AdapterBlock(layer.out_features, inner, activation)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., D]."""
        return self.adapter(self.layer(x))


def add_houlsby(backbone: nn.Module, inner: int, activation: str) -> nn.Module:
    """Freeze a backbone and put two adapters into each transformer block, in place (Houlsby et al. 2019).

    The block stands before the layer's dropout, where transformers lets it be put without rewriting the block; the
    published code has it behind: the same whenever dropout is off. Raises ConfigError for an unknown architecture.
    """
    backbone.requires_grad_(False)
    linear = [name for name, module in backbone.named_modules() if isinstance(module, nn.Linear)]
    places = [name for name in linear if HOULSBY_PLACES.search(name)]
    if len(places) != 2 * backbone.config.num_hidden_layers:
        raise ConfigError(
            f"{type(backbone).__name__}: found {len(places)} places for adapters, expected two per block: use lora"
        )
    for name in places:
        parent, _, child = name.rpartition(".")
        setattr(backbone.get_submodule(parent), child, Adapted(backbone.get_submodule(name), inner, activation))
    return backbone


def add_lora(backbone: nn.Module, rank: int) -> nn.Module:
    """Freeze a backbone and put LoRA on its pretrained query and value projections, whose biases train too, in place.

    Hu et al. 2021, by peft; alpha equals the rank, so that the update is not rescaled.
    """
    from peft import LoraConfig, inject_adapter_in_model

    backbone.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=LORA_TARGETS, bias="lora_only", lora_dropout=0.0)
    return inject_adapter_in_model(config, backbone)


def train_biases(backbone: nn.Module) -> nn.Module:
    """Freeze all of a backbone but its bias terms, in place (BitFit, Ben Zaken et al. 2021, arXiv 2106.10199).

    Every bias: of attention, of the feed-forward part, of LayerNorms and of embeddings. Raises ConfigError for a
    backbone without any, as most language models are.
    """
    biases = [p for name, p in backbone.named_parameters() if name.endswith("bias")]
    if not biases:
        raise ConfigError(f"{type(backbone).__name__} has no bias terms, so BitFit has nothing to train: use lora")
    backbone.requires_grad_(False)
    for bias in biases:
        bias.requires_grad_(True)
    return backbone
