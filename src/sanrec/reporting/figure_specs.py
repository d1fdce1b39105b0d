"""Figures of sweeps and of CROSSAN's gates: what they declare, and which runs they are drawn from.

Light: the Snakefile reads this to know a figure's needs, so nothing heavy is imported here.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.config import Config, Frozen, Settings
from sanrec.errors import ConfigError, unknown
from sanrec.reporting.figure_base import Figure, figure_datasets, figure_seeds
from sanrec.reporting.specs import Metric, distinct

MOST_LINES = 6  # as many as can be told apart in black and white


class Line(Frozen):
    """A system whose curve is drawn."""

    label: str
    """Name as printed."""
    model: str
    """The method."""
    inputs: str
    """Letters or channels, in their canonical order (`TIVA`)."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings that differ from the data set's defaults for that method, the same at every point."""


class Panel(Frozen):
    """A sweep: what is varied. Its values are the study's `points` of that name."""

    sweep: str
    """Name in the study's `points`."""
    label: str
    """The horizontal axis' name."""
    settings: tuple[str, ...] = Field(min_length=1)
    """The settings that are given the swept value, all of them."""
    scale: Literal["log2", "log10", "linear"] = "linear"
    """Scale of the horizontal axis."""


def check_sweep(panel: Panel, lines: Iterable[Line]) -> None:
    """Raise ValueError unless what is swept are numbers that no line sets for itself."""
    for name in panel.settings:
        if name not in Settings.model_fields:
            raise ValueError(str(unknown("setting", name, Settings.model_fields, f"sweep '{panel.sweep}'")))
        if Settings.model_fields[name].annotation not in (int, float):
            raise ValueError(f"setting '{name}' of sweep '{panel.sweep}' is not a number")
        for line in lines:
            if name in line.settings:
                raise ValueError(f"line '{line.label}' sets '{name}', which sweep '{panel.sweep}' varies")


class SweepSpec(Figure):
    """Curves of metrics over the values of settings: a row of axes per sweep and metric, a column per data set."""

    kind: Literal["sweep"]
    """Curves over a sweep."""
    metrics: tuple[Metric, ...] = Field(min_length=1)
    """Metrics of the test split, one above the other."""
    lines: tuple[Line, ...] = Field(min_length=1, max_length=MOST_LINES)
    """Systems, in order."""
    panels: tuple[Panel, ...] = Field(min_length=1)
    """Sweeps, from above."""
    best: bool = False
    """Whether each line's best point, chosen on the validation split, is marked."""

    @model_validator(mode="after")
    def _consistent(self) -> "SweepSpec":
        """What is swept is a number that no line sets for itself; names stand once."""
        for what, names in {
            "label": [line.label for line in self.lines],
            "sweep": [panel.sweep for panel in self.panels],
            "metric": self.metrics,
        }.items():
            for name, count in Counter(names).items():
                if count > 1:
                    raise ValueError(f"{what} '{name}' stands {count} times")
        for panel in self.panels:
            check_sweep(panel, self.lines)
        return self


class GatesSpec(Figure):
    """Heat maps of CROSSAN's gates, one per tower: what its adapter takes from where, at each layer."""

    kind: Literal["gates"]
    """Heat maps of gates."""
    model: Literal["crossan"]
    """The method; only CROSSAN has gates between all towers."""
    inputs: str
    """Letters or channels, in their canonical order (`TIVA`)."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings that differ from the data set's defaults for that method."""
    towers: tuple[str, ...] | None = None
    """The towers in the order in which they are drawn, by letter or channel; by default that of the inputs."""


@dataclass(frozen=True)
class Point:
    """A point of a curve: the value that is swept, and the runs behind it, one per seed."""

    dataset: str
    panel: Panel
    line: Line
    value: float
    runs: tuple[Run, ...]


