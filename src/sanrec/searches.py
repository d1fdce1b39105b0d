"""What searches found, read back: for runs that take it, and for tables that print it. Light: no torch, no pandas."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.config import Config, Settings, validate
from sanrec.errors import ConfigError, DataError
from sanrec.files import read_yaml

NEEDED = ("model", "inputs", "given", "metric", "value", "best_epoch", "best", "trials", "cut_short", "diverged")


def read_search(path: str | Path) -> dict[str, Any]:
    """The record of a search. Raises DataError, naming the file, where it is missing or malformed."""
    if not Path(path).is_file():
        raise DataError(f"{path}: no such search. Make it: snakemake {path} --cores")
    values = read_yaml(path, "tuning")
    lacking = [name for name in NEEDED if name not in values]
    if lacking or not isinstance(values["best"], dict):
        what = f"has no {', '.join(lacking)}" if lacking else "names no best settings"
        raise DataError(f"{path}: {what}. Delete it and make it again: snakemake {path} --cores")
    return values


def finished(config: Config, dataset: str, root: str | Path = ".") -> list[str]:
    """The paths of a data set's searches that are finished. Raises ConfigError where there is none."""
    config.find("dataset", dataset)
    if paths := artifacts.searches(config, dataset, root):
        return paths
    example = artifacts.tuning(dataset, "METHOD", "INPUTS")
    raise ConfigError(f"nothing was tuned on data set '{dataset}' yet: snakemake {example} --cores")


def settled(run: Run, root: str | Path = ".") -> Run:
    """A run with the settings that it is trained with: those of a tuned one come from its search.

    Raises DataError where the search is missing or malformed, ConfigError where it found no valid setting.
    """
    if not run.search:
        return run
    path = Path(root, run.search)
    return replace(run, settings=with_found(run.settings, read_search(path)["best"], str(path)))


def with_found(settings: Settings, values: Mapping[str, Any], where: str = "what a search tries") -> Settings:
    """Settings with the values of a search over them. Raises ConfigError, saying `where`, for one that is not valid."""
    return validate(Settings, {**settings.model_dump(), **values}, where)
