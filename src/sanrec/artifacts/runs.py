"""Runs: from their path to all that decides their numbers, and back."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sanrec.artifacts.paths import ROOT, checkpoint, hidden, interactions, tuning
from sanrec.artifacts.paths import inputs as stored_inputs
from sanrec.artifacts.sources import IDS, Input, format_inputs, parse_inputs
from sanrec.artifacts.variants import (
    default_settings,
    format_variant,
    given_of,
    method,
    parse_variant,
    tuned_variant,
)
from sanrec.config import Config, Settings
from sanrec.errors import ConfigError, DataError
from sanrec.layers import kept_layers, rules_of_towers
from sanrec.methods import Method

LATER = (
    "user_encoder",
    "missing",
    "missing_share",
    "cosine_temperature",
    "weight_averaging",
    "recipe",
)  # settings that were added when runs of methods that have them already stood


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
    spec: Method = field(compare=False, repr=False)
    """What its method is, of the registry or of the user's own."""

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

    @property
    def top(self) -> str:
        """The best items of each user of the test split, in order."""
        return f"{self.folder}/top.parquet"


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
    spec = method(config, model)
    features = [source for source in sources if source != IDS]
    ids = IDS in sources
    if ids != spec.ids and not (ids and spec.may_have_ids):
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
        raise ConfigError(f"{spec.title} {_wanted(spec, ids)}, not '{inputs_text}'")
    quantised = [source.backbone for source in features if config.backbones[source.backbone].quantization]
    if spec.reads == "inputs" and quantised:
        raise ConfigError(f"{spec.title} trains its backbones, but the weights of '{quantised[0]}' are quantised")
    text = variant if isinstance(variant, str) else format_variant(config, dataset, model, variant)
    if given_of(text) != text and text != (right := tuned_variant(given_of(text))):
        raise ConfigError(f"variant '{text}' is written '{right}': one run has one path")
    settings = parse_variant(config, dataset, model, given_of(text))
    if not features and settings.feature_layer != default_settings(config, dataset, model).feature_layer:
        raise ConfigError(f"variant '{text}': feature_layer needs features, and inputs '{inputs_text}' have none")
    for source in features if settings.feature_layer != "final" else ():
        if int(settings.feature_layer) > (blocks := config.backbones[source.backbone].blocks):
            raise ConfigError(
                f"variant '{text}': '{source.backbone}' has {blocks} blocks, so its layers are 0 to {blocks}"
            )
    if "layers" in spec.valid_settings:
        for source, rule in zip(features, rules_of_towers(settings.layers, len(features)), strict=True):
            try:
                kept_layers(config.backbones[source.backbone].blocks, rule, settings.blocks)
            except ConfigError as error:
                raise ConfigError(f"{source.channel}@{source.backbone}: {error}") from None
    return Run(dataset, model, sources, settings, int(seed), inputs_text, text, spec)


def _wanted(spec: Method, ids: bool) -> str:
    """How many inputs a method reads, in words, beside ids where it has these."""
    fewest, most = spec.fewest_channels, spec.most_channels
    if most == 0:
        return f"reads ids alone ({IDS.channel})"
    number = f"exactly {fewest}" if fewest == most else f"at least {fewest}"
    if not ids:
        return f"takes {number} inputs"
    return f"takes {number} beside ids (as {IDS.channel}+{'TI' if fewest > 1 else 'V'})"


def recorded_settings(this: Run) -> set[str]:
    """The names of the settings that a run is known by: its method's, those that came later only where they are set.

    So a setting that is added changes nothing about runs that were made before it.
    """
    unset = {name for name in LATER if getattr(this.settings, name) == Settings.model_fields[name].default}
    return set(this.spec.valid_settings) - unset


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
    return this.spec.reads == "inputs" or not this.settings.cached


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
            needs += [stored_inputs(name, source.channel, source.backbone), checkpoint(source.backbone)]
        else:
            needs.append(hidden(name, source.channel, source.backbone))
    return needs


def require(needs: Sequence[str]) -> None:
    """Raise DataError for the first artifact that is not there, saying what makes it."""
    for path in needs:
        if not Path(path).exists():
            raise DataError(f"{path}: no such file. Make it: snakemake {path} --cores")


def cost_key(this: Run, reads: str) -> str:
    """What a point of a measurement is known by: the system, and how it reads hidden states (see `methods.READS`)."""
    return f"{this.system}/{reads}"
