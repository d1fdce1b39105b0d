"""The single place where a path under `results/` is put together or taken apart.

    results/{corpus}/items.parquet                     a corpus' items with their media
    results/{corpus}/captions/{cover,video}.parquet    what a captioner says of each item
    results/{corpus}/hidden/{channel}/{backbone}.json  manifest, written last, of the store `{backbone}.zarr` beside it
    results/{corpus}/inputs/{channel}/{backbone}.json  the same for model-ready inputs
    results/checkpoints/{backbone}.json                beside the folder it vouches for
    results/backbones.json                             parameters of the backbones whose architecture the config gives
    results/backbones/{backbone}.json                  parameters of one that is counted from its checkpoint
    results/{dataset}/interactions.parquet             a data set, and its statistics.json
    results/{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}/metrics.json
    results/{dataset}/tuning/{model}/{inputs}.yaml     the best settings that a search found, and every trial beside it
    results/{dataset}/tuning/{model}/{inputs}/{variant}.yaml   the same with some settings given
    results/{dataset}/efficiency/{machine}.json        time, memory and parameters of Table 4's rows on one machine
    results/{dataset}/efficiency/{machine}/{measurement}.json        time and memory at the points of a figure

One run has one path: a setting equal to its default is never written, and inputs that are the data set's own are
letters. A path that says the same in another way is refused, naming the right one. The variant `tuned` stands for what
the search of that model and inputs finds; `tuned,name=value` for what it finds with that setting given.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sanrec.config import CHANNELS, LETTERS, Config, Settings, validate
from sanrec.errors import ConfigError, unknown
from sanrec.layers import canonical, kept_layers, rules_of_towers
from sanrec.methods import METHODS, Method

ROOT = "results"
TUNED = "tuned"
LATER = ("user_encoder",)  # settings that were added when runs of methods that have them already stood


@dataclass(frozen=True)
class Input:
    """One tower's source: a channel of the corpus, seen through a backbone; or `IDS`."""

    channel: str
    backbone: str


IDS = Input("ID", "")  # an item is known by its number alone: it needs no store


@dataclass(frozen=True)
class Run:
    """A training run, as its path names it: everything that decides its numbers."""

    dataset: str
    model: str
    inputs: tuple[Input, ...]
    settings: Settings
    seed: int
    inputs_text: str
    variant: str

    @property
    def features(self) -> tuple[Input, ...]:
        """The inputs that are read from stores: all but ids."""
        return tuple(source for source in self.inputs if source != IDS)

    @property
    def folder(self) -> str:
        """The folder of the run's files."""
        return f"{ROOT}/{self.dataset}/runs/{self.model}/{self.inputs_text}/{self.variant}/seed={self.seed}"

    @property
    def system(self) -> str:
        """What is trained, whatever the data and the seed: `crossan/TIVA/default`."""
        return f"{self.model}/{self.inputs_text}/{self.variant}"

    @property
    def given(self) -> str:
        """The variant without the word that has the rest searched for."""
        return given_of(self.variant)

    @property
    def search(self) -> str:
        """The search that finds the rest of a tuned run's settings; of any other run, none."""
        tuned_run = self.given != self.variant
        return tuning(self.dataset, self.model, self.inputs_text, self.given) if tuned_run else ""

    @property
    def metrics(self) -> str:
        """The file written last: a run is finished when it is there."""
        return f"{self.folder}/metrics.json"

    @property
    def weights(self) -> str:
        """The weights of the best epoch."""
        return f"{self.folder}/model.safetensors"

    @property
    def information(self) -> str:
        """The mutual information between the run's towers (CROSSAN, Table 1)."""
        return f"{self.folder}/information.json"

    @property
    def ranks(self) -> str:
        """The rank of each user's target, per split."""
        return f"{self.folder}/ranks.parquet"


def raw(corpus: str) -> str:
    """Path of the manifest of a corpus' raw files."""
    return f"{ROOT}/{corpus}/raw.json"


def items(corpus: str) -> str:
    """Path of a corpus' item table."""
    return f"{ROOT}/{corpus}/items.parquet"


def media_report(corpus: str) -> str:
    """Path of a corpus' list of media that are missing or broken."""
    return f"{ROOT}/{corpus}/media-report.csv"


