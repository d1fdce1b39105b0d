"""The configuration: built-in registries under the user's config.yaml."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sanrec.artifacts import default_settings, methods
from sanrec.backbones.registry import BACKBONES
from sanrec.captions.registry import CAPTIONERS
from sanrec.config import (
    CHANNELS,
    Backbone,
    Captioner,
    Config,
    Corpus,
    Dataset,
    Frozen,
    Settings,
    Study,
    validate,
)
from sanrec.data.registry import CORPORA, DATASETS, STUDIES
from sanrec.errors import ConfigError, unknown
from sanrec.files import read_yaml
from sanrec.methods import METHODS, USER_ENCODERS
from sanrec.recipes import MODERN

REGISTRIES: dict[str, tuple[type[Frozen], Mapping[str, Frozen]]] = {
    "studies": (Study, STUDIES),
    "corpora": (Corpus, CORPORA),
    "datasets": (Dataset, DATASETS),
    "backbones": (Backbone, BACKBONES),
    "captioners": (Captioner, CAPTIONERS),
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of an entry: it becomes a part of paths


def load_config(source: str | Path | Mapping[str, Any] | None = None) -> Config:
    """The config of a yaml file, or of a mapping already read (Snakemake's `config`), over the built-in registries.

    An entry under a built-in's name overrides only the keys it gives. Raises ConfigError for anything unknown, and for
    names that could lead elsewhere as part of a path.
    """
    if source is None or isinstance(source, Mapping):
        values, where = dict(source or {}), "config"
    else:
        values, where = read_yaml(source, "config"), str(source)
    for key, (record, builtin) in REGISTRIES.items():
        given = values.get(key) or {}
        if not isinstance(given, Mapping):
            raise ConfigError(f"{where}: '{key}' holds entries by name, not {type(given).__name__}")
        merged: dict[str, Frozen] = dict(builtin)
        for name, entry in given.items():
            check_name(name, f"{where}: {key}")
            if not isinstance(entry, Mapping):
                raise ConfigError(f"{where}: {key}.{name} holds keys and values, not {type(entry).__name__}")
            base = builtin[name].model_dump() if name in builtin else {}
            if isinstance(entry.get("points"), Mapping):  # one sweep's points leave the other sweeps' alone
                entry = {**entry, "points": {**base.get("points", {}), **entry["points"]}}
            if key == "datasets" and name not in builtin:
                entry = with_recipe(entry)
            merged[name] = validate(record, {**base, **entry}, f"{where}: {key}.{name}")
        values[key] = merged
    for key in ("methods", "user_encoders"):
        for name in values[key] if isinstance(values.get(key), Mapping) else ():
            check_name(name, f"{where}: {key}")
    config = validate(Config, values, where)
    check_own_names(config, where)
    check_references(config, where)
    return config


def with_recipe(dataset: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entry of one's own data set with the recipe that is better on real data, unless it names one."""
    settings = dataset.get("settings", {})
    shared = settings.get("all", {}) if isinstance(settings, Mapping) else None
    if not isinstance(shared, Mapping) or "recipe" in shared:
        return dataset  # what is no mapping is refused with the rest
    return {**dataset, "settings": {**settings, "all": {"recipe": MODERN, **shared}}}


def check_name(name: Any, where: str) -> None:
    """Raise ConfigError for a name of an entry that could lead elsewhere as part of a path."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        allowed = "letters, digits, '.', '_' and '-', the first a letter or digit, since it is part of paths"
        raise ConfigError(f"{where}: {name!r} is no name: one is made of {allowed}")


def check_own_names(config: Config, where: str) -> None:
    """Raise ConfigError for a name of one's own that is built in, or for what is no setting."""
    for key, builtin in (("methods", METHODS), ("user_encoders", USER_ENCODERS)):
        for name in getattr(config, key):
            if name in builtin:
                raise ConfigError(f"{where}: {key}.{name}: '{name}' is built in; take another name")
    for name, record in config.methods.items():
        if "recipe" in record.defaults:
            raise ConfigError(
                f"{where}: methods.{name}: a method's defaults name no recipe, for they stand above any: write the "
                f"values there, or a recipe among a data set's settings: {{{name}: {{recipe: papers}}}}"
            )
        for setting in (*record.settings, *record.defaults):
            if setting not in Settings.model_fields:
                raise unknown("setting", setting, Settings.model_fields, f"{where}: methods.{name}")


def check_references(config: Config, where: str) -> None:
    """Every name that one record gives for another must exist. Raises ConfigError, saying where."""
    config.find("study", config.study, f"{where}: key 'study'")
    for name, study in config.studies.items():
        for dataset in study.all_datasets:
            config.find("dataset", dataset, f"{where}: studies.{name}")
        for theirs, ours in study.stand_ins.items():
            here = f"{where}: studies.{name}.stand_ins.{theirs}"
            if config.find("backbone", theirs, here).modality != config.find("backbone", ours, here).modality:
                raise ConfigError(f"{here}: '{ours}' does not read what '{theirs}' reads")
        for backbone in study.without:
            config.find("backbone", backbone, f"{where}: studies.{name}.without")
    if both := sorted(config.backbones.keys() & config.captioners.keys()):
        raise ConfigError(f"{where}: '{both[0]}' names a backbone and a captioner, whose checkpoints lie side by side")
    for name, corpus in config.corpora.items():
        for medium in corpus.captioners:
            config.find_captioner(name, medium)
    for name, dataset in config.datasets.items():
        corpus = config.find("corpus", dataset.corpus, f"{where}: datasets.{name}.corpus")
        if dataset.split != "leave-one-out" and corpus.layout != "inter":
            what = "a given split stands in a table with labels"
            if dataset.split == "time":
                what = "a split by time is of a table with a column of moments"
            raise ConfigError(
                f"{where}: datasets.{name}.split: {what}, so its corpus' layout is inter, not {corpus.layout}"
            )
        for channel, backbone in dataset.backbones.items():
            here = f"{where}: datasets.{name}.backbones"
            if channel not in CHANNELS:
                raise unknown("channel", channel, CHANNELS, here)
            reads = config.find("backbone", backbone, f"{here}.{channel}").modality
            if reads != CHANNELS[channel]:
                raise ConfigError(f"{here}.{channel}: '{backbone}' reads {reads}, not {CHANNELS[channel]}")
        for method in methods(config):
            default_settings(config, name, method)
