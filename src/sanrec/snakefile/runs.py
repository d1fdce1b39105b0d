"""Runs and the search for their settings: what their rules need, and the part of the config that they depend on."""

import json
from typing import Any

from sanrec import artifacts
from sanrec.config import Config
from sanrec.methods import METHODS
from sanrec.own import own_fingerprint
from sanrec.spaces import described, space


def run_of(config: Config, wildcards: Any) -> artifacts.Run:
    """The run that a training job's wildcards name."""
    w = wildcards
    return artifacts.run(config, w.dataset, w.model, w.inputs, w.variant, int(w.seed))


def run_settings(config: Config, wildcards: Any) -> str:
    """The settings that matter to the run: a changed default of the data set retrains what it touches.

    Those that a search finds for it are in the file of the search, which is one of its inputs.
    """
    this = run_of(config, wildcards)
    searched = space(this.model, this.given, this.spec).keys() if this.search else set()
    names = artifacts.recorded_settings(this) - searched
    pooling = [config.backbones[source.backbone].pooling for source in this.features]
    watched = config.datasets[this.dataset].watched
    more = "" if watched == "HR@10" else f" {watched}"
    own = own_fingerprint(config, this)
    return f"{this.settings.model_dump_json(include=names)} {pooling}{more}{f' {own}' if own else ''}"


def searched_run(config: Config, wildcards: Any) -> artifacts.Run:
    """The run whose settings a search's wildcards have searched for; `of` is INPUTS, or INPUTS/VARIANT."""
    w = wildcards
    dataset, model, inputs, given = artifacts.parse_tuning(f"{artifacts.ROOT}/{w.dataset}/tuning/{w.model}/{w.of}.yaml")
    return artifacts.run(config, dataset, model, inputs, given)


def tuning_needs(config: Config, wildcards: Any) -> list[str]:
    """What every trial of a search reads: the same as a run."""
    return artifacts.run_needs(config, searched_run(config, wildcards))


def tuning_record(config: Config, wildcards: Any) -> str:
    """What a search depends on beside that.

    Settings that are searched for are not in it: pasting what a search found into the config makes no search anew.
    """
    this = searched_run(config, wildcards)
    searched = space(this.model, this.given, this.spec)
    settings = this.settings.model_dump(mode="json", include=artifacts.recorded_settings(this) - searched.keys())
    told = config.tuning.model_dump() | {"trials": config.trials}
    own = [found] if (found := own_fingerprint(config, this)) else []
    watched = config.datasets[this.dataset].watched
    return json.dumps([settings, described(searched), told, watched, *own], sort_keys=True)


def tuning_methods() -> list[str]:
    """The methods that train parts of the backbones, and so run them in every step."""
    return [name for name, method in METHODS.items() if method.reads == "inputs"]