def captions(corpus: str, medium: str) -> str:
    """Path of the captions of a corpus' covers or videos."""
    return f"{ROOT}/{corpus}/captions/{medium}.parquet"


def interactions(dataset: str) -> str:
    """Path of a data set's interactions."""
    return f"{ROOT}/{dataset}/interactions.parquet"


def statistics(dataset: str) -> str:
    """Path of a data set's counts."""
    return f"{ROOT}/{dataset}/statistics.json"


def popularity(dataset: str) -> str:
    """Path of the scores of popularity alone."""
    return f"{ROOT}/{dataset}/popularity.json"


def tuning(dataset: str, model: str, inputs_text: str, given: str = "default") -> str:
    """Path of the best settings that a search found; its trials stand in the csv of the same name.

    `given` is the variant whose settings the search takes as they are.
    """
    return f"{ROOT}/{dataset}/tuning/{model}/{inputs_text}{'' if given == 'default' else f'/{given}'}.yaml"


def tuned(dataset: str) -> str:
    """Path of the table of all that was tuned on a data set."""
    return f"{ROOT}/{dataset}/tuning.csv"


def searches(dataset: str, root: str | Path = ".") -> list[str]:
    """The paths of all searches that are finished on a data set, methods in the order of their registry."""
    folder = Path(root, ROOT, dataset, "tuning")
    found = [parse_tuning(path.as_posix()) for path in (*folder.glob("*/*.yaml"), *folder.glob("*/*/*.yaml"))]
    order = list(METHODS)
    known = sorted((order.index(model), *rest) for _, model, *rest in found if model in METHODS)
    return [tuning(dataset, order[place], *rest) for place, *rest in known]


def parse_tuning(path: str) -> tuple[str, str, str, str]:
    """The data set, model, inputs and the variant with the settings given that the path of a search's result names."""
    match = re.search(rf"(?:^|/){ROOT}/([^/]+)/tuning/([^/]+)/([^/]+?)(?:/([^/]+))?\.yaml$", path)
    if not match:
        raise ConfigError(f"'{path}' is no search: expected {ROOT}/DATASET/tuning/MODEL/INPUTS.yaml")
    return match[1], match[2], match[3], match[4] or "default"


def efficiency(dataset: str, machine: str) -> str:
    """Path of the times, memory and parameters measured on one machine."""
    return f"{ROOT}/{dataset}/efficiency/{machine}.json"


def parse_efficiency(path: str) -> tuple[str, str]:
    """The data set and the machine that the path of a measurement names."""
    match = re.search(rf"(?:^|/){ROOT}/([^/]+)/efficiency/([^/]+)\.json$", path)
    if not match:
        raise ConfigError(f"'{path}' is no measurement: expected {ROOT}/DATASET/efficiency/MACHINE.json")
    return match[1], match[2]


def costs(dataset: str, machine: str, measurement: str) -> str:
    """Path of the times and memory measured on one machine at the points of a figure."""
    return f"{ROOT}/{dataset}/efficiency/{machine}/{measurement}.json"


def parse_costs(path: str) -> tuple[str, str, str]:
    """The data set, the machine and the measurement that the path of a figure's measurement names."""
    match = re.search(rf"(?:^|/){ROOT}/([^/]+)/efficiency/([^/]+)/([^/]+)\.json$", path)
    if not match:
        raise ConfigError(f"'{path}' is no measurement: expected {ROOT}/DATASET/efficiency/MACHINE/MEASUREMENT.json")
    return match[1], match[2], match[3]


def cost_key(this: "Run", reads: str) -> str:
    """What a point of a measurement is known by: the system, and how it reads hidden states (see `methods.READS`)."""
    return f"{this.system}/{reads}"


def checkpoint(backbone: str) -> str:
    """Path of the manifest of a backbone's checkpoint; the checkpoint's folder is `store_of` it."""
    return f"{ROOT}/checkpoints/{backbone}.json"


def parameters(config: Config, backbone: str) -> str:
    """Path of the file that holds a backbone's number of parameters.

    One file for all whose architecture the config gives; one of its own for each that its checkpoint is needed for.
    """
    return f"{ROOT}/backbones.json" if config.find("backbone", backbone).architecture else own_parameters(backbone)


def own_parameters(backbone: str) -> str:
    """Path of the number of parameters of a backbone that is counted from its checkpoint."""
    return f"{ROOT}/backbones/{backbone}.json"


