"""The one configuration object: frozen pydantic records, unknown keys refused with the nearest valid name.

Ground floor: imports nothing of sanrec but its errors and the language of `layers`, and no heavy library. `sanrec.load`
fills a `Config` from the built-in registries and the user's config.yaml.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic import PositiveFloat as Positive
from pydantic import PositiveInt as Count

from sanrec.errors import ConfigError, unknown
from sanrec.layers import PATTERN, RULE, split_rules

Modality = Literal["text", "image", "video", "audio"]
Pooling = Literal["first", "mean", "last"]
Label = Annotated[str, WithJsonSchema({"type": ["string", "integer"]})]  # yaml reads 0 as a number
Fusion = Literal["concat", "static", "dynamic", "momef"]

CHANNELS: dict[str, Modality] = {  # a channel is one view of an item
    "title": "text",
    "cover": "image",
    "video": "video",
    "audio": "audio",
    "cover-caption": "text",
    "video-caption": "text",
}
LETTERS = {"T": "title", "I": "cover", "V": "video", "A": "audio"}  # in the papers' order
CAPTIONED: dict[str, str] = {"cover-caption": "cover", "video-caption": "video"}  # what a channel's captions are of
Medium = Literal["cover", "video"]
USUAL_CAPTIONERS: dict[str, dict[str, str]] = {  # by the corpus' source; those of files are IISAN-Versa's (IV-A)
    "files": {"cover": "llava-mistral-7b", "video": "llava-34b"},
    "demo": {"cover": "llava", "video": "llava"},
}


class Frozen(BaseModel):
    """A record that cannot change and takes no key it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Settings(Frozen):
    """All that changes a run's numbers beside its data, method, inputs and seed. The order is that of `variant`."""

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
    user_encoder: Literal["transformer", "gru4rec", "nextitnet", "youtube"] = "transformer"
    """What turns a history into a user's state: a transformer (SASRec's, the papers'), a GRU, dilated convolutions, or
    the mean of the history under a perceptron; methods called after one have that one."""
    user_blocks: Count = 2
    """Depth of the user encoder: transformer blocks, layers of the GRU or of the perceptron, or pairs of residual
    blocks of convolutions, with dilations 1 and 4."""
    user_heads: Count = 2
    """Attention heads of the user encoder, where it is a transformer."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout in the user encoder; of BM3's targets, of the deep part of NFM and DeepFM, of MHCR's hyperedges."""
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
    """Share of interactions that FREEDOM leaves out of its graph in each epoch."""
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


class Download(Frozen):
    """A file to fetch from the first of its URLs that answers."""

    file: str
    """Path below the corpus' folder at which it is stored."""
    urls: tuple[str, ...] = ()
    """Where to fetch it: the address and its mirrors, tried in order."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Checksum; a file that differs is refused."""
    unpack: bool = False
    """Whether it is a zip or tar archive to be unpacked beside itself."""


class Corpus(Frozen):
    """Items with their media."""

    title: str
    """Name as printed."""
    layout: Literal["microlens", "amazon", "inter"]
    """How its files are laid out (docs: data-own)."""
    source: Literal["demo", "files"] = "files"
    """`demo`: made by sanrec's generator; `files`: found below `folder`, or downloaded into it."""
    folder: str
    """Folder of the raw files; a relative path starts at the working folder."""
    titles: str | None = None
    """The titles file, below `folder`. Layout `inter` may do without: then `item_count` says which items there are."""
    item_count: Count | None = None
    """With layout `inter` and no titles: how many items; their ids are 0, 1, ..., the rows of the feature files."""
    covers: str | None = None
    """Folder of cover images, below `folder`; files are named by item id."""
    videos: str | None = None
    """Folder of videos, below `folder`."""
    audios: str | None = None
    """Folder of sound files, below `folder`; where there is none, the sound comes from the video."""
    downloads: tuple[Download, ...] = ()
    """What the download rule fetches into `folder`."""
    world: dict[str, int | float] = {}
    """With source `demo`: numbers of the generated world that differ from its own (docs: demo)."""
    missing_limit: float = Field(0.05, ge=0, le=1)
    """Largest share of items whose medium may be missing or broken before extraction is an error."""
    captioners: dict[Medium, str] = {}
    """The captioner of covers and that of videos, where they are not the usual ones: those of IISAN-Versa, and in a
    demo's corpus the demo's."""

    @model_validator(mode="after")
    def _its_items_are_listed_once(self) -> "Corpus":
        if self.titles is None and (self.layout != "inter" or self.item_count is None):
            raise ValueError("needs 'titles', the file that lists its items; with layout inter, 'item_count' will do")
        if self.titles is not None and self.item_count is not None:
            raise ValueError("its items are listed by 'titles', so leave out 'item_count'")
        return self


class Columns(Frozen):
    """The names of an interaction table's columns (layout `inter`)."""

    user: str = "userID"
    """Users' ids."""
    item: str = "itemID"
    """Items' ids."""
    label: str = "x_label"
    """Which split an interaction belongs to; read where the data set's split is given."""


