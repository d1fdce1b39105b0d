"""CROSSAN's Table 4 at the paper's real shapes, on random data: nothing is read or downloaded.

    python -m tests.benchmarks.table4 --steps 20 --device auto

19,738 items with random half-precision hidden states of four backbones of width 768 (7 kept of 13), 100,000 synthetic
users, the rows of workflow/tables/table4.yaml with their settings on MicroLens-100K, each in a process of its own.
BERT-base and ViT-base are built from their configuration with random weights and read random tokens and pixels. Of each
epoch `--steps` steps are timed and the epoch's time is extrapolated from them (0: whole epochs).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from sanrec.artifacts import Run
from sanrec.backbones.conversion import ModelInput, to_model_input
from sanrec.backbones.extract import chosen_device
from sanrec.config import CHANNELS, Config, Timing
from sanrec.data.split import log_popularity
from sanrec.evaluation.efficiency import tpme
from sanrec.layers import kept_layers
from sanrec.load import load_config
from sanrec.methods import METHODS
from sanrec.models.registry import Recommender, Shape
from sanrec.reporting.specs import load_table
from sanrec.reporting.table_runs import measured_rows
from sanrec.training.batches import make_batch
from sanrec.training.efficiency import measure
from sanrec.training.loading import FROZEN_BATCHES
from sanrec.training.machine import reset_peak_memory
from sanrec.training.sequences import training_windows
from sanrec.training.sources import FrozenBackbone, HiddenSource, InputSource, ItemSource, UncachedSource
from tests.benchmarks.synthetic import random_inputs, synthetic_sequences

ROOT = Path(__file__).parents[2]
DATASET = "microlens-100k"


@dataclass(frozen=True)
class Task:
    """What a row's process is told."""

    row: str
    steps: int
    warm_up: int
    repeats: int
    device: str
    threads: int
    users: int
    items: int


def rows_of(config: Config) -> dict[str, Run]:
    return measured_rows(config, DATASET, load_table(ROOT / "workflow/tables/table4.yaml"))


def random_bank(run: Run, items: int, layers: int, width: int, device: torch.device) -> torch.Tensor:
    """Hidden states [L, M, I, D] as large as a store's, filled piece by piece."""
    bank = torch.empty(layers, len(run.inputs), items, width, dtype=torch.float16, device=device)
    for piece in bank.flatten(0, 1):
        piece.normal_()
    return bank


def build(config: Config, run: Run, items: int, device: torch.device) -> tuple[ItemSource, Shape]:
    """The row's source of items and the shape of its encoder."""
    records = [config.backbones[source.backbone] for source in run.inputs]
    modalities = tuple(CHANNELS[source.channel] for source in run.inputs)
    widths = tuple(record.width for record in records)
    kept = kept_layers(records[0].blocks, run.settings.layers, run.settings.blocks)
    embedded = METHODS[run.model].reads == "inputs"
    if not embedded and run.settings.cached:
        bank = random_bank(run, items, len(kept), widths[0], device)
        return HiddenSource(bank), Shape(modalities, widths, len(kept))
    backbones, readers = [], []
    for record, modality in zip(records, modalities, strict=True):
        settings, arrays = random_inputs(modality, items, record.max_tokens)

        def read(places: torch.Tensor, modality=modality, settings=settings, arrays=arrays) -> ModelInput:
            wanted = places.cpu().numpy()  # as the reader of a store does it
            return to_model_input(modality, settings, {k: v[wanted] for k, v in arrays.items()}, device)

        architecture = transformers.AutoConfig.for_model(**record.architecture)
        with torch.device(device):
            backbones.append(transformers.AutoModel.from_config(architecture, add_pooling_layer=False).eval())
        readers.append(read)
    poolings = tuple(record.pooling for record in records)
    if embedded:
        return InputSource(items, readers, records[0].batch_size), Shape(modalities, widths, 1, poolings, backbones)
    used = torch.ones(items, dtype=torch.bool, device=device)
    channels = [
        FrozenBackbone(reader, backbone, record.pooling, kept, used, FROZEN_BATCHES * record.batch_size)
        for reader, backbone, record in zip(readers, backbones, records, strict=True)
    ]
    return UncachedSource(channels), Shape(modalities, widths, len(kept))