def hidden(corpus: str, channel: str, backbone: str) -> str:
    """Path of the manifest of a store of hidden states."""
    return f"{ROOT}/{corpus}/hidden/{channel}/{backbone}.json"


def inputs(corpus: str, channel: str, backbone: str) -> str:
    """Path of the manifest of a store of model-ready inputs."""
    return f"{ROOT}/{corpus}/inputs/{channel}/{backbone}.json"


def store_of(manifest: str) -> str:
    """The folder that a manifest vouches for: `x.zarr` beside `x.json`, or `x/` for a checkpoint."""
    stem = manifest.removesuffix(".json")
    return stem if stem.startswith(f"{ROOT}/checkpoints/") or "/checkpoints/" in stem else f"{stem}.zarr"


# -- inputs ------------------------------------------------------------------------------------------------------------


def parse_inputs(config: Config, dataset: str, text: str) -> tuple[Input, ...]:
    """The towers' sources that `text` names: letters (`TIVA`) or channels joined by + (`title@bert-base+cover`).

    Ids stand before both, alone (`ID`) or joined by + (`ID+V`, `ID+video@x`). Raises ConfigError for an unknown letter,
    channel or backbone, for a backbone of another modality, for a channel that the data set has no backbone for, and
    for a spelling that is not the canonical one.
    """
    own = config.find("dataset", dataset).backbones
    where = f"inputs '{text}' of data set '{dataset}'"
    found = []
    parts = text.split("+")
    if IDS.channel in parts:
        found.append(IDS)
        parts = [part for part in parts if part != IDS.channel]
    letters = len(parts) == 1 and bool(re.fullmatch("[A-Z]+", parts[0]))
    for part in parts[0] if letters else parts:
        if letters and part not in LETTERS:
            raise unknown("letter", part, LETTERS, where)
        channel, at, backbone = (LETTERS[part] if letters else part).partition("@")
        if channel not in CHANNELS:
            raise unknown("channel", channel, CHANNELS, where)
        if not at:
            if channel not in own:
                raise ConfigError(f"{where}: it has no backbone for channel '{channel}'; write {channel}@NAME")
            backbone = own[channel]
        record = config.find("backbone", backbone, where)
        if record.modality != CHANNELS[channel]:
            reads, wanted = record.modality, CHANNELS[channel]
            raise ConfigError(f"{where}: backbone '{backbone}' reads {reads}, but '{channel}' is {wanted}")
        found.append(Input(channel, backbone))
    canonical = format_inputs(config, dataset, found)
    if canonical != text:
        raise ConfigError(f"{where} are written '{canonical}': one run has one path")
    return tuple(found)


def format_inputs(config: Config, dataset: str, sources: Sequence[Input]) -> str:
    """The canonical spelling: letters in the papers' order where every source is the data set's own, else channels.

    Ids come first.
    """
    if IDS in sources:
        rest = [source for source in sources if source != IDS]
        return "+".join([IDS.channel, *([format_inputs(config, dataset, rest)] if rest else [])])
    own = config.find("dataset", dataset).backbones
    letter = {channel: name for name, channel in LETTERS.items()}
    names = [s.channel for s in sources]
    if len(set(names)) == len(names) and all(own.get(s.channel) == s.backbone and s.channel in letter for s in sources):
        return "".join(name for name, channel in LETTERS.items() if channel in names)
    order = list(CHANNELS)  # stable: two views of one channel keep theirs
    ordered = sorted(sources, key=lambda source: order.index(source.channel))
    return "+".join(s.channel if own.get(s.channel) == s.backbone else f"{s.channel}@{s.backbone}" for s in ordered)


# -- settings and variants ---------------------------------------------------------------------------------------------


def method(model: str) -> Method:
    """The method of that name. Raises ConfigError, with the nearest valid name, where there is none."""
    if model not in METHODS:
        raise unknown("model", model, METHODS)
    return METHODS[model]


