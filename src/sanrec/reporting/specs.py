"""What a table holds, as its yaml file declares it, and which artifacts it is made from.

Light: the Snakefile reads this to know a table's needs, so nothing heavy is imported here.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.config import CHANNELS, Config, Frozen, validate
from sanrec.errors import ConfigError, unknown
from sanrec.files import read_yaml
from sanrec.hardware import machine_of

Metric = Annotated[str, Field(pattern=r"^(HR|NDCG|MRR)@(5|10|20)$")]
INFORMATION = {"Mutual information": "eta_dv", "Mutual information (KSG)": "ksg"}  # columns, and the estimates' keys
COSTS = {"TT": "seconds_per_epoch", "GM": "peak_memory_bytes", "TP": "trainable_parameters"}  # columns, and their keys
Channel = Annotated[str, Field(pattern=f"^({'|'.join(CHANNELS)})$")]
Statistic = Literal["users", "items", "interactions", "content"]


class Row(Frozen):
    """A system of the table: one run per data set and seed."""

    label: str
    """Name as printed, and in the reference; rows are referred to by it."""
    model: str
    """The method."""
    inputs: str
    """Letters or channels, in their canonical order (`TIVA`)."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings that differ from the data set's defaults for that method. `{of: METHOD}` stands for what that method has
    by default on the data set: `adapter_width: {of: crossan}`."""

    @property
    def settings_text(self) -> str:
        """The settings as they are declared, `default` where there is none."""
        return ",".join(f"{name}={_spell(value)}" for name, value in self.settings.items()) or "default"


def _is_of(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"of"}


def _spell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value['of']}'s" if _is_of(value) else str(value)


class Comparison(Frozen):
    """A row of relative improvement of one system over another."""

    label: str
    """Name as printed, and in the reference."""
    ours: str
    """Label of the row that is to be the better one."""
    other: str
    """Label of the row it is compared with."""


class Significance(Frozen):
    """Which rows are tested, each against the best of which others."""

    ours: tuple[str, ...]
    """Labels of the rows tested."""
    against: tuple[str, ...]
    """Labels of the rows whose best, by the mean of the very data set and metric, each is tested against."""


class Beside(Frozen):
    """A data set of the paper's table and the one of ours that is the same."""

    paper: str
    """Its name in the reference."""
    dataset: str
    """Our name for it."""


class TableSpec(Frozen):
    """A table of a paper."""

    title: str
    """Caption."""
    paper: Literal["crossan", "iisan-versa"]
    """Whose table it is; the study names data sets for each paper."""
    kind: Literal["statistics", "comparison", "efficiency"]
    """`statistics`: a row per data set, from its counts; `comparison`: a row per system, from runs; `efficiency`: a row
    per system, from measurements of them all on one machine."""
    reference: str
    """The csv file of the paper's own figures."""
    beside: tuple[Beside, ...]
    """The paper's data sets, in its order. A study's data set stands beside the one it is, or by position."""
    datasets: int | None = Field(None, ge=1)
    """How many of the study's data sets the table takes, the first ones; by default all."""
    statistics: dict[str, Statistic] = Field(default_factory=dict)
    """Columns of a statistics table: heading and what it counts."""
    metrics: tuple[Metric, ...] = ()
    """Columns per data set of a comparison."""
    information: tuple[Channel, Channel] | None = None
    """Two channels: a comparison's last column is then the mutual information between their towers, in nats."""
    rows: tuple[Row, ...] = ()
    """Systems of a comparison, in order."""
    comparisons: tuple[Comparison, ...] = ()
    """Rows of relative improvement, below the systems."""
    significance: Significance | None = None
    """The tests behind the star."""
    notes: tuple[str, ...] = ()
    """What the reader must know, below the table."""

    @property
    def headings(self) -> tuple[str, ...]:
        """The columns per data set that a reference may have: metrics, estimates of mutual information; or costs."""
        costs = COSTS if self.kind == "efficiency" else {}
        return (*costs, *self.metrics, *(INFORMATION if self.information else {}))

    @model_validator(mode="after")
    def _consistent(self) -> "TableSpec":
        """Each kind has what it needs, and labels that are referred to exist once."""
        if self.kind == "efficiency" and (not self.rows or self.metrics or self.statistics or self.significance):
            raise ValueError("a table of kind efficiency has 'rows', and neither metrics, statistics nor significance")
        if self.information and self.kind != "comparison":
            raise ValueError("mutual information is a column of tables of kind comparison")
        if self.kind == "statistics" and (not self.statistics or self.metrics or self.rows or self.comparisons):
            raise ValueError("a table of kind statistics has 'statistics', and neither metrics nor rows")
        if self.kind == "comparison" and (not self.metrics or not self.rows or self.statistics):
            raise ValueError("a table of kind comparison has 'metrics' and 'rows', and no statistics")
        labels = [row.label for row in self.rows]
        for label, count in Counter([*labels, *(c.label for c in self.comparisons)]).items():
            if count > 1:
                raise ValueError(f"label '{label}' stands {count} times")
        tested = [*self.significance.ours, *self.significance.against] if self.significance else []
        for label in [*(name for c in self.comparisons for name in (c.ours, c.other)), *tested]:
            if label not in labels:
                raise ValueError(f"no row has the label '{label}'; there are {', '.join(labels)}")
        return self


