"""The registry of methods: what each is called, which settings it has, and what its paper sets differently.

Light, because paths are checked against it; `models.registry` builds the modules of the same names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

TOWERS = (
    "adapter_width", "fusion", "top_k", "activation", "layers", "blocks", "standardize", "adapter_learning_rate",
    "cached",
)  # fmt: skip
ABLATIONS = ("gating", "inter", "intra")  # IISAN-Versa, Table VI
COMMON = (
    "recommender_width", "user_blocks", "user_heads", "dropout",
    "learning_rate", "batch_size", "max_epochs", "patience", "precision",
)  # fmt: skip


RESIDENT, FULL, DROPPED = READS = ("resident", "full", "dropped")
"""How stored hidden states are read where their cost is measured (IISAN-Versa, Figure 7): `resident` as in training,
where all items' kept layers lie beside the model; else they lie in the machine's memory, and each step's items move to
the model, with all layers (`full`) or with those that are kept (`dropped`). It changes no number."""


@dataclass(frozen=True)
class Method:
    """One way to adapt backbones: `reads` hidden states (cached), their `final` layer, or raw model inputs."""

    title: str
    reads: str
    settings: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    most_channels: int | None = None
    fewest_channels: int = 1

    @property
    def valid_settings(self) -> tuple[str, ...]:
        """The names of all settings that change this method's runs."""
        return (*self.settings, *COMMON)


METHODS = {
    "crossan": Method("CROSSAN", "hidden", (*TOWERS, "gating"), {"fusion": "momef"}),
    "indsan": Method("INDSAN", "hidden", (*TOWERS, "gating"), {"fusion": "momef"}),
    "iisan": Method("IISAN", "hidden", (*TOWERS, *ABLATIONS), most_channels=2, fewest_channels=2),
    "iisan-e": Method("IISAN-E", "hidden", (*TOWERS, *ABLATIONS), fewest_channels=2),
    "full": Method("Full Finetuning", "inputs", ("backbone_learning_rate",)),
    "adapter": Method("Adapter", "inputs", ("adapter_width", "activation", "adapter_learning_rate")),
    "lora": Method("LoRA", "inputs", ("lora_rank", "adapter_learning_rate")),
    "bitfit": Method("BitFit", "inputs", ("adapter_learning_rate",)),
    "frozen": Method("Frozen", "final"),
}