def default_settings(config: Config, dataset: str, model: str) -> Settings:
    """The method's defaults under those of the data set (`all` first, then the method's own)."""
    valid = method(model).valid_settings
    own = config.find("dataset", dataset).settings
    for key in own:
        if key != "all" and key not in METHODS:
            raise unknown("model", key, ["all", *METHODS], f"settings of data set '{dataset}'")
    for key in own.get(model, {}):
        if key not in valid:
            raise unknown("setting", key, valid, f"settings of data set '{dataset}' for '{model}'")
    shared = {k: v for k, v in own.get("all", {}).items() if k in valid or k not in Settings.model_fields}
    merged = {**method(model).defaults, **shared, **own.get(model, {})}
    settings = validate(Settings, merged, f"settings of data set '{dataset}' for '{model}'")
    return _one_spelling(settings, settings.blocks)


def parse_variant(config: Config, dataset: str, model: str, text: str) -> Settings:
    """The settings of a variant, `default` or `name=value,name=value` in the order of `Settings`.

    Raises ConfigError for a setting the method does not have, a bad value, and for a spelling that is not canonical.
    """
    where = f"variant '{text}' of '{model}' on '{dataset}'"
    values: dict[str, Any] = {}
    for part in [] if text == "default" else text.split(","):
        name, equals, value = part.partition("=")
        if name not in method(model).valid_settings:
            raise unknown("setting", name, method(model).valid_settings, where)
        if not equals:
            raise ConfigError(f"{where}: '{part}' is not of the form name=value")
        values[name] = yaml.safe_load(value) if value in ("true", "false") else value
    base = default_settings(config, dataset, model)
    settings = validate(Settings, {**base.model_dump(), **values}, where)
    canonical = format_variant(config, dataset, model, settings)
    if canonical != text:
        raise ConfigError(f"{where} is written '{canonical}': one run has one path, a default is never written")
    return settings


def format_variant(config: Config, dataset: str, model: str, settings: Settings | Mapping[str, Any]) -> str:
    """The canonical variant of full `settings`, or of the mapping's values over the defaults."""
    base = default_settings(config, dataset, model)
    if not isinstance(settings, Settings):
        for name in settings:
            if name not in method(model).valid_settings:
                raise unknown("setting", name, method(model).valid_settings, f"a variant of '{model}'")
        settings = validate(Settings, {**base.model_dump(), **settings}, f"a variant of '{model}' on '{dataset}'")
    idle, said = _without_effect(settings), _one_spelling(settings, base.blocks)
    changed = [
        f"{name}={spell(getattr(said, name))}"
        for name in Settings.model_fields
        if name not in idle and getattr(said, name) != getattr(base, name)
    ]
    return ",".join(changed) or "default"


def given_of(variant: str) -> str:
    """The settings that a variant gives itself: all of it, or what stands behind `tuned`."""
    word, _, rest = variant.partition(",")
    return (rest or "default") if word == TUNED else variant


def tuned_variant(given: str = "default") -> str:
    """The variant with the settings of `given`, and all others as a search finds them."""
    return TUNED if given == "default" else f"{TUNED},{given}"


def given_names(given: str) -> set[str]:
    """The names of the settings that a variant gives."""
    return set() if given == "default" else {part.partition("=")[0] for part in given.split(",")}


def _without_effect(settings: Settings) -> set[str]:
    """The settings that others make idle: experts without MOMEF, attention heads without a transformer."""
    idle = set() if settings.fusion == "momef" else {"top_k"}
    return idle if settings.user_encoder == "transformer" else idle | {"user_heads"}


def recorded_settings(this: Run) -> set[str]:
    """The names of the settings that a run is known by: its method's, those that came later only where they are set.

    So a setting that is added changes nothing about runs that were made before it.
    """
    unset = {name for name in LATER if getattr(this.settings, name) == Settings.model_fields[name].default}
    return set(method(this.model).valid_settings) - unset


def _one_spelling(settings: Settings, usual_blocks: int) -> Settings:
    """Settings with `layers` and `blocks`, which together can say one thing in several ways, in the canonical one."""
    layers, blocks = canonical(settings.layers, settings.blocks, usual_blocks)
    return settings.model_copy(update={"layers": layers, "blocks": blocks})