class Labels(Frozen):
    """What the label column holds for each split, as it stands in the file."""

    train: Label = "0"
    """Interactions that train."""
    validation: Label = "1"
    """Interactions that early stopping and tuning watch."""
    test: Label = "2"
    """Interactions that are scored once, at the end."""

    @field_validator("*", mode="before")
    @classmethod
    def _labels_are_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _labels_differ(self) -> "Labels":
        if len({self.train, self.validation, self.test}) < 3:
            raise ValueError("train, validation and test need three different labels")
        return self


class Dataset(Frozen):
    """Interactions over a corpus, with the backbones and default settings that go with them."""

    title: str
    """Name as printed in tables."""
    corpus: str
    """The corpus its items are from."""
    pairs: str
    """The interactions file, below the corpus' folder: `user<TAB>item item ...`, oldest first; with layout `inter` a
    table with a header, one interaction a line, columns parted by tabs."""
    split: Literal["leave-one-out", "given"] = "leave-one-out"
    """`leave-one-out`: each user's last item tests, the one before validates; `given`: by the table's label column,
    with any number of targets per user, for methods that read no order."""
    columns: Columns = Columns()
    """With layout `inter`: the names of the table's columns."""
    labels: Labels = Labels()
    """With a given split: what the labels mean."""
    min_interactions: int = Field(5, ge=3)
    """Users with fewer are dropped; a given split is taken whole."""
    keep_last: int = Field(13, ge=3)
    """Each user's last so many interactions are kept; a given split is taken whole."""
    watched_metric: str | None = Field(None, pattern=r"^(HR|NDCG|MRR|Recall)@(5|10|20)$")
    """The validation metric that early stopping and tuning go by: HR@10 unless given, Recall@20 with a given split."""
    backbones: dict[str, str]
    """The backbone of each channel, for inputs that name none."""
    settings: dict[str, dict[str, Any]] = {}
    """Default settings that differ from the method's: under `all`, or under one method's name."""

    @property
    def watched(self) -> str:
        """The validation metric that early stopping and tuning go by."""
        return self.watched_metric or {"leave-one-out": "HR@10", "given": "Recall@20"}[self.split]


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
    file [items, width], a row per item of the corpus, in its order."""
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
    kept_layers: str = Field("full", pattern=rf"^(?:{RULE})$")
    """Which blocks' states extraction stores, by one rule in the language of the setting `layers`; the embeddings and
    the final state always. By default all; `even` keeps what runs read by default: of Llama-3-70b 7 layers in 81."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Type of its weights and arithmetic where it is frozen; states are pooled in float32. Tuned, it is float32."""
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


class Study(Frozen):
    """Which data sets and seeds the tables take; but for `trials` nothing in it changes a run's numbers."""

    title: str
    """Name as printed."""
    datasets: tuple[str, ...]
    """Data sets of CROSSAN's tables, in their order."""
    versa_datasets: tuple[str, ...] = ()
    """Data sets of IISAN-Versa's Table I, in its order."""
    amazon_datasets: tuple[str, ...] = ()
    """Data sets of IISAN-Versa's Table III, in its order; its Tables IV, VI, VII and VIII take the first."""
    microlens_datasets: tuple[str, ...] = ()
    """Data sets of IISAN-Versa's Tables V and IX."""
    stand_ins: dict[str, str] = {}
    """Which backbone stands for each of IISAN-Versa's, by its name in the registry; where any is named, rows of its
    tables with other backbones have the paper's figures only. None is named: its own."""
    without: tuple[str, ...] = ()
    """Backbones that are not to be run, as those too large for one's GPUs: rows with them have the paper's figures
    only."""
    seeds: tuple[NonNegativeInt, ...] = (0,)
    """One training run per seed."""
    figure_seeds: tuple[NonNegativeInt, ...] | None = None
    """Seeds of the figures, whose error bars are over them; by default those of the tables."""
    trials: Count = 8
    """Settings tried per method and inputs where tables compare what was tuned."""
    points: dict[str, tuple[float, ...]] = {}
    """The values at which each sweep of the figures is run, by the sweep's name: another value is another point."""

    @property
    def all_datasets(self) -> tuple[str, ...]:
        """Every data set that it takes, each once."""
        return tuple(
            dict.fromkeys((*self.datasets, *self.versa_datasets, *self.amazon_datasets, *self.microlens_datasets))
        )


class Threads(Frozen):
    """CPU threads per job of each step; Snakemake runs as many jobs side by side as `--cores` has room for."""

    extract: Count = 1
    """Extraction of hidden states and of model-ready inputs."""
    train: Count = 1
    """Training. Another number gives other last bits."""


class Timing(Frozen):
    """How time and memory are measured: by epochs for CROSSAN's Table 4, by steps for IISAN-Versa's Figures 5 and 7."""

    warm_up: NonNegativeInt = 1
    """Epochs before the clock counts: they fill caches and allocators."""
    repeats: Count = 3
    """Epochs that are timed; their median is the figure, their least and most its spread."""
    warm_up_steps: NonNegativeInt = 5
    """Training steps before the clock counts, at each point of a figure."""
    steps: Count = 20
    """Training steps that are timed at each point of a figure; their median, times an epoch's number of steps, is the
    time of an epoch."""


