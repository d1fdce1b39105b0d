"""The settings of a run."""

from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    field_validator,
    model_validator,
)
from pydantic import PositiveFloat as Positive
from pydantic import PositiveInt as Count

from sanrec.config.base import Frozen, Fusion, Label
from sanrec.errors import ConfigError
from sanrec.layers import PATTERN, split_rules


class Settings(Frozen):
    """All that changes a run's numbers beside its data, method, inputs and seed. The order is that of `variant`."""

    recipe: Literal["papers", "modern"] = "papers"
    """What the settings that are not named have: the papers' own values, or those of the recipe that was found on real
    data (docs/real-data.md). In a variant it stands above the data set's settings, in these below them."""
    adapter_width: Count = 512
    """Inner width H of the adapter blocks (SANB and Houlsby); the papers tune it between 32 and 8192."""
    fusion: Fusion = "concat"
    """How the towers' vectors become one item vector: concat, static, dynamic or momef."""
    top_k: Count = 2
    """Experts kept per item by MOMEF fusion (CROSSAN, Table 7)."""
    gating: bool = True
    """Learned gates between and inside towers; false gives the plain sum (CROSSAN, 6.3; IISAN-Versa, Table VI)."""
    inter: bool = True
    """Whether IISAN has its inter-modal tower (IISAN-Versa, Table VI)."""
    intra: bool = True
    """Whether IISAN has its intra-modal towers (IISAN-Versa, Table VI)."""
    activation: Literal["relu", "gelu"] = "relu"
    """Non-linearity inside adapter blocks; the published code has ReLU."""
    layers: str = Field("even", pattern=PATTERN)
    """Which transformer blocks feed the towers: `even` (evenly spread, from the last down), `evenN`, `topN`, `downN`,
    `evenN_topM`, `evenN_downM`, `full`, or a list, as `2-4-6`; one rule per tower, joined by `+`, where they differ."""
    blocks: Count = 6
    """How many blocks `even` keeps per tower; the embedding layer comes on top."""
    standardize: bool = False
    """Whether each kept layer's hidden states lose their mean over the items and are scaled to unit spread; not in the
    papers."""
    feature_layer: Label = Field("final", pattern=r"^(final|0|[1-9]\d*)$")
    """Which frozen vector of an item is its feature: `final`, or the state of a stored layer (0: embeddings)."""
    lora_rank: Count = 512
    """Rank r of LoRA; its alpha equals it."""
    recommender_width: Count = 64
    """Width E of item vectors and of the user encoder; of the embeddings of methods on pairs."""
    user_encoder: str = "transformer"
    """What turns a history into a user's state: a transformer (SASRec's, the papers'), a GRU (`gru4rec`), dilated
    convolutions (`nextitnet`), the mean of the history under a perceptron (`youtube`), or one of `user_encoders`;
    methods called after one have that one."""
    user_blocks: Count = 2
    """Depth of the user encoder: transformer blocks, layers of the GRU or of the perceptron, or pairs of residual
    blocks of convolutions, with dilations 1 and 4."""
    user_heads: Count = 2
    """Attention heads of the user encoder, where it is a transformer."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout in the user encoder, and on ids' vectors beside media; of BM3's targets, of the deep part of NFM and
    DeepFM, of MHCR's hyperedges."""
    pair_loss: Literal["bpr", "softmax"] = "bpr"
    """What a method on pairs learns from: `bpr`, a positive above a sampled item, or `softmax`, a positive among the
    batch's positives, each score less the item's log-popularity (MicroLens' benchmark)."""
    hidden_layers: NonNegativeInt = 1
    """Hidden layers of DSSM's towers and of the deep part of NFM and DeepFM, each as wide as the embeddings."""
    graph_layers: Count = 2
    """Rounds of propagation over the graph of users and items."""
    item_graph_layers: Count = 1
    """Rounds of propagation over the graphs of similar items (FREEDOM, MGCN, MHCR)."""
    neighbours: Count = 10
    """Items k that an item is joined to in the graphs of similar items, itself included."""
    first_channel: float = Field(0.9, ge=0, le=1)
    """Weight of the first channel's graph of similar items in FREEDOM's; the other channels share the rest."""
    routing: Count = 3
    """Rounds of GRCN's neighbour routing."""
    edge_dropout: float = Field(0.8, ge=0, lt=1)
    """Share of interactions that FREEDOM leaves out of its graph in each epoch, and GRCN of its own in each step."""
    hyperedges: Count = 4
    """Hyperedges per channel (MHCR)."""
    hypergraph_layers: Count = 1
    """Rounds of propagation over hyperedges (MHCR)."""
    hypergraph_weight: float = Field(0.2, ge=0)
    """Weight of the hypergraph's vectors, at unit length, in the final ones (MHCR)."""
    regularization: float = Field(1e-4, ge=0)
    """Weight of the squared length of the vectors of a batch in the loss of methods on pairs."""
    contrastive_weight: float = Field(0.01, ge=0)
    """Weight of the losses beside the ranking: BM3's alignment, FREEDOM's ranking by features alone, the contrast of
    views in MGCN and MHCR."""
    hypergraph_contrast: float = Field(1e-3, ge=0)
    """Weight of the contrast between channels' hypergraphs, and of these with the channels' graphs (MHCR)."""
    temperature: Positive = 0.2
    """Temperature of the contrast of views (MGCN, MHCR)."""
    learning_rate: Positive = 2e-4
    """Adam's learning rate of user encoder, heads, fusion, text and inter gates."""
    adapter_learning_rate: Positive = 1e-4
    """Adam's learning rate of adapters and of the other gates."""
    backbone_learning_rate: Positive = 1e-4
    """Adam's learning rate of the backbones under full fine-tuning."""
    weight_decay: float = Field(0, ge=0)
    """Weight decay, decoupled from Adam's step (AdamW): each step shrinks all parameters by learning rate times it."""
    cosine_temperature: float = Field(0, ge=0)
    """Temperature t of cosine scores: vectors of items and states of users have length t^(-1/2), so that a score is the
    cosine over t. 0 is the papers' plain product, of vectors of any length."""
    weight_averaging: float = Field(0, ge=0, lt=1)
    """Decay of the moving average of the weights, step by step, which validation, test and the stored run then have; 0
    is the weights themselves."""
    batch_size: Count = 64
    """Users per training step; of methods that train on pairs, interactions per step."""
    max_epochs: Count = 100
    """Most epochs; early stopping usually ends before."""
    patience: Count = 10
    """Epochs without a better validation score, in the data set's `watched_metric`, before training stops."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the forward pass: auto is bfloat16 autocast on a GPU and float32 on a CPU."""
    cached: bool = True
    """Whether hidden states are read from their store; false runs the frozen backbones anew in every step, as the
    papers' uncached rows do: the same numbers but for rounding, at another price."""

    missing: Literal["masked", "zeros"] = "masked"
    """What a medium that an item lacks is to the item encoder: left out of gates and fusion, whose weights are made to
    sum to what they did, or zeros, as if these were data."""
    missing_share: float = Field(0, ge=0, lt=1)
    """Share of the items whose medium is taken away from training and scoring, in each channel by itself."""

    @field_validator("feature_layer", mode="before")
    @classmethod
    def _a_layer_may_be_a_number(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("layers", mode="before")
    @classmethod
    def _layers_are_rules(cls, value: Any) -> Any:
        if isinstance(value, str):
            try:
                split_rules(value)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _one_tower_is_left(self) -> "Settings":
        if not (self.inter or self.intra):
            raise ValueError("inter=false and intra=false leave no tower: set one of them to true")
        return self

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> "Settings":
        if self.user_encoder == "transformer" and self.recommender_width % self.user_heads:
            raise ValueError(
                f"recommender_width={self.recommender_width} does not divide by user_heads={self.user_heads}"
            )
        return self

    @model_validator(mode="after")
    def _only_stored_states_are_standardized(self) -> "Settings":
        if self.standardize and not self.cached:
            raise ValueError(
                "standardize=true needs the mean over all items, so cached=true; set standardize=false too"
            )
        return self