def spell(value: Any) -> str:
    """A setting's value as it stands in a path: booleans as in yaml, floats as short as they read back the same."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


# -- runs --------------------------------------------------------------------------------------------------------------


def run(
    config: Config,
    dataset: str,
    model: str,
    inputs_text: str,
    variant: str | Mapping[str, Any] = "default",
    seed: int = 0,
) -> Run:
    """The run with these names, checked. `variant` is its canonical text, or a mapping of settings that differ.

    Of a tuned run the settings are those that it has before the search: `searches.settled` has them after it.
    """
    sources = parse_inputs(config, dataset, inputs_text)
    spec = method(model)
    features = [source for source in sources if source != IDS]
    if spec.ids != (IDS in sources):
        right = format_inputs(config, dataset, [IDS, *features] if spec.ids else features)
        what = "trains on ids" if spec.ids else "reads no ids"
        hint = f": write '{right}'" if right else ""
        raise ConfigError(f"{spec.title} {what}, so not on inputs '{inputs_text}'{hint}")
    if spec.trains == "sequences" and config.datasets[dataset].split == "given":
        raise ConfigError(
            f"{spec.title} reads what a user took in its order, and the given split of data set '{dataset}' has none: "
            "methods that train on pairs can be run on it"
        )
    if spec.reads != "final" and (made := [s for s in features if config.backbones[s.backbone].source == "features"]):
        raise ConfigError(
            f"{spec.title} reads layers or media, but '{made[0].backbone}' is ready-made features: one vector per item"
        )
    fewest, most = spec.fewest_channels, spec.most_channels
    if len(features) < fewest or (most is not None and len(features) > most):
        number = f"exactly {fewest}" if fewest == most else f"at least {fewest}"
        beside = " beside ids" if spec.ids else ""
        raise ConfigError(f"{spec.title} takes {number} inputs{beside}, not '{inputs_text}'")
    quantised = [source.backbone for source in features if config.backbones[source.backbone].quantization]
    if spec.reads == "inputs" and quantised:
        raise ConfigError(f"{spec.title} trains its backbones, but the weights of '{quantised[0]}' are quantised")
    text = variant if isinstance(variant, str) else format_variant(config, dataset, model, variant)
    if given_of(text) != text and text != (right := tuned_variant(given_of(text))):
        raise ConfigError(f"variant '{text}' is written '{right}': one run has one path")
    settings = parse_variant(config, dataset, model, given_of(text))
    if not features and settings.feature_layer != default_settings(config, dataset, model).feature_layer:
        raise ConfigError(f"variant '{text}': feature_layer needs features, and inputs '{inputs_text}' have none")
    if "layers" in spec.valid_settings:
        for source, rule in zip(features, rules_of_towers(settings.layers, len(features)), strict=True):
            try:
                kept_layers(config.backbones[source.backbone].blocks, rule, settings.blocks)
            except ConfigError as error:
                raise ConfigError(f"{source.channel}@{source.backbone}: {error}") from None
    return Run(dataset, model, sources, settings, int(seed), inputs_text, text)


def parse_run(config: Config, path: str) -> Run:
    """The run that a path inside its folder belongs to."""
    pattern = rf"{ROOT}/([^/]+)/runs/([^/]+)/([^/]+)/([^/]+)/seed=(0|[1-9]\d*)(?:/.*)?"
    match = re.search(rf"(?:^|/){pattern}$", path)
    if not match:
        raise ConfigError(f"'{path}' is no run: expected {ROOT}/DATASET/runs/MODEL/INPUTS/VARIANT/seed=N")
    dataset, model, inputs_text, variant, seed = match.groups()
    return run(config, dataset, model, inputs_text, variant, int(seed))


def reads_inputs(this: Run) -> bool:
    """Whether the run has the backbones in its training steps: because it tunes them, or because nothing is cached."""
    return method(this.model).reads == "inputs" or not this.settings.cached


def run_needs(config: Config, this: Run) -> list[str]:
    """The artifacts that a run reads: its data set, and each source's hidden states, or inputs and checkpoints.

    A tuned run reads its search first.

    Raises ConfigError for a backbone of the hub without a pinned revision.
    """
    corpus = config.find("corpus", config.find("dataset", this.dataset).corpus)
    assert corpus is not None
    name = config.datasets[this.dataset].corpus
    needs = [*([this.search] if this.search else []), interactions(this.dataset)]
    for source in dict.fromkeys(this.features):
        config.backbones[source.backbone].pinned(source.backbone)
        if reads_inputs(this):
            needs += [inputs(name, source.channel, source.backbone), checkpoint(source.backbone)]
        else:
            needs.append(hidden(name, source.channel, source.backbone))
    return needs
