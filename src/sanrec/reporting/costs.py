"""Gather what training costs at the points of a figure: one row per point, all from one machine."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sanrec.artifacts import Run
from sanrec.config import CHANNELS, Config
from sanrec.hardware import machine_of
from sanrec.reporting.cost_specs import CostBarsSpec, CostCurvesSpec, CostFigure, cost_points, missing_groups
from sanrec.reporting.figure_base import figure_datasets
from sanrec.reporting.frame import titles_of
from sanrec.reporting.measurements import read_points

MIB = 2**20
PROCESS = "process"  # whose memory it is where there is no GPU
FROM_POINT = ["dataset", "label", "value", "model", "inputs", "variant", "reads"]
FROM_MEASUREMENT = [
    "seconds_per_epoch", "seconds_per_step", "steps", "users", "items_per_step", "peak_memory_bytes",
    "memory_before_bytes", "trainable_parameters", "peak_since",
]  # fmt: skip
COLUMNS = [
    *FROM_POINT, "users_per_step", *FROM_MEASUREMENT, "extrapolated_from_steps", "warm_up_steps", "least_step_seconds",
    "most_step_seconds", "loss_difference", "text_encoder", "layers", "width", "memory", "machine", "hardware",
]  # fmt: skip


def gather_costs(config: Config, figure: CostFigure, root: str | Path = ".") -> pd.DataFrame:
    """The rows of a figure of costs, columns `COLUMNS`, measured on this machine.

    `loss_difference` is the largest difference of a step's loss to that of the same run read in the figure's first way,
    relative to it. Raises DataError, naming the file, where a measurement is missing, stale, or another machine's.
    """
    rows, machine = [], machine_of(config)
    for dataset in figure_datasets(config, figure):
        points = [point for point in cost_points(config, figure) if point.dataset == dataset]
        record = read_points(dataset, machine, figure.measurement, [(p.run, p.reads) for p in points], root)
        losses: dict[str, np.ndarray] = {}
        for point in points:
            cost, run = record["points"][point.key], point.run
            first = losses.setdefault(run.system, np.array(cost["losses"]))
            row = dict(zip(FROM_POINT, (dataset, point.label, point.value), strict=False))
            row |= {"model": run.model, "inputs": run.inputs_text, "variant": run.variant, "reads": point.reads}
            row |= {key: cost.get(key) for key in FROM_MEASUREMENT} | _text_encoder(config, run)
            row |= {
                "users_per_step": run.settings.batch_size,
                "extrapolated_from_steps": len(cost["step_seconds"]),
                "warm_up_steps": record["timing"]["warm_up_steps"],
                "least_step_seconds": min(cost["step_seconds"]),
                "most_step_seconds": max(cost["step_seconds"]),
                "loss_difference": _difference(np.array(cost["losses"]), first),
            }
            rows.append(row | {key: record[key] for key in ("memory", "machine", "hardware")})
    return pd.DataFrame(rows)[COLUMNS]


def _text_encoder(config: Config, run: Run) -> dict[str, Any]:
    """The run's first text encoder, with its hidden states: layers, embeddings included, and width."""
    name = next((s.backbone for s in run.features if CHANNELS[s.channel] == "text"), None)
    if name is None:
        return {"text_encoder": "", "layers": None, "width": None}
    record = config.backbones[name]
    return {"text_encoder": name, "layers": record.blocks + 1, "width": record.width}


def _difference(losses: np.ndarray, first: np.ndarray) -> float:
    """The largest relative difference between the losses of two measurements; infinite where they are not as many."""
    if losses.shape != first.shape:
        return float("inf")
    return float((np.abs(losses - first) / np.where(first == 0, 1, np.abs(first))).max())


def curve_captions(config: Config, figure: CostCurvesSpec, frame: pd.DataFrame) -> list[str]:
    """What stands below curves of costs."""
    lines = _how(config, figure, frame)
    if (frame["users_per_step"] == 1).any():
        lines.append(
            "With one user per step there are no negatives, so that nothing is learned: what it costs is the same."
        )
    return lines


def bar_captions(config: Config, figure: CostBarsSpec, frame: pd.DataFrame) -> list[str]:
    """What stands below bars of costs."""
    lines = _how(config, figure, frame)
    lines.append(
        "Full: all layers of the cached hidden states are in memory, and those of a batch's items are moved to the "
        "model with each step; dropped: only those that feed the towers. Below the names: layers x width of the text "
        "encoder."
    )
    most = frame["loss_difference"].max()
    steps = int(frame["extrapolated_from_steps"].max() + frame["warm_up_steps"].max())
    if most == 0:
        lines.append(f"Both give the same losses, in each of the {steps} steps to the last bit.")
    else:
        lines.append(f"Losses of full and dropped differ by {most:.1g} of their value at most, in {steps} steps.")
    used = {s: own for s, own in config.chosen_study.stand_ins.items() if any(s in g.inputs for g in figure.groups)}
    drawn = set(frame["text_encoder"])
    if stood := [f"{own} stands for {paper}" for paper, own in used.items() if own in drawn]:
        lines.append(f"Here {', '.join(stood)}.")
    missing: dict[str, list[str]] = {}
    for label, reason in missing_groups(config, figure).items():
        missing.setdefault(reason if not used else "nothing stands for them in this study", []).append(label)
    return lines + [f"Not drawn: {', '.join(labels)} ({reason})." for reason, labels in missing.items()]


def _how(config: Config, figure: CostFigure, frame: pd.DataFrame) -> list[str]:
    """On what and how the points were measured."""
    titles = titles_of(config, figure_datasets(config, figure))
    users = frame.groupby("dataset", sort=False)["users"].first()
    counted = _joined(f"{titles[name]} ({number:,} training users)" for name, number in users.items())
    one = frame.iloc[0]
    lines = [
        f"{counted}, measured on {one['hardware']} ({one['machine']}).",
        f"Time of an epoch: extrapolated from {one['extrapolated_from_steps']} steps, their median times the epoch's "
        f"steps, after {one['warm_up_steps']} steps that warmed up. No evaluation is in it.",
    ]
    if one["memory"] != PROCESS:
        return [*lines, "Memory: peak of the GPU's allocator while it trains."]
    low, high = (round(edge / MIB) for edge in (frame["memory_before_bytes"].min(), frame["memory_before_bytes"].max()))
    amount = f"{low:,} to {high:,} MiB of it (grey: the least)" if low < high else f"{low:,} MiB of it (grey)"
    begun = "while it trains" if set(frame["peak_since"]) == {"loading"} else "since its start"
    return [
        *lines,
        f"Memory: peak of the process {begun}; {amount} are interpreter and libraries, there before any data.",
    ]


def _joined(names: Iterable[str]) -> str:
    return " and ".join(names)
