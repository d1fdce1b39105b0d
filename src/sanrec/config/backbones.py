"""Records of pretrained models: backbones and captioners."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import (
    Field,
    field_validator,
    model_validator,
)
from pydantic import PositiveInt as Count

from sanrec.config.base import (
    Frozen,
    Medium,
    Modality,
    Pooling,
)
from sanrec.errors import ConfigError
from sanrec.layers import RULE, split_rules


class Backbone(Frozen):
    """A pretrained encoder of one modality."""

    table: ClassVar[str] = "backbones"
    modality: Modality
    """What it reads."""
    source: Literal["hub", "folder", "demo", "features"] = "hub"
    """Where the checkpoint comes from: the Hugging Face hub, a local folder, or sanrec's demo. `features`: there is
    none, its vectors are ready-made in a file; then pooling and blocks need not be given."""
    checkpoint: str
    """Repository on the hub (`owner/name`), local folder, or name of the demo's backbone; with source `features` a .npy
    file [items, width], a row per item of the corpus, in its order, or a .parquet file with the columns item and
    vector, in any order: items that are not in it are missing."""
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    """Commit on the hub; without one a hub checkpoint is not fetched, so that results can be repeated."""
    gated: bool = False
    """Whether the hub gives it only to those who accepted its owner's terms (docs: backbones)."""
    pooling: Pooling
    """How token states become one vector: first token, mean, or last token."""
    blocks: Count
    """Transformer blocks; its hidden states are one more, the embedding output."""
    width: Count
    """Width D of its hidden states."""
    max_tokens: Count = 30
    """Longest title in tokens, special ones included (captions: 128)."""
    chunk_rows: Count = 2048
    """Items per chunk of the stores; fewer where an item is dear. A batch never crosses a chunk."""
    batch_size: Count = 64
    """Items per forward pass of extraction."""
    shards: Count = 1
    """Jobs that share extraction: on a cluster they run at the same time. Each takes every so-many-th chunk (of
    `chunk_rows` items), so more jobs than chunks leave some without work. Numbers do not change."""
    kept_layers: str = Field("full", pattern=rf"^(?:{RULE})$")
    """Which blocks' states extraction stores, by one rule in the language of the setting `layers`; the embeddings and
    the final state always. By default all; `even` keeps what runs read by default: of Llama-3-70b 7 layers in 81."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Type of its weights and arithmetic where it is frozen; states are pooled in float32. Tuned, it is float32."""
    store_dtype: Literal["float16", "float32"] = "float16"
    """Type of the hidden states in the store. float16 ends at 65,504: where a state leaves that range, a job that does
    extraction alone takes float32 by itself; where several share it (`shards`), float32 is to be set here."""
    device_map: Literal["auto"] | None = None
    """`auto` spreads the weights over all GPUs, and what they cannot hold over memory; else it lies on one device."""
    quantization: Literal["gptq"] | None = None
    """How the checkpoint's weights are quantised: it is read by further packages (docs: backbones), and only frozen."""
    architecture: dict[str, Any] = {}
    """The checkpoint's transformers configuration, `model_type` and what differs from that class' defaults: with it,
    parameters are counted without a download."""
    license: str = "unknown"
    """Licence of the weights, as the repository states it."""

    def pinned(self, name: str) -> "Backbone":
        """This record, asked for by that name. Raises ConfigError where it is the hub's and no revision is pinned."""
        _require_pin(self, name)
        return self

    @model_validator(mode="before")
    @classmethod
    def _features_have_no_depth(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("source") == "features":
            return {"pooling": "mean", "blocks": 1, **values}
        return values

    @field_validator("kept_layers")
    @classmethod
    def _kept_layers_are_a_rule(cls, value: str) -> str:
        try:
            split_rules(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value


class Captioner(Frozen):
    """A pretrained vision-language model that puts covers or videos into words."""

    table: ClassVar[str] = "captioners"
    prompts: dict[Medium, str]
    """The prompt for covers, for videos, or for both: the name of one of sanrec's, or the path of a .txt file."""
    source: Literal["hub", "folder", "demo"] = "hub"
    """Where the checkpoint comes from: the Hugging Face hub, a local folder, or sanrec's demo."""
    checkpoint: str
    """Repository on the hub (`owner/name`), local folder, or name of the demo's captioner; a LLaVA-NeXT."""
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    """Commit on the hub; without one a hub checkpoint is not fetched, so that results can be repeated."""
    gated: bool = False
    """Whether the hub gives it only to those who accepted its owner's terms (docs: backbones)."""
    frames: Count = 3
    """Frames of a video, evenly spaced, that the model is shown."""
    video_grid: tuple[tuple[Count, Count], ...] | None = None
    """Sizes (height, width) among which one is chosen to cut a video's frame into tiles, in place of the checkpoint's
    own (image_grid_pinpoints): several frames in full resolution can be more tokens than the model was trained on."""
    max_new_tokens: Count = 160
    """Longest caption, in the captioner's tokens."""
    batch_size: Count = 8
    """Items per call of the model; also the unit in which a killed job goes on."""
    shards: Count = 1
    """Jobs that share the captioning of a corpus' covers or videos. Captions do not change."""
    temperature: float = Field(0, ge=0)
    """0 always takes the likeliest word (greedy); above, words are drawn, from seeds that the item's row decides."""
    dtype: Literal["float32", "float16", "bfloat16"] = "bfloat16"
    """Type of its weights and arithmetic."""
    device_map: Literal["auto"] | None = None
    """`auto` spreads the weights over all GPUs, and what they cannot hold over memory; else it lies on one device."""
    license: str = "unknown"
    """Licence of the weights, as the repository states it."""

    def pinned(self, name: str) -> "Captioner":
        """This record, asked for by that name. Raises ConfigError where it is the hub's and no revision is pinned."""
        _require_pin(self, name)
        return self


def _require_pin(record: Backbone | Captioner, name: str) -> None:
    """Raise ConfigError where a record's checkpoint is the hub's and no revision is pinned."""
    if record.source == "hub" and record.revision is None:
        raise ConfigError(
            f"{record.table}.{name}: {record.checkpoint} is pinned to no revision, so results could not be repeated. "
            f"Take a commit's 40 digits from https://huggingface.co/{record.checkpoint}/commits/main and set them in "
            f"config.yaml: {record.table}: {{{name}: {{revision: ...}}}}. A copy on disk needs none: "
            f"{record.table}: {{{name}: {{source: folder, checkpoint: /path/to/it}}}}"
        )
