"""One training run from its artifacts to its files: `OUTPUTS`."""

import csv
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.backbones.extract import chosen_device
from sanrec.config import Config
from sanrec.data.interactions import load_sequences
from sanrec.data.split import Held, Sequences
from sanrec.evaluation.metrics import metrics_from_ranks
from sanrec.evaluation.top_lists import TopLists
from sanrec.files import atomic, read_json, sha256, write_json
from sanrec.models.registry import trainable_parameters
from sanrec.own import own_fingerprint
from sanrec.searches import settled
from sanrec.training.checkpoint import Progress, load_weights
from sanrec.training.loop import stopped
from sanrec.training.machine import machine_name, reset_peak_memory, use_threads, versions
from sanrec.training.pairs import PairTraining, owners
from sanrec.training.sequences import SequenceTraining
from sanrec.training.tracking import Tracker
from sanrec.training.user_tables import FILES, write_user_tables
from sanrec.versions import STEPS

log = logging.getLogger(__name__)

Training = SequenceTraining | PairTraining
STATE_FILE = "training-state.safetensors"  # removed when the run is finished
OUTPUTS = ("metrics.json", *FILES, "history.csv", "model.safetensors")


def train_run(config: Config, run: Run) -> dict[str, Any]:
    """Train one run, score it once on the test split, and write its files; metrics.json, written last, is given back.

    A run that was killed goes on from its last finished epoch; one that is finished, from the same inputs, is left.
    Raises SanrecError where the training diverges, DataError or StoreError for inputs that are not as they should be.
    """
    run, folder = settled(run), Path(run.folder)
    artifacts.require(artifacts.run_needs(config, run))
    fingerprint = run_fingerprint(config, run)
    if (finished := finished_metrics(folder, fingerprint)) is not None:
        return finished
    for left in folder.glob(f".{Path(STATE_FILE).stem}.*"):
        left.unlink()  # half a state, of a run that was killed while writing it
    use_threads(config.threads.train)
    device = chosen_device(config.device)
    sequences = load_sequences(artifacts.interactions(run.dataset))
    with Tracker(config, run) as tracker:
        training = prepare_training(config, run, sequences, device)
        reset_peak_memory(device)
        progress = training.fit(folder / STATE_FILE, fingerprint, tracker.after_epoch)
        load_weights(training.model, progress.best_weights)
        top = TopLists()
        ranks: dict[Held, np.ndarray] = {
            "validation": training.rank("validation"),
            "test": training.rank("test", top.see),
        }
        with atomic(folder / "model.safetensors") as temporary:
            # one key: safetensors writes several in an order that changes from process to process
            about = json.dumps({"run": run.folder, "fingerprint": fingerprint}, sort_keys=True)
            save_file(progress.best_weights, temporary, {"sanrec": about})
        write_user_tables(folder, sequences, ranks, top.items, artifacts.interactions(run.dataset))
        with atomic(folder / "history.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(progress.epochs[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(progress.epochs)
        metrics = summary(config, run, sequences, progress, ranks, training.model, device, fingerprint)
        write_json(folder / "metrics.json", metrics)
        tracker.finish(metrics)
    (folder / STATE_FILE).unlink(missing_ok=True)
    return metrics


def prepare_training(config: Config, run: Run, sequences: Sequences, device: torch.device) -> Training:
    """The run's model and data, by the kind of training that its method has."""
    kinds = {"sequences": SequenceTraining, "pairs": PairTraining}
    return kinds[run.spec.trains](config, run, sequences, device)


def finished_metrics(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The metrics of a run that is whole and was made from the very same inputs; else None."""
    if not all((folder / name).is_file() for name in OUTPUTS):
        return None
    metrics = read_json(folder / "metrics.json")
    if metrics.get("config_hash") == fingerprint:
        return metrics
    log.warning("%s: this run was made %s: it is trained anew", folder, made_otherwise(metrics))
    return None


def made_otherwise(metrics: dict[str, Any]) -> str:
    """How a run whose fingerprint is another was made, in words, as far as its metrics tell."""
    if (version := metrics.get("step_version")) != STEPS["train"]:
        return f"by version {version} of the training step, which has number {STEPS['train']} now"
    return "from other settings or inputs"


def scores(sequences: Sequences, ranks: np.ndarray, split: Held) -> dict[str, float]:
    """What metrics.json holds of a split: the metrics, and of how many users they are the mean."""
    of = owners(sequences, split)
    return {**metrics_from_ranks(ranks, of), "users": sequences.user_count if of is None else len(np.unique(of))}


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
            "sources": [{"channel": s.channel, "backbone": s.backbone} for s in run.features],
        },
        "settings": run.settings.model_dump(include=artifacts.recorded_settings(run)),
        "seed": run.seed,
        "test": scores(sequences, ranks["test"], "test"),
        "validation": scores(sequences, ranks["validation"], "validation"),
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
        "settings": run.settings.model_dump(mode="json", include=artifacts.recorded_settings(run)),
        "dataset": config.datasets[run.dataset].model_dump(mode="json", include={"corpus", "pairs"}),
        "version": STEPS["train"],
        "sources": [[s.channel, s.backbone, config.backbones[s.backbone].pooling] for s in run.features],
        "threads": config.threads.train,
        # of a tuned run's search what it found counts, as settings, and not its file
        "needs": {path: sha256(path) for path in artifacts.run_needs(config, run) if path != run.search},
    }
    if (watched := config.datasets[run.dataset].watched) != "HR@10":
        parts["watched"] = watched
    if own := own_fingerprint(config, run):
        parts["own"] = own
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
