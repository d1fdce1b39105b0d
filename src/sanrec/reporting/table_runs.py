"""Which runs and other artifacts a table is made from, as the chosen study has it.

Light: the Snakefile reads this to know a table's needs, so nothing heavy is imported here.
"""

from collections.abc import Iterable
from typing import Any

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.config import Config
from sanrec.errors import ConfigError, unknown
from sanrec.hardware import machine_of
from sanrec.reporting.backbone_specs import parameter_needs, table_rows
from sanrec.reporting.specs import OWN, Row, TableSpec, distinct, is_of
from sanrec.reporting.stand_ins import as_studied, datasets_of, studied_inputs


def row_runs(config: Config, table: TableSpec) -> dict[tuple[str, str], tuple[Run, ...]]:
    """The runs of each row (by label) and data set, one per seed of the chosen study."""
    seeds = distinct(config.chosen_study.seeds, f"seeds of study '{config.study}'")
    runs = {}
    for row in table.systems:
        for dataset in datasets_of(config, table):
            runs[row.label, dataset] = tuple(_row_run(config, table, row, dataset, seed) for seed in seeds)
    return runs


def _row_run(config: Config, table: TableSpec, row: Row, dataset: str, seed: int) -> Run:
    try:
        settings = {
            name: _default_of(config, dataset, value["of"], name) if is_of(value) else value
            for name, value in row.settings.items()
        }
        inputs = studied_inputs(config, dataset, row.inputs, {} if table.own else None)
        if not table.tuned:
            return artifacts.run(config, dataset, row.model, inputs, settings, seed)
        given = artifacts.format_variant(config, dataset, row.model, settings)
        return artifacts.run(config, dataset, row.model, inputs, artifacts.tuned_variant(given), seed)
    except ConfigError as error:
        raise ConfigError(f"row '{row.label}' of table '{table.title}' on '{dataset}': {error}") from None


def _default_of(config: Config, dataset: str, model: str, setting: str) -> Any:
    """What a method has for a setting on a data set where its variant is `default`."""
    valid = artifacts.method(config, model).valid_settings
    if setting not in valid:
        raise unknown("setting", setting, valid, f"settings of '{model}'")
    return getattr(artifacts.default_settings(config, dataset, model), setting)


def measured_rows(config: Config, dataset: str, table: TableSpec) -> dict[str, Run]:
    """The run behind each row of a table of kind efficiency, by label; its seed, on which no cost hangs, is 0."""
    return {row.label: _row_run(config, table, row, dataset, seed=0) for row in table.systems}


def measured_runs(config: Config, dataset: str, tables: Iterable[TableSpec]) -> list[Run]:
    """Every run whose cost the tables of kind efficiency show for a data set, each once."""
    shown = [as_studied(config, table) for table in tables if table.kind == "efficiency"]
    rows = [measured_rows(config, dataset, table) for table in shown]
    return list({run.system: run for runs in rows for run in runs.values()}.values())


def runs_of(config: Config, table: TableSpec) -> list[Run]:
    """Every run that the table is made from, each once; none for a table of statistics."""
    found = {run.folder: run for runs in row_runs(config, table).values() for run in runs}
    return list(found.values())


def needs_of(config: Config, table: TableSpec) -> list[str]:
    """Paths of the artifacts that the table is made from; the reference, a file of the repository, is not one."""
    table = as_studied(config, table)
    if table.kind == "backbones":
        return parameter_needs(config, table_rows(config, table).values())
    if table.kind == "statistics":
        return [artifacts.statistics(dataset) for dataset in datasets_of(config, table)]
    if table.kind == "efficiency":
        return [artifacts.efficiency(dataset, machine_of(config)) for dataset in datasets_of(config, table)]
    runs = runs_of(config, table)
    lists = [run.top for run in runs] if table.lists else []
    grouped = own_needs(config, table)
    information = [run.information for run in runs] if table.information else []
    searches = list(dict.fromkeys(run.search for run in runs if run.search))
    return [path for run in runs for path in (run.metrics, run.ranks)] + lists + grouped + information + searches


def own_needs(config: Config, table: TableSpec) -> list[str]:
    """What groups of test targets and users follow from beside the runs, and popularity, in tables of no paper."""
    names = datasets_of(config, table) if table.kind in OWN else ()
    needs = [path for name in names for path in (artifacts.interactions(name), artifacts.popularity(name))]
    folders = [artifacts.popularity_folder(name) for name in names] if table.popularity else []
    return needs + [f"{folder}/{file}" for folder in folders for file in ("ranks.parquet", "top.parquet")]


def paper_datasets(config: Config, table: TableSpec) -> dict[str, tuple[str, bool]]:
    """For each of the study's data sets: the paper's data set that stands beside it, and whether it is the same.

    One that the paper has stands beside itself. The others take what is left in order: a demo's first data set the
    paper's first. A data set for which nothing is left is not in the answer.
    """
    names = datasets_of(config, table)
    same = {entry.dataset: entry.paper for entry in table.beside if entry.dataset in names}
    left = [entry.paper for entry in table.beside if entry.dataset not in names]
    beside = {}
    for name in names:
        if name in same:
            beside[name] = (same[name], True)
        elif left:
            beside[name] = (left.pop(0), False)
    return beside
