"""Measurements of time and memory: what they need, and what of tables, figures and config they depend on."""

import json
import logging
from collections.abc import Iterable, Mapping
from functools import cache

from sanrec import artifacts
from sanrec.config import Config
from sanrec.errors import ConfigError
from sanrec.hardware import machine_of
from sanrec.reporting.cost_specs import CostFigure, measured_points
from sanrec.reporting.figure_base import Figure
from sanrec.reporting.specs import TableSpec
from sanrec.reporting.table_runs import measured_runs
from sanrec.snakefile.base import all_cores, beside_snakefile

log = logging.getLogger(__name__)


def efficiency_needs(
    config: Config, dataset: str, machine: str, specs: Iterable[TableSpec], elsewhere: bool = False
) -> list[str]:
    """What the rows read whose cost is measured on a data set; `elsewhere`: in a job on a cluster (`base.elsewhere`).

    Raises ConfigError for another machine than this one.
    """
    _check_machine(config, machine, elsewhere)
    needs = [path for run in measured_runs(config, dataset, specs) for path in artifacts.run_needs(config, run)]
    return list(dict.fromkeys(needs))


def _check_machine(config: Config, machine: str, elsewhere: bool) -> None:
    """Raise ConfigError for another machine than this one; warn where a job elsewhere is taken for one on it."""
    if machine != machine_of(config):
        raise ConfigError(
            f"results of machine '{machine}' cannot be made here: this is '{machine_of(config)}' (config key "
            "'machine'). Where jobs run on other machines than the workflow starts on, set it to a name for those"
        )
    if elsewhere and (config.machine == "auto" or config.timing.cores is None):
        _warn(machine, all_cores(config))


@cache  # once
def _warn(machine: str, cores: int) -> None:
    log.warning(
        "time and memory are to be measured in a job of the cluster, which takes its node for '%s' with %d cores, as "
        "this machine. It fails on another: set config keys 'machine' and 'timing.cores' for the nodes (docs/hpc.md)",
        machine,
        cores,
    )


def efficiency_record(config: Config, dataset: str, specs: Iterable[TableSpec]) -> str:
    """What of rows and config a measurement depends on: systems with all their settings, threads, and the timing."""
    runs = {
        run.system: run.settings.model_dump(mode="json", include=artifacts.recorded_settings(run))
        for run in measured_runs(config, dataset, specs)
    }
    timing = config.timing.model_dump(include={"warm_up", "repeats"})
    return json.dumps([runs, config.device, config.threads.train, timing], sort_keys=True)


def efficiency_specs(folder: str, specs: Mapping[str, TableSpec]) -> list[str]:
    """The declarations of the tables that show costs."""
    names = [name for name, spec in specs.items() if spec.kind == "efficiency"]
    return [beside_snakefile(folder, f"workflow/tables/{name}.yaml") for name in names]


def costs_needs(
    config: Config, dataset: str, machine: str, measurement: str, figures: Iterable[Figure], elsewhere: bool = False
) -> list[str]:
    """What the points read that are measured for figures; `elsewhere` and errors as of `efficiency_needs`."""
    _check_machine(config, machine, elsewhere)
    points = measured_points(config, dataset, measurement, figures)
    return list(dict.fromkeys(path for run, _ in points for path in artifacts.run_needs(config, run)))


def costs_record(config: Config, dataset: str, measurement: str, figures: Iterable[Figure]) -> str:
    """What of figures and config a measurement depends on: points with all their settings, threads, and the timing."""
    points = {
        artifacts.cost_key(run, reads): run.settings.model_dump(mode="json", include=artifacts.recorded_settings(run))
        for run, reads in measured_points(config, dataset, measurement, figures)
    }
    timing = config.timing.model_dump(include={"warm_up_steps", "steps"})
    return json.dumps([points, config.device, config.threads.train, timing], sort_keys=True)


def measurements(figures: Iterable[Figure]) -> set[str]:
    """The names of all that figures have measured."""
    return {figure.measurement for figure in figures if isinstance(figure, CostFigure)}


def costs_specs(folder: str, figures: Mapping[str, Figure], measurement: str) -> list[str]:
    """The declarations of the figures that show a measurement."""
    names = [name for name, figure in figures.items() if measurement in measurements([figure])]
    return [beside_snakefile(folder, f"workflow/figures/{name}.yaml") for name in names]