def load_table(path: str | Path) -> TableSpec:
    """Read a table's declaration. Raises ConfigError for what is no table, with the nearest valid key."""
    values = read_yaml(path, "table")
    return validate(TableSpec, values, str(path))


def datasets_of(config: Config, table: TableSpec) -> tuple[str, ...]:
    """The data sets that the chosen study gives to the table's paper. Raises ConfigError for none, or one twice."""
    return study_datasets(config, table.paper, table.datasets)


def study_datasets(config: Config, paper: str, first: int | None = None) -> tuple[str, ...]:
    """The data sets that the chosen study gives to a paper, or the `first` of them. Raises ConfigError as above."""
    key = "datasets" if paper == "crossan" else "versa_datasets"
    return distinct(getattr(config.chosen_study, key), f"'{key}' of study '{config.study}'")[:first]


def row_runs(config: Config, table: TableSpec) -> dict[tuple[str, str], tuple[Run, ...]]:
    """The runs of each row (by label) and data set, one per seed of the chosen study."""
    seeds = distinct(config.chosen_study.seeds, f"seeds of study '{config.study}'")
    runs = {}
    for row in table.rows:
        for dataset in datasets_of(config, table):
            runs[row.label, dataset] = tuple(_row_run(config, table, row, dataset, seed) for seed in seeds)
    return runs


def _row_run(config: Config, table: TableSpec, row: Row, dataset: str, seed: int) -> Run:
    try:
        settings = {
            name: _default_of(config, dataset, value["of"], name) if _is_of(value) else value
            for name, value in row.settings.items()
        }
        return artifacts.run(config, dataset, row.model, row.inputs, settings, seed)
    except ConfigError as error:
        raise ConfigError(f"row '{row.label}' of table '{table.title}' on '{dataset}': {error}") from None


def _default_of(config: Config, dataset: str, model: str, setting: str) -> Any:
    """What a method has for a setting on a data set where its variant is `default`."""
    valid = artifacts.method(model).valid_settings
    if setting not in valid:
        raise unknown("setting", setting, valid, f"settings of '{model}'")
    return getattr(artifacts.default_settings(config, dataset, model), setting)


def measured_rows(config: Config, dataset: str, table: TableSpec) -> dict[str, Run]:
    """The run behind each row of a table of kind efficiency, by label; its seed, on which no cost hangs, is 0."""
    return {row.label: _row_run(config, table, row, dataset, seed=0) for row in table.rows}


def measured_runs(config: Config, dataset: str, tables: Iterable[TableSpec]) -> list[Run]:
    """Every run whose cost the tables of kind efficiency show for a data set, each once."""
    rows = [measured_rows(config, dataset, table) for table in tables if table.kind == "efficiency"]
    return list({run.system: run for runs in rows for run in runs.values()}.values())


def runs_of(config: Config, table: TableSpec) -> list[Run]:
    """Every run that the table is made from, each once; none for a table of statistics."""
    found = {run.folder: run for runs in row_runs(config, table).values() for run in runs}
    return list(found.values())


def needs_of(config: Config, table: TableSpec) -> list[str]:
    """Paths of the artifacts that the table is made from; the reference, a file of the repository, is not one."""
    if table.kind == "statistics":
        return [artifacts.statistics(dataset) for dataset in datasets_of(config, table)]
    if table.kind == "efficiency":
        return [artifacts.efficiency(dataset, machine_of(config)) for dataset in datasets_of(config, table)]
    information = [run.information for run in runs_of(config, table)] if table.information else []
    return [path for run in runs_of(config, table) for path in (run.metrics, run.ranks)] + information


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


def distinct(values: Sequence[Any], what: str) -> tuple[Any, ...]:
    """`values`, of which there is at least one and none twice."""
    if not values:
        raise ConfigError(f"{what}: none is given, so there is nothing to show")
    for value, count in Counter(values).items():
        if count > 1:
            raise ConfigError(f"{what}: {value} is given {count} times; each counts once")
    return tuple(values)
