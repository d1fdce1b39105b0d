"""The registry of methods: what each is called, which settings it has, and what its paper sets differently.

Light, because paths are checked against it; `models.registry` builds the modules of the same names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from sanrec.config import OwnMethod

TOWERS = (
    "adapter_width", "fusion", "top_k", "activation", "layers", "blocks", "standardize", "adapter_learning_rate",
    "cached", "missing", "missing_share",
)  # fmt: skip
ABLATIONS = ("gating", "inter", "intra")  # IISAN-Versa, Table VI
COMMON = (
    "recipe", "recommender_width", "user_encoder", "user_blocks", "user_heads", "dropout",
    "learning_rate", "cosine_temperature", "weight_averaging", "batch_size", "max_epochs", "patience", "precision",
)  # fmt: skip

USER_ENCODERS = ("transformer", "gru4rec", "nextitnet", "youtube")
READING = {"hidden": ("layers", "blocks", "standardize", "cached"), "final": ("feature_layer",)}  # of own methods
PAIR_COMMON = ("recommender_width", "learning_rate", "batch_size", "max_epochs", "patience")


RESIDENT, FULL, DROPPED = READS = ("resident", "full", "dropped")
"""How stored hidden states are read where their cost is measured (IISAN-Versa, Figure 7): `resident` as in training,
where all items' kept layers lie beside the model; else they lie in the machine's memory, and each step's items move to
the model, with all layers (`full`) or with those that are kept (`dropped`). It changes no number."""


@dataclass(frozen=True)
class Method:
    """One way to recommend.

    `reads` hidden states (cached), their `final` layer, or raw model inputs. `trains` on users' sequences, with the
    in-batch loss, or on (user, item, sampled item) pairs, with BPR or a loss of its own. With `ids` an item has a
    vector of its own, learned; channels then are the features beside it. A method that `may_have_ids` has them where
    its inputs begin with them (`ID+TIVA`): vectors that are added to those that it makes of the media.
    """

    title: str
    reads: str
    settings: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    most_channels: int | None = None
    fewest_channels: int = 1
    trains: Literal["sequences", "pairs"] = "sequences"
    ids: bool = False
    may_have_ids: bool = False

    @property
    def valid_settings(self) -> tuple[str, ...]:
        """The names of all settings that change this method's runs."""
        common = {"sequences": COMMON, "pairs": PAIR_COMMON}[self.trains]
        fixed = self.defaults.get("user_encoder")  # of methods that are called after theirs
        idle = {"user_encoder"} if fixed else set()
        if self.reads == "inputs":
            idle.add("recipe")  # none was looked for where backbones themselves are trained
        if fixed not in (None, "transformer"):
            idle.add("user_heads")
        return (*self.settings, *(name for name in common if name not in idle))


def _towers(
    title: str, settings: tuple[str, ...], defaults: Mapping[str, Any] | None = None, **channels: int
) -> Method:
    """A method of side adapters, which can have ids beside what these make of hidden states."""
    return Method(
        title, "hidden", (*TOWERS, *settings), MappingProxyType(defaults or {}), may_have_ids=True, **channels
    )


def own_method(record: OwnMethod) -> Method:
    """The method that a user's own item encoder makes. Its media that are missing are zeros unless it asks for more."""
    named = dict.fromkeys((*record.settings, *READING[record.reads]))
    return Method(
        record.title,
        record.reads,
        tuple(name for name in named if name not in COMMON),
        MappingProxyType({"missing": "zeros", **record.defaults}),
        record.most_channels,
        record.fewest_channels,
        ids=record.ids,
    )


TWO_LOSSES = ("pair_loss", "regularization")
ITEM_GRAPHS = ("feature_layer", "graph_layers", "item_graph_layers", "neighbours")
# MicroLens' benchmark: settings of its collaborative filters, but for the width of 512 or 1024
MICROLENS = {"pair_loss": "softmax", "learning_rate": 1e-4, "batch_size": 64, "regularization": 0.0}


def _pairs(title: str, settings: tuple[str, ...], defaults: Mapping[str, Any] | None = None, **channels: int) -> Method:
    """A method that trains on pairs, by default at the learning rate and batch size that most of them publish."""
    merged = {"learning_rate": 1e-3, "batch_size": 2048, **(defaults or {})}
    counts = {"fewest_channels": 0, **channels}
    return Method(title, "final", settings, MappingProxyType(merged), trains="pairs", ids=True, **counts)


