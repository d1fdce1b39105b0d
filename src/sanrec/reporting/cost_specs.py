"""Figures of what training costs: what they declare, and the points at which it is measured.

Light: the Snakefile reads this, so nothing heavy is imported here.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.config import Config, Frozen
from sanrec.errors import ConfigError
from sanrec.hardware import machine_of
from sanrec.methods import RESIDENT
from sanrec.reporting.figure_base import Figure, figure_datasets
from sanrec.reporting.figure_specs import MOST_LINES, Line, Panel, check_sweep, fitting, sweep_values
from sanrec.reporting.stand_ins import missing_of, studied_inputs

Measurement = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
SEED = 0  # no cost hangs on it


class CostFigure(Figure):
    """What figures of costs declare."""

    measurement: Measurement
    """Name of what is measured for it: `results/{dataset}/efficiency/{machine}/{measurement}.json`."""


class CostCurvesSpec(CostFigure):
    """Curves of time and memory over the values of a setting, a row of axes per data set."""

    kind: Literal["cost-curves"]
    """Curves of costs."""
    lines: tuple[Line, ...] = Field(min_length=1, max_length=MOST_LINES)
    """Systems, in order."""
    panel: Panel
    """What is varied."""

    @model_validator(mode="after")
    def _consistent(self) -> "CostCurvesSpec":
        _stand_once(line.label for line in self.lines)
        check_sweep(self.panel, self.lines)
        return self


class EncoderGroup(Frozen):
    """Bars of one pair of encoders."""

    label: str
    """Name as printed."""
    inputs: str
    """Channels with their backbones by the paper's names, which the study's `stand_ins` translate."""


class CostBarsSpec(CostFigure):
    """Bars of memory and time by encoder: reading all cached layers, or only those that are kept."""

    kind: Literal["cost-bars"]
    """Bars of costs."""
    model: str
    """The method; one that reads cached hidden states."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings that differ from the data set's defaults for that method."""
    groups: tuple[EncoderGroup, ...] = Field(min_length=1)
    """Encoders, from left to right."""
    reads: tuple[Literal["full", "dropped"], ...] = ("full", "dropped")
    """Ways to read, a bar each: all layers are moved with each batch, or those that feed the towers."""

    @model_validator(mode="after")
    def _consistent(self) -> "CostBarsSpec":
        _stand_once(group.label for group in self.groups)
        _stand_once(self.reads)
        return self


@dataclass(frozen=True)
class CostPoint:
    """What is measured at one place of a figure."""

    dataset: str
    label: str
    """Of the line, or of the encoders."""
    value: float | None
    """What is swept, if anything is."""
    run: Run
    reads: str
    """How stored hidden states are read: one of `methods.READS`."""

    @property
    def key(self) -> str:
        """What the measurement has it under."""
        return artifacts.cost_key(self.run, self.reads)


def cost_points(config: Config, figure: CostFigure) -> tuple[CostPoint, ...]:
    """Every point of a figure of costs, in its order. Raises ConfigError for runs that cannot be."""
    if isinstance(figure, CostCurvesSpec):
        return _curve_points(config, figure)
    assert isinstance(figure, CostBarsSpec)
    return _bar_points(config, figure)


def _curve_points(config: Config, figure: CostCurvesSpec) -> tuple[CostPoint, ...]:
    points, values = [], sweep_values(config, figure.panel)
    for dataset in figure_datasets(config, figure):
        for line in figure.lines:
            for value in values:
                where = f"line '{line.label}' of figure '{figure.title}' on '{dataset}', {figure.panel.sweep} {value:g}"
                swept = {name: fitting(name, value, where) for name in figure.panel.settings}
                run = _run(config, where, dataset, line.model, line.inputs, line.settings | swept)
                points.append(CostPoint(dataset, line.label, value, run, RESIDENT))
    return tuple(points)


def _bar_points(config: Config, figure: CostBarsSpec) -> tuple[CostPoint, ...]:
    points, missing = [], missing_groups(config, figure)
    for dataset in figure_datasets(config, figure):
        for group in figure.groups:
            if group.label in missing:
                continue
            where = f"bars '{group.label}' of figure '{figure.title}' on '{dataset}'"
            inputs = studied_inputs(config, dataset, group.inputs)
            run = _run(config, where, dataset, figure.model, inputs, figure.settings)
            if run.spec.reads != "hidden" or not run.settings.cached:
                raise ConfigError(f"{where}: only runs on cached hidden states read layers of them")
            points += [CostPoint(dataset, group.label, None, run, reads) for reads in figure.reads]
    return tuple(points)


def missing_groups(config: Config, figure: CostBarsSpec) -> dict[str, str]:
    """The encoders that the study has no runs of, by label, and why. Raises ConfigError where it has none at all."""
    return missing_of(config, figure.title, figure_datasets(config, figure), figure.groups, "encoder")


def cost_needs(config: Config, figure: CostFigure) -> list[str]:
    """What a figure of costs is drawn from."""
    machine = machine_of(config)
    return [artifacts.costs(dataset, machine, figure.measurement) for dataset in figure_datasets(config, figure)]


def measured_points(config: Config, dataset: str, measurement: str, figures: Iterable[Figure]) -> list[tuple[Run, str]]:
    """What is measured on a data set under that name: run and way to read, of all figures that show it, each once.

    Raises ConfigError where no figure shows it.
    """
    shown = [f for f in figures if isinstance(f, CostFigure) and f.measurement == measurement]
    points = {p.key: (p.run, p.reads) for f in shown for p in cost_points(config, f) if p.dataset == dataset}
    if not points:
        raise ConfigError(f"study '{config.study}' has no figure that shows measurement '{measurement}' of '{dataset}'")
    return list(points.values())


def _run(config: Config, where: str, dataset: str, model: str, inputs: str, settings: dict[str, Any]) -> Run:
    try:
        return artifacts.run(config, dataset, model, inputs, settings, SEED)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _stand_once(names: Iterable[str]) -> None:
    for name, number in Counter(names).items():
        if number > 1:
            raise ValueError(f"'{name}' stands {number} times")
