"""Runs, searches and measurements.

Heavy libraries are imported where a step needs them, so that `sanrec --help` is quick.
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sanrec.config import Config


def train(config: "Config", args: argparse.Namespace) -> None:
    """Train the runs that the paths name, one after the other."""
    from sanrec import artifacts
    from sanrec.training.run import train_run

    for path in args.runs:
        metrics = train_run(config, artifacts.parse_run(config, path))
        print(f"{path}: test " + ", ".join(f"{k} {v:.4f}" for k, v in metrics["test"].items() if k.endswith("@10")))


def tune(config: "Config", args: argparse.Namespace) -> None:
    """Search for a method's settings on a data set's validation split; the path names the search."""
    from sanrec import artifacts
    from sanrec.training.search import tune as search

    found = search(config, *artifacts.parse_tuning(args.output))
    best = ", ".join(f"{name}={value}" for name, value in found["best"].items())
    print(f"{args.output}: validation {found['metric']} {found['value']:.4f} with {best}")


def information(config: "Config", args: argparse.Namespace) -> None:
    """Estimate the mutual information between the towers of a finished run."""
    from sanrec import artifacts
    from sanrec.training.information import measure_information

    found = measure_information(config, artifacts.parse_run(config, args.run))
    for pair, estimates in found["pairs"].items():
        print(f"{args.run}: {pair} " + ", ".join(f"{name} {e['value']:.4f} nats" for name, e in estimates.items()))


def efficiency(config: "Config", args: argparse.Namespace) -> None:
    """Measure time, memory and parameters of every row of the tables given, on this machine, one process per row."""
    from sanrec import artifacts
    from sanrec.reporting.specs import load_table
    from sanrec.reporting.table_runs import measured_runs
    from sanrec.training.efficiency import measure_efficiency

    dataset, machine = artifacts.parse_efficiency(args.output)
    runs = measured_runs(config, dataset, [load_table(path) for path in args.specs])
    measure_efficiency(config, dataset, runs, machine)


def measure(config: "Config", args: argparse.Namespace) -> None:
    """Time some epochs of one run in this very process; `efficiency` calls it for each row."""
    from sanrec import artifacts
    from sanrec.files import write_json
    from sanrec.training.efficiency import measure_run

    write_json(args.output, measure_run(config, artifacts.parse_run(config, args.run)))


def costs(config: "Config", args: argparse.Namespace) -> None:
    """Measure time and memory at the points of figures, on this machine, with nothing beside."""
    from sanrec import artifacts
    from sanrec.reporting.cost_specs import measured_points
    from sanrec.reporting.figure_kinds import load_figure
    from sanrec.training.costs import measure_costs

    dataset, machine, measurement = artifacts.parse_costs(args.output)
    points = measured_points(config, dataset, measurement, [load_figure(path) for path in args.specs])
    measure_costs(config, dataset, points, machine, measurement)


def measure_steps(config: "Config", args: argparse.Namespace) -> None:
    """Time some steps of runs in this very process, each followed by its file; `costs` calls it."""
    from sanrec import artifacts
    from sanrec.training.costs import measure_steps as measure

    pairs = zip(args.runs_and_files[::2], args.runs_and_files[1::2], strict=True)
    measure(config, args.reads, [(artifacts.parse_run(config, run), file) for run, file in pairs])


def popularity(config: "Config", args: argparse.Namespace) -> None:
    """Score a data set by popularity alone: the floor that every method must beat."""
    from sanrec.training.popularity import score_popularity

    config.find("dataset", args.dataset)
    score_popularity(args.dataset)