def _on_ids(title: str, user_encoder: str, **depth: Any) -> Method:
    """A sequence method on ids, alone or with frozen features: depth, dropout and decay as MicroLens publishes them."""
    defaults = {"user_encoder": user_encoder, "learning_rate": 1e-3, "weight_decay": 0.1, **depth}
    return Method(title, "final", ("feature_layer", "weight_decay"), defaults, fewest_channels=0, ids=True)


METHODS = {
    "crossan": _towers("CROSSAN", ("gating",), {"fusion": "momef"}),
    "indsan": _towers("INDSAN", ("gating",), {"fusion": "momef"}),
    "iisan": _towers("IISAN", ABLATIONS, most_channels=2, fewest_channels=2),
    "iisan-e": _towers("IISAN-E", ABLATIONS, fewest_channels=2),
    "full": Method("Full Finetuning", "inputs", ("backbone_learning_rate",)),
    "adapter": Method("Adapter", "inputs", ("adapter_width", "activation", "adapter_learning_rate")),
    "lora": Method("LoRA", "inputs", ("lora_rank", "adapter_learning_rate")),
    "bitfit": Method("BitFit", "inputs", ("adapter_learning_rate",)),
    "frozen": Method("Frozen", "final"),
    "sasrec": _on_ids("SASRec", "transformer", user_blocks=2, dropout=0.1),
    "gru4rec": _on_ids("GRU4Rec", "gru4rec", user_blocks=1, dropout=0.1),
    "nextitnet": _on_ids("NextItNet", "nextitnet", user_blocks=2, dropout=0.0),
    "youtube": _on_ids("YouTube", "youtube", user_blocks=1, dropout=0.0),
    "mf": _pairs("MF-BPR", ("regularization",), {"batch_size": 1024}, most_channels=0),
    "lightgcn": _pairs(
        "LightGCN",
        ("pair_loss", "graph_layers", "regularization"),
        {"graph_layers": 3, "batch_size": 1024},
        most_channels=0,
    ),
    "dssm": _pairs(
        "DSSM", ("feature_layer", "hidden_layers", *TWO_LOSSES), {**MICROLENS, "hidden_layers": 0, "batch_size": 1024}
    ),
    "nfm": _pairs("NFM", ("feature_layer", "hidden_layers", "dropout", *TWO_LOSSES), {**MICROLENS, "dropout": 0.0}),
    "deepfm": _pairs(
        "DeepFM", ("feature_layer", "hidden_layers", "dropout", *TWO_LOSSES), {**MICROLENS, "dropout": 0.0}
    ),
    "mmgcn": _pairs(
        "MMGCN", ("feature_layer", "graph_layers", "regularization"), {"learning_rate": 5e-4, "batch_size": 1024}
    ),
    "grcn": _pairs(
        "GRCN",
        ("feature_layer", "graph_layers", "routing", "edge_dropout", "regularization"),
        {"learning_rate": 1e-4, "batch_size": 1024, "edge_dropout": 0.0, "regularization": 1e-3},
    ),
    "bm3": _pairs(
        "BM3",
        ("feature_layer", "graph_layers", "dropout", "regularization", "contrastive_weight"),
        {"graph_layers": 1, "dropout": 0.5, "regularization": 0.0, "contrastive_weight": 2.0},
        fewest_channels=1,
    ),
    "freedom": _pairs(
        "FREEDOM",
        (*ITEM_GRAPHS, "first_channel", "edge_dropout", "contrastive_weight"),
        {"contrastive_weight": 1e-3},
        fewest_channels=1,
    ),
    "mgcn": _pairs("MGCN", (*ITEM_GRAPHS, "regularization", "contrastive_weight", "temperature"), fewest_channels=1),
    "mhcr": _pairs(
        "MHCR",
        (
            *ITEM_GRAPHS,
            "dropout",
            "hyperedges",
            "hypergraph_layers",
            "hypergraph_weight",
            "regularization",
            "contrastive_weight",
            "hypergraph_contrast",
            "temperature",
        ),
        {"dropout": 0.5},
        fewest_channels=1,
    ),
}
