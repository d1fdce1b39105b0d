"""Tables and figures: those there are, what they need, and the part of the config that they show."""

import json
import os
import re
from collections.abc import Iterable, Mapping
from glob import glob
from pathlib import Path
from typing import Any

from sanrec.config import Config
from sanrec.errors import ConfigError
from sanrec.reporting import figure_kinds
from sanrec.reporting.backbone_specs import backbones_record, table_rows
from sanrec.reporting.figure_base import Figure
from sanrec.reporting.figure_kinds import load_figure
from sanrec.reporting.report import found as on_disk
from sanrec.reporting.specs import MAIN_DATA, TableSpec, load_table
from sanrec.reporting.table_runs import needs_of
from sanrec.snakefile.base import beside_snakefile

RESERVED = ("report", "backbones")  # under results/, beside tables


def tables(folder: str | Path) -> dict[str, TableSpec]:
    """The tables declared below a folder, by the name under `results/`: `table3`, `iisan-versa/table1`."""
    root = Path(folder)
    return {
        path.relative_to(root).with_suffix("").as_posix(): load_table(path) for path in sorted(root.rglob("*.yaml"))
    }


def own_tables(config: Config, taken: Iterable[str]) -> dict[str, str]:
    """The files of the user's own tables, by the name under `results/`: that of the file.

    Raises ConfigError where a name of config key `tables` leads to no file, a table names no data sets, or a name is
    one of those `taken` by sanrec's tables and figures, or given twice.
    """
    found: dict[str, str] = {}
    for pattern in config.tables:
        paths = sorted(glob(pattern, recursive=True))  # noqa: PTH207 (it may be absolute)
        if not paths:
            raise ConfigError(f"config key 'tables': there is no file '{pattern}' from {Path.cwd()}")
        for path in paths:
            name = Path(path).stem
            if found.get(name, path) != path:
                raise ConfigError(f"config key 'tables': {found[name]} and {path} would both be results/{name}.csv")
            if name in {*taken, *RESERVED} or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
                raise ConfigError(f"{path}: results/{name}.csv is not for a table of one's own; rename the file")
            if not load_table(path).own:
                raise ConfigError(f"{path}: a table of one's own names its data sets: datasets: [my-shop]")
            found[name] = path
    return found


def tables_of(files: Mapping[str, str]) -> dict[str, TableSpec]:
    """The tables in some files, by name."""
    return {name: load_table(path) for name, path in files.items()}


def shown(config: Config, specs: Mapping[str, Any]) -> list[str]:
    """The names of those tables or figures for which the chosen study has data sets: a user's own may have one list.

    Tables of one's own name theirs.
    """
    return [
        name
        for name, spec in specs.items()
        if getattr(spec, "own", False) or getattr(config.chosen_study, spec.data or MAIN_DATA[spec.paper], ())
    ]


def table_study(config: Config) -> str:
    """What of the config a table shows beside its runs: the study, and its data sets' names."""
    study = config.chosen_study
    titles = {name: config.find("dataset", name).title for name in study.all_datasets}
    return json.dumps([config.study, study.model_dump(), titles])


def table_record(config: Config, spec: TableSpec) -> str:
    """What of the config a table shows beside its study: of backbones their licence and revision; its own data sets."""
    if isinstance(spec.datasets, tuple):
        return json.dumps({name: config.find("dataset", name).title for name in spec.datasets})
    rows = table_rows(config, spec) if spec.kind == "backbones" else {}
    return json.dumps(backbones_record(config, rows.values()) if rows else None)


def table_reference(folder: str, spec: TableSpec) -> list[str]:
    """The file of the repository that holds the paper's own figures; none for a table of our own."""
    return [beside_snakefile(folder, spec.reference)] if spec.reference else []


def table_needs(config: Config, spec: TableSpec) -> list[str]:
    """What a table is made from."""
    return needs_of(config, spec)


def figures(folder: str | Path) -> dict[str, Figure]:
    """The figures declared below a folder, by the name under `results/`: `figure5`, `iisan-versa/figure1`."""
    root = Path(folder)
    return {
        path.relative_to(root).with_suffix("").as_posix(): load_figure(path) for path in sorted(root.rglob("*.yaml"))
    }


def figure_study(config: Config) -> str:
    """What of the config a figure shows beside its runs: the study, its points, and its data sets' names."""
    study = config.chosen_study
    titles = {name: config.find("dataset", name).title for name in study.all_datasets}
    return json.dumps([config.study, study.model_dump(exclude={"seeds"}), titles])


def figure_needs(config: Config, spec: Figure) -> list[str]:
    """What a figure is drawn from."""
    return figure_kinds.figure_needs(config, spec)


def figure_record(config: Config, spec: Figure) -> str:
    """What lies on disk that a figure shows without needing it: what is there later is shown then."""
    return json.dumps(figure_kinds.figure_record(config, spec))


def figure_files(folder: str, spec: Figure) -> list[str]:
    """The files of the repository that a figure is drawn from beside its own declaration."""
    return [beside_snakefile(folder, os.path.relpath(path, folder)) for path in figure_kinds.figure_files(spec)]


def tabled(specs: Mapping[str, Figure]) -> list[str]:
    """The figures that are tables too."""
    return [name for name, spec in specs.items() if spec.tabled]


def drawn(specs: Mapping[str, Figure]) -> list[str]:
    """The figures that are nothing else."""
    return [name for name, spec in specs.items() if not spec.tabled]


def report_record(config: Config, tables: Mapping[str, TableSpec], figures: Mapping[str, Figure]) -> str:
    """What the report shows: the study's name, the metrics that runs went by, and what lies on disk.

    It asks for nothing of that to be made. Of files their sizes and times count, so that a workflow with many runs is
    planned quickly.
    """
    study = config.chosen_study
    watched = {name: dataset.watched for name, dataset in config.datasets.items()}
    return json.dumps([config.study, study.title, study.seeds, watched, on_disk.digest(on_disk.find(tables, figures))])
