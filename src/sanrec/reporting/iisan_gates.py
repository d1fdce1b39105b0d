"""Gather the gates of trained IISAN-VS and IISAN-VA (IISAN-Versa, VI-E 2), and the table of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sanrec.artifacts import Run
from sanrec.config import CHANNELS, Config
from sanrec.errors import DataError
from sanrec.layers import kept_layers, rules_of_towers
from sanrec.reporting import frame as f
from sanrec.reporting.figure_base import figure_datasets, figure_seeds
from sanrec.reporting.frame import Column, Table, titles_of
from sanrec.reporting.results import read_logits, remake
from sanrec.reporting.versa_specs import IisanGatesSpec, iisan_gate_runs, missing_systems

WHAT = "gates of IISAN"
TEMPERATURE = 0.1  # of the gates' sigmoid, as in models/gates.py
INTER = "inter"  # the tower whose gate weighs two channels; the others are called by their channel
KEY = ["dataset", "system", "model", "inputs", "variant", "seed"]
COLUMNS = [*KEY, "tower", "layer", "blocks", "gate", "weight"]
EVERY = "mean"


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sigmoid of logits / 0.1: IISAN's gate, as `models.gates.sharp_sigmoid` has it, without torch or overflow."""
    return 0.5 * (1 + np.tanh(logits.astype(np.float64) / TEMPERATURE / 2))


