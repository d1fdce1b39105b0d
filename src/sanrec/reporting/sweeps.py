"""Gather the curves of a sweep figure: one row per data set, sweep, line, point, seed and metric."""

from pathlib import Path

import pandas as pd

from sanrec.config import Config
from sanrec.reporting.figure_base import figure_seeds
from sanrec.reporting.figure_specs import SweepSpec, sweep_points
from sanrec.reporting.results import read_metrics

CHOSEN_BY = "HR@10"  # on the validation split, by which training chooses its epoch too
POINT = ["dataset", "sweep", "line", "value"]  # what a point is known by
COLUMNS = [*POINT, "model", "inputs", "variant", "seed", "metric", "test", "validation", "best"]


def gather_sweep(config: Config, figure: SweepSpec, root: str | Path = ".") -> pd.DataFrame:
    """The rows of a sweep figure, columns `COLUMNS`; metrics are fractions.

    `best` is true at the point of its line that has the highest validation HR@10, averaged over seeds; of equal ones,
    at the smallest. `root` is the working folder, below which `results/` lies. Raises DataError, naming the file, where
    a run is missing or malformed.
    """
    rows, chosen = [], []
    for point in sweep_points(config, figure):
        key = {"dataset": point.dataset, "sweep": point.panel.sweep, "line": point.line.label, "value": point.value}
        for run in point.runs:
            found = read_metrics(Path(root) / run.folder, ("test", "validation"))
            chosen.append({**key, "score": float(found["validation"][CHOSEN_BY])})
            names = {"model": run.model, "inputs": run.inputs_text, "variant": run.variant, "seed": run.seed}
            for metric in figure.metrics:
                scores = {split: float(found[split][metric]) for split in ("test", "validation")}
                rows.append({**key, **names, "metric": metric, **scores})
    means = pd.DataFrame(chosen).groupby(POINT, sort=False)["score"].mean()
    best = set(means.groupby(POINT[:-1], sort=False).idxmax())  # points rise, and the first of equal ones is taken
    frame = pd.DataFrame(rows)
    frame["best"] = [key in best for key in frame[POINT].itertuples(index=False, name=None)]
    return frame[COLUMNS]


def over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean and sample standard deviation of the test metric over seeds (NaN for one seed), and `best`, per point."""
    grouped = frame.groupby([*POINT, "metric"], sort=False)
    return grouped.agg(mean=("test", "mean"), deviation=("test", "std"), best=("best", "first")).reset_index()


def sweep_captions(config: Config, figure: SweepSpec, frame: pd.DataFrame) -> list[str]:
    """What stands below the figure."""
    lines = ["Test split, full ranking; fractions, not percent.", points_and_bars(config)]
    if figure.best:
        lines.append(f"Rings: each line's best point by validation {CHOSEN_BY}, averaged over seeds.")
    return lines


def points_and_bars(config: Config) -> str:
    """The line that says over which seeds points and error bars are."""
    seeds = figure_seeds(config)
    if len(seeds) == 1:
        return f"One run per point, with seed {seeds[0]}: no error bars."
    return f"Points: mean over seeds {', '.join(map(str, seeds))}; bars: standard deviation over them."
