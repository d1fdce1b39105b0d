"""A finished run's model again: built from the run's artifacts and settings, with the weights of its best epoch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.backbones.extract import chosen_device
from sanrec.config import Config
from sanrec.data.split import Sequences
from sanrec.errors import DataError
from sanrec.files import read_json
from sanrec.searches import settled
from sanrec.training.checkpoint import load_weights
from sanrec.training.machine import use_threads
from sanrec.training.run import STATE_FILE, Training, made_otherwise, prepare_training, run_fingerprint
from sanrec.versions import STEPS


@dataclass(frozen=True)
class Restored:
    """A run as it was when it was scored."""

    run: Run
    """With the settings that it was trained with, a tuned one's search included."""
    fingerprint: str
    training: Training


def restore(config: Config, run: Run, sequences: Sequences, exact: bool = False) -> Restored:
    """Build the run's model and put its trained weights in; `sequences` are its data set's.

    `exact` has hidden states read as they are stored and computed with in float32, whatever the run's settings round
    them to. Raises DataError where an artifact is missing, the run is not finished, or its weights are another's.
    """
    run = settled(run)
    use_threads(config.threads.train)
    artifacts.require(artifacts.run_needs(config, run))
    fingerprint, weights = own_weights(config, run)
    built = replace(run, settings=run.settings.model_copy(update={"precision": "float32"})) if exact else run
    training = prepare_training(config, built, sequences, chosen_device(config.device))
    load_weights(training.model, weights)
    return Restored(run, fingerprint, training)


def own_weights(config: Config, run: Run) -> tuple[str, Mapping[str, torch.Tensor]]:
    """The run's fingerprint and its weights. Raises DataError where there are none, or they are of other inputs."""
    fingerprint = run_fingerprint(config, run)
    again = f"Train it: snakemake {run.metrics} --cores"
    if not Path(run.weights).is_file():
        begun = ": its training has begun and is not finished" if Path(run.folder, STATE_FILE).exists() else ""
        raise DataError(f"{run.weights}: no such file{begun}. {again}")
    try:
        with safe_open(run.weights, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("sanrec", "{}"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise DataError(f"{run.weights}: cannot be read ({error}). Delete it. {again}") from None
    if about != {"run": run.folder, "fingerprint": fingerprint}:
        metrics = read_json(run.metrics) if Path(run.metrics).is_file() else {"step_version": STEPS["train"]}
        raise DataError(f"{run.weights}: trained {made_otherwise(metrics)}. Delete it. {again}")
    return fingerprint, weights