class Tuning(Frozen):
    """How settings are searched for (docs: tuning): the same for every method, on the validation split alone."""

    trials: Count | None = None
    """Settings tried per method and inputs, the first of them the data set's own for the method; by default the
    study's number."""
    seed: NonNegativeInt = 0
    """Seed of the search, and of every trial's training."""
    startup: NonNegativeInt = 4
    """Trials drawn at random before the search learns from those it has seen, and before any is cut short."""
    warm_up: NonNegativeInt = 5
    """Epochs of a trial before it may be cut short for being worse than the median of the others."""


class Config(Frozen):
    """Everything that sanrec is told: the registries, widened and overridden by config.yaml."""

    study: str = "demo"
    """The study that the tables are made for."""
    seeds: tuple[NonNegativeInt, ...] | None = None
    """Seeds, in place of the study's."""
    machine: str = Field("auto", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the machine on which times and memory are measured (CROSSAN's Table 4, IISAN-Versa's Figures 5 and 7),
    part of the measurement's path; auto takes it from the GPU or processor. On a cluster: a name for its nodes."""
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """Where models run: auto takes a GPU if there is one."""
    threads: Threads = Threads()
    """CPU threads per job."""
    timing: Timing = Timing()
    """How times and memory are measured."""
    tuning: Tuning = Tuning()
    """How settings are searched for."""
    studies: dict[str, Study] = {}
    """Studies by name."""
    corpora: dict[str, Corpus] = {}
    """Corpora by name."""
    datasets: dict[str, Dataset] = {}
    """Data sets by name."""
    backbones: dict[str, Backbone] = {}
    """Backbones by name."""
    captioners: dict[str, Captioner] = {}
    """Captioners by name."""

    def find(
        self, kind: Literal["study", "corpus", "dataset", "backbone", "captioner"], name: str, where: str = ""
    ) -> Any:
        """The record of that name. Raises ConfigError, with the nearest valid name, where there is none."""
        table = getattr(self, {"study": "studies", "corpus": "corpora"}.get(kind, f"{kind}s"))
        if name not in table:
            raise unknown(kind, name, table, where)
        return table[name]

    def find_checkpoint(self, name: str) -> Backbone | Captioner:
        """The backbone or captioner of that name: their checkpoints lie side by side. Raises ConfigError."""
        if name in self.captioners:
            return self.captioners[name]
        if name in self.backbones:
            return self.backbones[name]
        raise unknown("backbone or captioner", name, [*self.backbones, *self.captioners])

    def find_captioner(self, corpus: str, medium: str) -> str:
        """The name of the captioner that makes the captions of a corpus' covers or videos.

        Raises ConfigError for an unknown corpus or medium, and where the captioner has no prompt for the medium.
        """
        record = self.find("corpus", corpus)
        if medium not in USUAL_CAPTIONERS[record.source]:
            raise unknown("medium", medium, USUAL_CAPTIONERS[record.source], "captions")
        name = record.captioners.get(medium, USUAL_CAPTIONERS[record.source][medium])
        prompts = self.find("captioner", name, f"corpora.{corpus}.captioners.{medium}").prompts
        if medium not in prompts:
            raise ConfigError(f"captioner '{name}' has no prompt for {medium}s: set captioners.{name}.prompts.{medium}")
        return name

    @property
    def trials(self) -> int:
        """How many settings a search tries."""
        return self.tuning.trials or self.chosen_study.trials

    @property
    def chosen_study(self) -> Study:
        """The study named by `study`, with `seeds` in place of its own where given, for tables and figures."""
        study = self.find("study", self.study, "config key 'study'")
        if self.seeds is not None:
            return study.model_copy(update={"seeds": self.seeds, "figure_seeds": self.seeds})
        return study if study.figure_seeds is not None else study.model_copy(update={"figure_seeds": study.seeds})


def validate(model: type[Frozen], values: Mapping[str, Any], where: str) -> Any:
    """Build `model` from `values`, turning pydantic's complaints into one ConfigError for people.

    `where` says what the values are, as `config.yaml`. Every complaint is listed; unknown keys get the nearest
    valid one.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        lines = []
        for complaint in error.errors():
            place = ".".join(str(part) for part in complaint["loc"])
            if complaint["type"] == "extra_forbidden":
                keys = _fields_at(model, complaint["loc"][:-1])
                before = [str(part) for part in complaint["loc"][:-1]]
                lines.append(str(unknown("key", place, [".".join([*before, key]) for key in keys])))
            else:
                given = f", not {complaint.get('input')!r}" if place else ""  # else it is the whole record
                lines.append(f"{place or 'value'}: {complaint['msg']}{given}")
        raise ConfigError(f"{where}: " + "; ".join(lines)) from None


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The field names of the record that `path` leads to from `model`, through dicts and tuples of records."""
    for part in path:
        field = model.model_fields.get(str(part))
        annotation: Any = field.annotation if field else model
        inner = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = inner[0] if inner else model
    return list(model.model_fields)