def measure_row(task: Task) -> dict[str, Any]:
    """One row, in this process."""
    config = load_config()
    run = rows_of(config)[task.row]
    torch.set_num_threads(task.threads)
    device = chosen_device(task.device)
    sequences = synthetic_sequences(task.users, task.items)
    windows = training_windows(sequences)
    batch = run.settings.batch_size
    timed = windows[: task.steps * batch] if task.steps else windows
    torch.manual_seed(0)
    source, shape = build(config, run, task.items, device)
    model = Recommender(run.model, shape, run.settings).to(device)
    reset_peak_memory(device)
    timing = Timing(warm_up=task.warm_up, repeats=task.repeats)
    cost = measure(model, source, timed, log_popularity(sequences), run.settings, 0, device, timing, task.row)
    return cost | {
        "batch_size": batch,
        "epoch_steps": -(-len(windows) // batch),
        "items_per_step": len(make_batch(windows[:batch]).items),
    }


def in_own_process(task: Task) -> dict[str, Any] | None:
    """The row's costs; None where it failed, as for want of memory."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "cost.json")
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.table4",
            "--task",
            json.dumps(asdict(task)),
            "--out",
            str(out),
        ]
        done = subprocess.run(command, cwd=ROOT, check=False)
        return json.loads(out.read_text()) if done.returncode == 0 else None


def report(costs: dict[str, dict[str, Any]], failed: list[str]) -> str:
    """The table as text."""
    one = next(iter(costs.values()))
    seconds = {label: [s * c["epoch_steps"] / c["steps"] for s in c["seconds"]] for label, c in costs.items()}
    medians = [float(np.median(values)) for values in seconds.values()]
    memory, parameters = ([c[key] for c in costs.values()] for key in ("peak_memory_bytes", "trainable_parameters"))
    values = dict(zip(costs, tpme(medians, parameters, memory), strict=True))
    unit = "s/epoch (of steps)"
    lines = [f"{one['hardware']}, {one['device']}; memory of the {one['memory']}, torch {torch.__version__}"]
    lines.append(
        f"{'row':<26}{unit:>20}{'least-most':>20}{'MiB':>9}{'parameters':>14}{'TPME':>8}{'users':>7}{'items':>7}"
    )
    for (label, cost), median in zip(costs.items(), medians, strict=True):
        spread = f"{min(seconds[label]):,.1f}-{max(seconds[label]):,.1f}"
        epoch = f"{median:,.1f} ({cost['steps']}/{cost['epoch_steps']})"
        lines.append(
            f"{label:<26}{epoch:>20}{spread:>20}{cost['peak_memory_bytes'] / 2**20:>9,.0f}"
            f"{cost['trainable_parameters']:>14,}{values[label]:>8.4f}{cost['batch_size']:>7}{cost['items_per_step']:>7}"
        )
    lines += [f"{label:<26}failed" for label in failed]
    if any(cost["steps"] < cost["epoch_steps"] for cost in costs.values()):
        lines.append("Seconds are extrapolated to the epoch from the steps in brackets. users, items: in a step.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="steps timed per epoch; 0: all")
    parser.add_argument("--warm-up", type=int, default=1, help="so many times these steps before the clock counts")
    parser.add_argument("--repeats", type=int, default=3, help="so many times they are timed")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=19_738)
    parser.add_argument("--rows", nargs="*", help="labels of Table 4's rows; by default all")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.task:
        Path(args.out).write_text(json.dumps(measure_row(Task(**json.loads(args.task)))))
        return
    known = list(rows_of(load_config()))
    if unknown := set(args.rows or []) - set(known):
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(known)}")
    costs, failed = {}, []
    for label in args.rows or known:
        told = (args.steps, args.warm_up, args.repeats, args.device, args.threads, args.users, args.items)
        cost = in_own_process(Task(label, *told))
        costs |= {label: cost} if cost else {}
        failed += [] if cost else [label]
    if costs:
        print(report(costs, failed))


if __name__ == "__main__":
    main()
