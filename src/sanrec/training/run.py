"""One training run from its artifacts to its files: metrics.json, ranks.parquet, history.csv, model.safetensors."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from torch import nn

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.backbones.extract import chosen_device
from sanrec.config import Config
from sanrec.data.interactions import load_sequences
from sanrec.data.split import Held, Sequences, log_popularity
from sanrec.evaluation.metrics import metrics_from_ranks
from sanrec.evaluation.ranking import rank_targets
from sanrec.files import atomic, read_json, sha256, write_json
from sanrec.methods import METHODS
from sanrec.models.registry import POSITIONS, Recommender, trainable_parameters
from sanrec.training.checkpoint import Progress, load_weights
from sanrec.training.loading import SourceLoader, load_source
from sanrec.training.loop import encode_histories, encode_items, fit, stopped
from sanrec.training.machine import machine_name, reset_peak_memory, versions
from sanrec.training.sources import ItemSource
from sanrec.versions import STEPS

STATE_FILE = "training-state.safetensors"  # removed when the run is finished
OUTPUTS = ("metrics.json", "ranks.parquet", "history.csv", "model.safetensors")


def train_run(config: Config, run: Run) -> dict[str, Any]:
    """Train one run, score it once on the test split, and write its files; metrics.json, written last, is given back.

    A run that was killed goes on from its last finished epoch; one that is finished, from the same inputs, is left.
    Raises SanrecError where the training diverges, DataError or StoreError for inputs that are not as they should be.
    """
    folder = Path(run.folder)
    fingerprint = run_fingerprint(config, run)
    if (finished := finished_metrics(folder, fingerprint)) is not None:
        return finished
    for left in folder.glob(f".{Path(STATE_FILE).stem}.*"):
        left.unlink()  # half a state, of a run that was killed while writing it
    torch.set_num_threads(config.threads.train)
    device = chosen_device(config.device)
    sequences = load_sequences(artifacts.interactions(run.dataset))
    source, model = untrained(config, run, sequences, device)
    reset_peak_memory(device)
    progress = fit(
        model,
        source,
        training_windows(sequences),
        log_popularity(sequences),
        lambda: metrics_from_ranks(rank_split(model, source, sequences, run, "validation", device)),
        run.settings,
        run.seed,
        device,
        folder / STATE_FILE,
        fingerprint,
    )
    load_weights(model, progress.best_weights)
    ranks = {split: rank_split(model, source, sequences, run, split, device) for split in ("validation", "test")}
    with atomic(folder / "model.safetensors") as temporary:
        # one key: safetensors writes several in an order that changes from process to process
        about = json.dumps({"run": run.folder, "fingerprint": fingerprint}, sort_keys=True)
        save_file(progress.best_weights, temporary, {"sanrec": about})
    with atomic(folder / "ranks.parquet") as temporary:
        pq.write_table(rank_table(sequences, ranks), temporary)
    with atomic(folder / "history.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(progress.epochs[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(progress.epochs)
    metrics = summary(config, run, sequences, progress, ranks, model, device, fingerprint)
    write_json(folder / "metrics.json", metrics)
    (folder / STATE_FILE).unlink(missing_ok=True)
    return metrics


def untrained(
    config: Config, run: Run, sequences: Sequences, device: torch.device, load: SourceLoader = load_source
) -> tuple[ItemSource, Recommender]:
    """The run's source of items, and its model with the starting weights that the seed gives."""
    source, shape = load(config, run, sequences, device)
    torch.manual_seed(run.seed)
    return source, Recommender(run.model, shape, run.settings).to(device)


def finished_metrics(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The metrics of a run that is whole and was made from the very same inputs; else None."""
    if not all((folder / name).is_file() for name in OUTPUTS):
        return None
    metrics = read_json(folder / "metrics.json")
    return metrics if metrics.get("config_hash") == fingerprint else None


def training_windows(sequences: Sequences) -> np.ndarray:
    """Left-padded training sequences [users, POSITIONS + 1] of the users that have an input and a target in them."""
    windows = sequences.training(max_length=POSITIONS)
    return windows[(windows > 0).sum(1) >= 2]


def rank_split(
    model: Recommender, source: ItemSource, sequences: Sequences, run: Run, split: Held, device: torch.device
) -> np.ndarray:
    """The rank [U] of each user's held-out item among all items, 0 where the user's history holds it."""
    histories, targets = sequences.held_out(split, max_length=POSITIONS)
    seen, offsets = sequences.history(split)
    items = encode_items(model, source, run.settings, device)
    states = encode_histories(model, items, histories, run.settings, device)
    as_tensor = torch.from_numpy
    return rank_targets(states, items, as_tensor(targets), (as_tensor(offsets), as_tensor(seen))).numpy()


def rank_table(sequences: Sequences, ranks: dict[Held, np.ndarray]) -> pa.Table:
    """Columns user (original id), split, rank; users in the data set's order."""
    users = pa.array(np.tile(sequences.users, len(ranks)), pa.string())
    splits = pa.array(np.repeat(list(ranks), sequences.user_count), pa.string())
    return pa.table({"user": users, "split": splits, "rank": np.concatenate(list(ranks.values())).astype(np.int32)})


def summary(
    config: Config,
    run: Run,
    sequences: Sequences,
    progress: Progress,
    ranks: dict[Held, np.ndarray],
    model: nn.Module,
    device: torch.device,
    fingerprint: str,
) -> dict[str, Any]:
    """What metrics.json holds."""
    seconds = [epoch["seconds"] for epoch in progress.epochs]
    ended = len(progress.epochs) - progress.best_epoch >= run.settings.patience
    assert stopped(progress, run.settings)
    return {
        "run": {
            "dataset": run.dataset,
            "model": run.model,
            "inputs": run.inputs_text,
            "variant": run.variant,
            "seed": run.seed,
            "sources": [{"channel": s.channel, "backbone": s.backbone} for s in run.inputs],
        },
        "settings": run.settings.model_dump(include=set(METHODS[run.model].valid_settings)),
        "seed": run.seed,
        "test": {**metrics_from_ranks(ranks["test"]), "users": sequences.user_count},
        "validation": {**metrics_from_ranks(ranks["validation"]), "users": sequences.user_count},
        "best_epoch": progress.best_epoch,
        "epochs": len(progress.epochs),
        "stopped_by": "patience" if ended else "max_epochs",
        # the first epoch also warms up caches and allocators
        "seconds_per_epoch": float(np.median(seconds[1:] or seconds)),
        "peak_memory_bytes": progress.peak_memory,
        "trainable_parameters": trainable_parameters(model),
        "machine": machine_name(device),
        "versions": versions(),
        "config_hash": fingerprint,
        "step_version": STEPS["train"],
    }


def run_fingerprint(config: Config, run: Run) -> str:
    """A digest of all that the run's numbers depend on: settings, data set, sources, step version, and input files."""
    parts = {
        "run": [run.dataset, run.model, run.inputs_text, run.seed],
        "settings": run.settings.model_dump(mode="json", include=set(METHODS[run.model].valid_settings)),
        "dataset": config.datasets[run.dataset].model_dump(mode="json", include={"corpus", "pairs"}),
        "version": STEPS["train"],
        "sources": [[s.channel, s.backbone, config.backbones[s.backbone].pooling] for s in run.inputs],
        "threads": config.threads.train,
        "needs": {path: sha256(path) for path in artifacts.run_needs(config, run)},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