def gather_iisan_gates(config: Config, figure: IisanGatesSpec, root: str | Path = ".") -> pd.DataFrame:
    """A row per run, tower, layer and gate, columns `COLUMNS`.

    In the tower `inter` the gates are the two channels' weights, which sum to 1. In a channel's own tower `hidden` is
    the weight of its backbone's hidden state, `below` that of the tower's own output one layer below. Layers are
    counted from the top tower's lowest (0), towers with fewer of them standing beside its uppermost; `blocks` are those
    of the backbones that the layer reads, 0 being the embeddings. Raises DataError, naming the file, for weights
    without these gates.
    """
    rows: list[tuple[Any, ...]] = []
    for (dataset, system), runs in iisan_gate_runs(config, figure).items():
        for run in runs:
            key = (dataset, system, run.model, run.inputs_text, run.variant, run.seed)
            rows += [(*key, *row) for row in _run_rows(config, run, root)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _run_rows(config: Config, run: Run, root: str | Path) -> Iterator[tuple[str, int, str, str, float]]:
    """A run's tower, layer, blocks, gate and weight."""
    kept, names = _kept(config, run), _names(run)
    path = Path(root) / run.weights
    logits = read_logits(path, ["inter_logits", *(f"intra_logits.{place}" for place in range(len(kept)))], WHAT)
    depths = [min(map(len, kept)), *map(len, kept)]
    if [found.shape for found in logits] != [(depth,) for depth in depths]:
        shapes = ", ".join(str(found.shape) for found in logits)
        raise DataError(f"{path}: has gates of shapes {shapes}, not of {depths} layers. {remake(path)}")
    most = max(depths)
    for tower, found in zip([INTER, *names], logits, strict=True):
        below = most - len(found)
        reads = kept if tower == INTER else [kept[names.index(tower)]]
        gates = names[::-1] if tower == INTER else ["hidden", "below"]  # g is the second channel's weight
        for layer, weight in enumerate(sigmoid(found)):
            blocks = "+".join(str(states[len(states) - len(found) + layer]) for states in reads)
            for gate, value in zip(gates, (weight, 1 - weight), strict=True):
                yield tower, below + layer, blocks, gate, float(value)


def _kept(config: Config, run: Run) -> list[tuple[int, ...]]:
    """The hidden states that feed each of the run's towers."""
    rules = rules_of_towers(run.settings.layers, len(run.features))
    depths = [config.backbones[source.backbone].blocks for source in run.features]
    return [kept_layers(depth, rule, run.settings.blocks) for depth, rule in zip(depths, rules, strict=True)]


def _names(run: Run) -> list[str]:
    """The channels of a run's towers, told apart where one stands twice."""
    names = [source.channel for source in run.features]
    return [f"{name} ({place + 1})" if names.count(name) > 1 else name for place, name in enumerate(names)]


def visual_weights(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the visual side's weight in the inter tower."""
    images = [gate for gate in frame["gate"].unique() if CHANNELS.get(gate) == "image"]
    return frame[(frame["tower"] == INTER) & frame["gate"].isin(images)]


def iisan_gate_captions(config: Config, figure: IisanGatesSpec, frame: pd.DataFrame) -> list[str]:
    """What stands below the figure."""
    low, high = figure.stated
    return _lines(config, figure, frame, f"Shaded: {low:g} to {high:g}, where the paper says that")


def _lines(config: Config, figure: IisanGatesSpec, frame: pd.DataFrame, stated: str) -> list[str]:
    """What is said of the gates; `stated` begins the line about the paper's range."""
    seeds = figure_seeds(config)
    titles = titles_of(config, figure_datasets(config, figure))
    over = f"Mean over seeds {', '.join(map(str, seeds))}, and standard deviation over them."
    return [
        f"Data: {' and '.join(titles.values())}. Gates at the best epoch (validation): g = sigmoid(logit / "
        f"{TEMPERATURE:g}), one half before training.",
        "Image in the inter tower: its share in the sum of both hidden states; text has the rest. Hidden state in a "
        "channel's own tower: against that tower's output one layer below. Below layer 0, the embeddings, there is "
        "nothing: there the gate only scales.",
        over if len(seeds) > 1 else f"One run, with seed {seeds[0]}: no spread.",
        f"{stated} the visual side's weight lies in all structures; here the inter tower's are held to it, "
        "the paper does not name the towers.",
        *verdicts(figure, frame),
        *_left_out(config, figure),
    ]


def verdicts(figure: IisanGatesSpec, frame: pd.DataFrame) -> list[str]:
    """Per data set and system: the mean weight of the visual side, and whether it is in the range stated."""
    (low, high), lines = figure.stated, []
    for (_, system), rows in visual_weights(frame).groupby(["dataset", "system"], sort=False):
        by_layer = rows.groupby("layer")["weight"].mean()
        inside = ((by_layer >= low) & (by_layer <= high)).sum()
        mean = rows.groupby("seed")["weight"].mean().mean()
        where = "within" if low <= mean <= high else "outside"
        lines.append(
            f"{system} ({rows['inputs'].iloc[0]}): the visual side has {mean:.3f} on average over layers, {where} that "
            f"range; {inside} of {len(by_layer)} layers are within it."
        )
    return lines


def _left_out(config: Config, figure: IisanGatesSpec) -> list[str]:
    return [f"{label} is left out: {why}." for label, why in missing_systems(config, figure).items()]


def iisan_gate_table(config: Config, figure: IisanGatesSpec, frame: pd.DataFrame) -> Table:
    """A row per data set, system and layer, the lowest first, and one of their mean: means over seeds, deviations."""
    (low, high), titles = figure.stated, titles_of(config, figure_datasets(config, figure))
    range_heading = f"{low:g} to {high:g}"
    cells: list[dict[Column, Any]] = []
    for (dataset, system), own in frame.groupby(["dataset", "system"], sort=False):
        named = f"{titles[dataset]}: {system}" if len(titles) > 1 else system
        means = own.groupby(["seed", "tower", "gate"], sort=False)["weight"].mean().reset_index().assign(layer=EVERY)
        for layer, rows in pd.concat([own, means]).groupby("layer", sort=False):
            row: dict[Column, Any] = {
                (f.LABEL, "", "Row"): f"{named}, layer {layer}" if layer != EVERY else f"{named}, mean"
            }
            for (tower, gate), values in rows.groupby(["tower", "gate"], sort=False)["weight"]:
                if tower == INTER or gate == "hidden":
                    heading = f"{tower}: {gate}"
                    row[f.OURS, "", heading] = float(values.mean())
                    if len(values) > 1:
                        row[f.DEVIATION, "", heading] = float(values.std(ddof=1))
            visual = visual_weights(rows)["weight"]
            if len(visual):
                row[f.OURS, "", range_heading] = "yes" if low <= visual.mean() <= high else "no"
            cells.append(row)
    headings = list(dict.fromkeys(column[2] for row in cells for column in row if column[0] == f.OURS))
    headings.sort(key=lambda heading: (heading == range_heading, not heading.startswith(INTER)))
    columns: list[Column] = [(f.LABEL, "", "Row"), *((f.OURS, "", heading) for heading in headings)]
    columns += [(f.DEVIATION, "", heading) for heading in headings if heading != range_heading]
    lines = _lines(config, figure, frame, f"{range_heading}: whether it is where the paper says that")
    lines[0] = f"Study: {config.chosen_study.title} ({config.study}). {lines[0]}"
    return Table(figure.title, f.build(cells, columns), (*lines, *figure.notes), dict.fromkeys(columns, 3))
