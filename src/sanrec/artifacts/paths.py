"""Paths of artifacts that are not runs, put together and taken apart."""

import re
from pathlib import Path

from sanrec.config import Config
from sanrec.errors import ConfigError
from sanrec.methods import METHODS

ROOT = "results"


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


def popularity_folder(dataset: str) -> str:
    """The folder of what popularity leaves of every user: ranks.parquet and top.parquet, as of a run."""
    return f"{ROOT}/{dataset}/popularity"


def tuning(dataset: str, model: str, inputs_text: str, given: str = "default") -> str:
    """Path of the best settings that a search found; its trials stand in the csv of the same name.

    `given` is the variant whose settings the search takes as they are.
    """
    return f"{ROOT}/{dataset}/tuning/{model}/{inputs_text}{'' if given == 'default' else f'/{given}'}.yaml"


def tuned(dataset: str) -> str:
    """Path of the table of all that was tuned on a data set."""
    return f"{ROOT}/{dataset}/tuning.csv"


def searches(config: Config, dataset: str, root: str | Path = ".") -> list[str]:
    """The paths of all searches that are finished on a data set, methods in the order of their registry."""
    folder = Path(root, ROOT, dataset, "tuning")
    found = [parse_tuning(path.as_posix()) for path in (*folder.glob("*/*.yaml"), *folder.glob("*/*/*.yaml"))]
    order = [*METHODS, *config.methods]
    known = sorted((order.index(model), *rest) for _, model, *rest in found if model in order)
    return [tuning(dataset, order[place], *rest) for place, *rest in known]


def parse_tuning(path: str) -> tuple[str, str, str, str]:
    """The data set, model, inputs and the variant with the settings given that the path of a search's result names."""
    match = re.search(rf"(?:^|/){ROOT}/([^/]+)/tuning/([^/]+)/([^/]+?)(?:/([^/]+))?\.yaml$", path)
    if not match:
        raise ConfigError(f"'{path}' is no search: expected {ROOT}/DATASET/tuning/MODEL/INPUTS.yaml")
    if match[4] == "default":
        raise ConfigError(f"'{path}' is written '{tuning(*match.groups()[:3])}': one search has one path")
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


def hidden_begun(corpus: str, channel: str, backbone: str) -> str:
    """Path of what says that a store is there to be filled by several jobs."""
    return f"{ROOT}/{corpus}/hidden/{channel}/shards/{backbone}/begun.json"


def hidden_shard(corpus: str, channel: str, backbone: str, shard: str) -> str:
    """Path of what says that one of several jobs has filled its part (`2-of-7`) of a store."""
    return f"{ROOT}/{corpus}/hidden/{channel}/shards/{backbone}/{shard}.json"


def caption_shard(corpus: str, medium: str, shard: str) -> str:
    """Path of the captions that one of several jobs made, a batch per line."""
    return f"{ROOT}/{corpus}/captions/shards/{medium}/{shard}.jsonl"


def inputs(corpus: str, channel: str, backbone: str) -> str:
    """Path of the manifest of a store of model-ready inputs."""
    return f"{ROOT}/{corpus}/inputs/{channel}/{backbone}.json"


def store_of(manifest: str) -> str:
    """The folder that a manifest vouches for: `x.zarr` beside `x.json`, or `x/` for a checkpoint."""
    stem = manifest.removesuffix(".json")
    return stem if stem.startswith(f"{ROOT}/checkpoints/") or "/checkpoints/" in stem else f"{stem}.zarr"


def checksums_of(manifest: str) -> str:
    """Where the checksums of a finished store's files stay when Snakemake takes its manifest away: `.x.sha256.json`."""
    folder, slash, name = manifest.rpartition("/")
    return f"{folder}{slash}.{name.removesuffix('.json')}.sha256.json"