def sweep_values(config: Config, panel: Panel) -> tuple[float, ...]:
    """The study's points of a sweep, rising, whole numbers as int where that is what the settings take.

    Raises ConfigError for a sweep that the study does not name, and for points that are none, given twice or do not
    fit the settings or the scale.
    """
    study = config.chosen_study
    where = f"points.{panel.sweep} of study '{config.study}'"
    if panel.sweep not in study.points:
        raise unknown("sweep", panel.sweep, study.points, f"'points' of study '{config.study}'")
    values = distinct(sorted(study.points[panel.sweep]), where)
    for value in values:
        if not math.isfinite(value) or (value <= 0 and panel.scale != "linear"):
            raise ConfigError(f"{where}: {value:g} cannot stand on an axis of scale {panel.scale}; remove it")
    return tuple(fitting(panel.settings[0], value, where) for value in values)


def sweep_points(config: Config, figure: SweepSpec) -> tuple[Point, ...]:
    """Every point: by sweep, data set, line, and rising value. A data set's default is its default run."""
    points = []
    for panel in figure.panels:
        values = sweep_values(config, panel)
        for dataset in figure_datasets(config, figure):
            for line in figure.lines:
                seen: dict[str, float] = {}
                for value in values:
                    where = f"line '{line.label}' of figure '{figure.title}' on '{dataset}', {panel.sweep} {value:g}"
                    swept = {name: fitting(name, value, where) for name in panel.settings}
                    runs = _runs(config, where, dataset, line.model, line.inputs, line.settings | swept)
                    if (other := seen.setdefault(runs[0].variant, value)) != value:
                        names = " and ".join(panel.settings)
                        raise ConfigError(f"{where}: the same run as at {other:g}; {names} changes nothing here")
                    points.append(Point(dataset, panel, line, value, runs))
    return tuple(points)


def gate_runs(config: Config, figure: GatesSpec) -> dict[str, tuple[Run, ...]]:
    """The runs whose gates are drawn, by data set. Raises ConfigError for runs that have none, or other towers."""
    found = {}
    for dataset in figure_datasets(config, figure):
        where = f"figure '{figure.title}' on '{dataset}'"
        runs = _runs(config, where, dataset, figure.model, figure.inputs, figure.settings)
        if not runs[0].settings.gating:
            raise ConfigError(f"{where}: runs with gating=false have no gates")
        names = tower_names(runs[0])
        if sorted(figure.towers or names) != sorted(names):
            raise ConfigError(f"{where}: 'towers' are to be {', '.join(names)} in any order")
        found[dataset] = runs
    return found


def tower_names(run: Run) -> tuple[str, ...]:
    """What a run's towers are called, in their order: the letters of its inputs, or its channels; ids have none."""
    text = run.inputs_text.removeprefix(artifacts.IDS.channel).removeprefix("+")
    names = list(text) if text.isupper() else text.split("+") if text else []
    return tuple(
        f"{name} ({names[: place + 1].count(name)})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    )


def sweep_needs(config: Config, figure: SweepSpec) -> list[str]:
    """What a figure of sweeps is drawn from, each once."""
    return list(dict.fromkeys(run.metrics for point in sweep_points(config, figure) for run in point.runs))


def gates_needs(config: Config, figure: GatesSpec) -> list[str]:
    """What a figure of CROSSAN's gates is drawn from."""
    return [run.weights for runs in gate_runs(config, figure).values() for run in runs]


def _runs(
    config: Config, where: str, dataset: str, model: str, inputs: str, settings: dict[str, Any]
) -> tuple[Run, ...]:
    """One run per seed of the figures."""
    try:
        return tuple(artifacts.run(config, dataset, model, inputs, settings, seed) for seed in figure_seeds(config))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def fitting(setting: str, value: float, where: str) -> float:
    """A point as its setting takes it: whole numbers as int, so that a path says 32 and not 32.0."""
    kind: Callable[[float], float] = Settings.model_fields[setting].annotation  # type: ignore[assignment]
    if kind is int and not float(value).is_integer():
        raise ConfigError(f"{where}: {setting} takes whole numbers, not {value:g}")
    return kind(value)
