"""Figures and tables of the pretrained models themselves: what they declare, and what they are made from.

Light: the Snakefile reads this, so nothing heavy is imported here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from sanrec import artifacts
from sanrec.config import Config, Frozen
from sanrec.errors import ConfigError
from sanrec.files import read_json
from sanrec.reporting.figure_base import Figure, figure_datasets
from sanrec.reporting.specs import TableSpec

CHANNEL_OF = {"text": "title", "image": "cover"}  # whose store is asked for, by the backbone's modality


class Group(Frozen):
    """Backbones that are shown together."""

    label: str
    """Name as printed."""
    backbones: dict[str, str] = Field(min_length=1)
    """The name as printed, and ours in the registry."""


class SizesSpec(Figure):
    """Bars of numbers of parameters, by group, with those of models that are not to be had from `others`."""

    kind: Literal["sizes"]
    """Bars of numbers of parameters."""
    groups: tuple[Group, ...] = Field(min_length=1)
    """Groups, from above; within them the smallest comes first."""
    others: str
    """Csv file, beside the figure's own, of published sizes: group, model, parameters, label and source."""
    files: ClassVar[tuple[str, ...]] = ("others",)


class DiskSpec(Figure):
    """What the stores of hidden states take on disk, by backbone: of all layers, and of those that runs read."""

    kind: Literal["disk"]
    """What stores take on disk."""
    groups: tuple[Group, ...] = Field(min_length=1)
    """Groups, from above; within them the smallest model comes first."""
    paper_items: PositiveInt
    """The number of items of the paper's own figures."""
    paper_bytes: dict[str, dict[Literal["full", "kept"], float]] = Field(default_factory=dict)
    """The paper's figures in bytes, by backbone."""

    @model_validator(mode="after")
    def _paper_of_backbones(self) -> "DiskSpec":
        known = [name for group in self.groups for name in group.backbones.values()]
        for name in self.paper_bytes:
            if name not in known:
                raise ValueError(f"paper_bytes: '{name}' is in no group")
        return self


@dataclass(frozen=True)
class Store:
    """A store that a figure shows: whose, where its manifest is, and how the backbone is printed."""

    group: str
    label: str
    backbone: str
    manifest: str


def stand_in_rows(config: Config) -> dict[str, str]:
    """The backbones that stand for the paper's in the chosen study: name as printed, and in the registry."""
    return {f"{name} (for {paper})": name for paper, name in config.chosen_study.stand_ins.items()}


def table_rows(config: Config, table: TableSpec) -> dict[str, str]:
    """The rows of a table of backbones: the paper's, then the study's own."""
    return {**table.backbones, **stand_in_rows(config)}


def parameter_needs(config: Config, backbones: Iterable[str]) -> list[str]:
    """The files that hold these backbones' numbers of parameters, each once."""
    return list(dict.fromkeys(artifacts.parameters(config, name) for name in backbones))


def backbones_record(config: Config, backbones: Iterable[str]) -> list[tuple[str, ...]]:
    """What of the config is shown of backbones beside their numbers of parameters."""
    records = {name: config.find("backbone", name) for name in backbones}
    return [(name, *map(str, (r.modality, r.license, r.gated, r.source, r.revision))) for name, r in records.items()]


def sizes_needs(config: Config, figure: SizesSpec) -> list[str]:
    """What a figure of sizes is drawn from."""
    return parameter_needs(config, [name for group in figure.groups for name in group.backbones.values()])


# -- stores ------------------------------------------------------------------------------------------------------------


def stores(config: Config, figure: DiskSpec, dataset: str) -> list[Store]:
    """The stores of a figure on one data set: the groups' backbones, and with those of their modality the stand-ins.

    Raises ConfigError for a backbone whose modality has no channel here.
    """
    corpus, found = config.find("dataset", dataset).corpus, []
    for group in figure.groups:
        modalities = {config.find("backbone", name).modality for name in group.backbones.values()}
        own = {k: v for k, v in stand_in_rows(config).items() if config.find("backbone", v).modality in modalities}
        for label, name in {**own, **group.backbones}.items():
            modality = config.backbones[name].modality
            if modality not in CHANNEL_OF:
                raise ConfigError(f"figure '{figure.title}': '{name}' reads {modality}; here are text and image alone")
            found.append(Store(group.label, label, name, artifacts.hidden(corpus, CHANNEL_OF[modality], name)))
    return found


def made_for_it(config: Config, store: Store) -> bool:
    """Whether a figure may ask for the store to be made: the demo's cost seconds."""
    return config.backbones[store.backbone].source == "demo"


def disk_needs(config: Config, figure: DiskSpec) -> list[str]:
    """What a figure of stores is drawn from: counts of items and parameters, and the demo's stores.

    Other stores are no needs, or a laptop that draws the figure would extract hidden states of 70 b models; those that
    lie on disk are in `disk_record`.
    """
    needs = []
    for dataset in figure_datasets(config, figure):
        shown = stores(config, figure, dataset)
        needs += [artifacts.statistics(dataset), *parameter_needs(config, [store.backbone for store in shown])]
        needs += [store.manifest for store in shown if made_for_it(config, store)]
    return list(dict.fromkeys(needs))


def disk_record(config: Config, figure: DiskSpec, root: str | Path = ".") -> list[tuple[str, int]]:
    """The finished stores that lie on disk without being needs, and their bytes: a new one draws the figure anew."""
    shown = [store for dataset in figure_datasets(config, figure) for store in stores(config, figure, dataset)]
    there = [s.manifest for s in shown if not made_for_it(config, s) and (Path(root) / s.manifest).is_file()]
    return [(manifest, _bytes_said(Path(root) / manifest)) for manifest in there]


def _bytes_said(manifest: Path) -> int:
    """The bytes of a store by its manifest; 0 for one that is damaged, of which the figure itself says more."""
    try:
        return int(read_json(manifest)["bytes"])
    except (ValueError, TypeError, KeyError, OSError):
        return 0
