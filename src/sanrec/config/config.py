"""The whole of it."""

from typing import Annotated, Any, Literal

from pydantic import (
    ByteSize,
    Field,
    NonNegativeInt,
    WithJsonSchema,
)

from sanrec.config.backbones import Backbone, Captioner
from sanrec.config.base import USUAL_CAPTIONERS, Frozen
from sanrec.config.data import Corpus, Dataset
from sanrec.config.own import OwnMethod, OwnUserEncoder
from sanrec.config.studies import Resources, Study, Threads, Timing, Tuning
from sanrec.errors import ConfigError, unknown


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
    resources: Resources = Resources()
    """Time and memory that jobs ask a cluster for (docs: hpc)."""
    memory_budget: Annotated[ByteSize, Field(gt=0), WithJsonSchema({"type": ["string", "integer"]})] | None = None
    """Memory for a run's hidden states, as 8GB. Where they need more, three quarters of it hold the items met most
    often, and the others are read from a file in the run's folder while it trains; the last quarter is left for what
    steps read ahead, some 45 kB per item that is lacking (four channels of seven layers of width 768). Numbers do not
    change. By default all are in memory."""
    activation_checkpointing: bool = False
    """Whether backbones that are tuned forget their inner states and compute them again in the backward pass: a third
    slower, in a fraction of the memory; numbers do not change. Not every architecture can. Measurements of time and
    memory leave out this key and `memory_budget`."""
    tracking: Literal["none", "tensorboard"] = "none"
    """Whether training writes event files for TensorBoard too, in the folder `tensorboard` of each run: loss,
    validation metrics, learning rates, seconds and memory per epoch, and the settings (docs: tracking). Numbers do not
    change, and no run is made anew for it."""
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
    methods: dict[str, OwnMethod] = {}
    """Item encoders of one's own, as methods by name (docs: own/item-encoder)."""
    user_encoders: dict[str, OwnUserEncoder] = {}
    """User encoders of one's own by name (docs: own/user-encoder)."""
    tables: tuple[str, ...] = ()
    """Tables of one's own: yaml files from the working folder, or patterns of them (`tables/*.yaml`); each is made as
    `results/NAME.csv` (docs: own/table)."""

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
