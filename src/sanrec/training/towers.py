"""A run's towers: what they are called, and how much each weighs in an item's vector.

Shapes: I items, K towers that the fusion joins, E recommender width.
"""

import torch
from torch import Tensor

from sanrec.artifacts import Input, Run
from sanrec.methods import METHODS
from sanrec.models.fusion import DynamicGate, StaticGate
from sanrec.models.registry import Recommender
from sanrec.training.loop import encode_items
from sanrec.training.sources import ItemSource

INTER = "inter-modal"


def tower_names(inputs: tuple[Input, ...]) -> list[str]:
    """The channels; with its backbone, a channel that is seen twice; numbered, what is still the same."""
    channels = [source.channel for source in inputs]
    names = [s.channel if channels.count(s.channel) == 1 else f"{s.channel}@{s.backbone}" for s in inputs]
    return [
        f"{name} ({names[: place + 1].count(name)})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def fused_towers(run: Run) -> list[str]:
    """The names of the K towers that the run's fusion joins, in its order: the channels', and IISAN's inter-modal one.

    Either may be left out by `intra` and `inter`.
    """
    if "inter" not in run.spec.settings:
        return tower_names(run.features)
    return [*(tower_names(run.features) if run.settings.intra else ()), *([INTER] if run.settings.inter else ())]


def why_no_weights(run: Run) -> str:
    """In words, why a run's towers have no weights; "" for a run whose fusion gives each of them one."""
    if run.model not in METHODS:
        return f"{run.spec.title} is an encoder of one's own, whose towers are not known here, so nothing is weighed"
    if "fusion" not in run.spec.settings:
        return f"{run.spec.title} has no towers, so nothing is weighed"
    if run.settings.fusion == "concat":
        return "fusion=concat reads all towers through one linear map, which gives none of them a weight"
    return ""


def weighed_items(
    model: Recommender, source: ItemSource, run: Run, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """All item vectors [I + 1, E], as `encode_items` has them, and how much each tower weighs in them [I, K].

    Weights are float32, on the CPU; of an item they sum to one, or to zero where it has no medium at all. None where
    the fusion has none (`why_no_weights`).
    """
    fusion = getattr(model.item_encoder, "fusion", None)
    if why_no_weights(run) or not isinstance(fusion, StaticGate | DynamicGate):
        return encode_items(model, source, run.settings, device), None
    noted: list[Tensor] = []
    watch = fusion.register_forward_pre_hook(lambda module, given: noted.append(module.weights(*given).float().cpu()))
    try:
        vectors = encode_items(model, source, run.settings, device)
    finally:
        watch.remove()
    return vectors, torch.cat(noted)
