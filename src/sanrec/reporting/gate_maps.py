"""Gather the heat maps of a gate figure: one row per data set, seed, tower, layer and gate."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sanrec.config import Config
from sanrec.reporting.figure_base import figure_datasets, figure_seeds
from sanrec.reporting.figure_specs import GatesSpec, gate_runs, tower_names
from sanrec.reporting.frame import titles_of
from sanrec.reporting.results import read_gate_logits

OWN = "H"  # the gate of the tower's own hidden state, as the paper calls it
COLUMNS = ["dataset", "model", "inputs", "variant", "seed", "tower", "layer", "gate", "weight"]


def gather_gates(config: Config, figure: GatesSpec, root: str | Path = ".") -> pd.DataFrame:
    """The gates of a figure's runs, columns `COLUMNS`: `weight` is what `tower` gives to `gate` at `layer`.

    Towers stand in the figure's order, and so do the gates, the own hidden state first. Layer 0 is the lowest. `root`
    is the working folder, below which `results/` lies. Raises DataError, naming the file, for weights without gates.
    """
    parts = []
    for dataset, runs in gate_runs(config, figure).items():
        for run in runs:
            names = tower_names(run)
            order = [names.index(name) for name in figure.towers or names]
            weights = softmax(read_gate_logits(Path(root) / run.folder, len(names)))
            drawn = weights[:, order][:, :, [len(names), *order]]  # [layer, tower, gate], the own state's first
            index = pd.MultiIndex.from_product(
                [[names[place] for place in order], range(len(drawn)), [OWN, *(names[place] for place in order)]],
                names=["tower", "layer", "gate"],
            )
            part = pd.Series(drawn.transpose(1, 0, 2).ravel(), index, name="weight").reset_index()
            key = {"dataset": dataset, "model": run.model, "inputs": run.inputs_text}
            parts.append(part.assign(**key, variant=run.variant, seed=run.seed))
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Softmax over the last axis (CROSSAN, Eq. 5), as `models.gates` takes it, without torch."""
    raised = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def gate_captions(config: Config, figure: GatesSpec, frame: pd.DataFrame) -> list[str]:
    """What stands below the figure."""
    titles, seeds = titles_of(config, figure_datasets(config, figure)), figure_seeds(config)
    over = f"Mean ± standard deviation over seeds {', '.join(map(str, seeds))}."
    return [
        f"{' and '.join(titles.values())}, inputs {figure.inputs}.",
        "H: the tower's own hidden state; the others: the outputs, one layer below, of the towers so named. Each "
        "row sums to 1. Nothing lies below layer 0: there only H has an effect, and the others stay equal.",
        over if len(seeds) > 1 else f"One run, with seed {seeds[0]}: no spread.",
    ]
