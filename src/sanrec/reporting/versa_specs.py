"""Figures of IISAN-Versa's runs: the scaling of its text encoders, and its gates; what they are drawn from.

Light: the Snakefile reads this, so nothing heavy is imported here.
"""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.config import Config, Frozen
from sanrec.errors import ConfigError
from sanrec.reporting.figure_base import Figure, figure_datasets, figure_seeds
from sanrec.reporting.specs import Metric, TableSpec, load_table
from sanrec.reporting.stand_ins import as_studied, datasets_of, missing_of, studied_inputs
from sanrec.reporting.table_runs import row_runs


class RowGroup(Frozen):
    """Rows of a table that are shown together."""

    label: str
    """Name as printed."""
    rows: tuple[str, ...] = Field(min_length=1)
    """Labels of the table's rows, from left to right."""


class ScalingSpec(Figure):
    """One metric of rows of a table, in groups from left to right, each with its mean."""

    kind: Literal["scaling"]
    """Points in groups."""
    metric: Metric
    """The metric of the test split."""
    table: str
    """The table's declaration, beside the figure's own file; it says which runs a row stands for."""
    reference: str
    """The csv file of the paper's own figures of that table, beside the figure's own file."""
    groups: tuple[RowGroup, ...] = Field(min_length=1)
    """Groups, from left to right."""
    files: ClassVar[tuple[str, ...]] = ("table", "reference")

    @model_validator(mode="after")
    def _rows_stand_once(self) -> "ScalingSpec":
        labels = [row for group in self.groups for row in group.rows]
        if twice := next((label for label in labels if labels.count(label) > 1), ""):
            raise ValueError(f"row '{twice}' stands {labels.count(twice)} times")
        return self


class GatedSystem(Frozen):
    """A system whose gates are shown."""

    label: str
    """Name as printed."""
    inputs: str
    """Two inputs, text first; backbones by the paper's names, which the study's `stand_ins` translate."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings that differ from the data set's defaults for that method."""


class IisanGatesSpec(Figure):
    """Curves of IISAN's gates over its layers, a panel per system; and a table of them."""

    kind: Literal["iisan-gates"]
    """Curves of IISAN's gates."""
    model: Literal["iisan"]
    """The method; IISAN-VS and IISAN-VA are both `iisan`."""
    systems: tuple[GatedSystem, ...] = Field(min_length=1)
    """Systems, from left to right."""
    stated: tuple[float, float]
    """The range in which the paper says the weights of the visual side lie."""
    tabled: ClassVar[bool] = True


# -- scaling -----------------------------------------------------------------------------------------------------------


def scaling_table(config: Config, figure: ScalingSpec) -> TableSpec:
    """The figure's table with the rows of its groups alone, as the study has it.

    Raises ConfigError for a row that the table does not have, and where the study has none of them.
    """
    table = load_table(figure.table)
    wanted = [label for group in figure.groups for label in group.rows]
    rows = {row.label: row for row in table.rows}
    for label in wanted:
        if label not in rows:
            raise ConfigError(f"figure '{figure.title}': table '{table.title}' has no row '{label}'")
    alone = {"rows": tuple(rows[label] for label in wanted), "comparisons": (), "means": (), "significance": None}
    return as_studied(config, table.model_copy(update=alone))


def scaling_runs(config: Config, figure: ScalingSpec) -> dict[tuple[str, str], tuple[Run, ...]]:
    """The runs by row and data set, one per seed of the figures; none of rows that the study does not have."""
    table = scaling_table(config, figure)
    if datasets_of(config, table) != figure_datasets(config, figure):
        raise ConfigError(f"figure '{figure.title}' and table '{table.title}' are to have the same data sets")
    return row_runs(config.model_copy(update={"seeds": figure_seeds(config)}), table)


def scaling_needs(config: Config, figure: ScalingSpec) -> list[str]:
    """What a figure of scaling is drawn from."""
    return list(dict.fromkeys(run.metrics for runs in scaling_runs(config, figure).values() for run in runs))


# -- gates -------------------------------------------------------------------------------------------------------------


def missing_systems(config: Config, figure: IisanGatesSpec) -> dict[str, str]:
    """The systems that the study has no runs of, by label, and why. Raises ConfigError where it has none of any."""
    return missing_of(config, figure.title, figure_datasets(config, figure), figure.systems, "system")


def iisan_gate_runs(config: Config, figure: IisanGatesSpec) -> dict[tuple[str, str], tuple[Run, ...]]:
    """The runs by data set and system, one per seed. Raises ConfigError for runs without one of the gates."""
    missing, found = missing_systems(config, figure), {}
    for dataset in figure_datasets(config, figure):
        for system in figure.systems:
            if system.label in missing:
                continue
            try:
                inputs = studied_inputs(config, dataset, system.inputs)
                runs = tuple(
                    artifacts.run(config, dataset, figure.model, inputs, system.settings, seed)
                    for seed in figure_seeds(config)
                )
                settings = runs[0].settings
                if not (settings.gating and settings.inter and settings.intra):
                    raise ConfigError("runs with gating=false, inter=false or intra=false lack gates")
            except ConfigError as error:
                raise ConfigError(
                    f"system '{system.label}' of figure '{figure.title}' on '{dataset}': {error}"
                ) from None
            found[dataset, system.label] = runs
    return found


def iisan_gate_needs(config: Config, figure: IisanGatesSpec) -> list[str]:
    """What a figure of IISAN's gates is drawn from."""
    return [run.weights for runs in iisan_gate_runs(config, figure).values() for run in runs]
