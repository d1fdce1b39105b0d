"""What training costs: time per epoch, peak memory and trainable parameters, of many systems on one machine.

Each system trains in a process of its own, so that its peak memory is its own and nothing is left warm by another. The
epoch that is timed is the epoch that `fit` trains.
"""

import logging
import os
import tempfile
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.backbones.extract import chosen_device
from sanrec.config import Config, Settings, Timing
from sanrec.data.interactions import load_sequences
from sanrec.data.split import log_popularity
from sanrec.errors import ConfigError, SanrecError
from sanrec.files import read_json, write_json
from sanrec.hardware import hardware_name, machine_of, slug
from sanrec.models.registry import Recommender, trainable_parameters
from sanrec.progress import bar
from sanrec.searches import settled
from sanrec.training.loop import adam, train_epoch
from sanrec.training.machine import machine_name, peak_memory, reset_peak_memory, use_threads, versions
from sanrec.training.processes import in_own_process
from sanrec.training.sequences import training_windows, untrained
from sanrec.training.sources import ItemSource
from sanrec.versions import STEPS

log = logging.getLogger(__name__)


def measure_efficiency(config: Config, dataset: str, runs: Iterable[Run], machine: str) -> dict[str, Any]:
    """Measure every run of a data set, one process after the other, and write `artifacts.efficiency(dataset, machine)`.

    `runs` are what a table compares; those that are the same system are measured once. Written is, by
    `Run.system`, what `measure_run` gives, with the name of the machine, its hardware, and the figures' kind.

    Raises SanrecError where this is another machine than `machine` names, and where a run fails.
    """
    check_machine(config, machine)
    systems = {run.system: run for run in runs}
    found = {}
    for number, (system, run) in enumerate(systems.items(), start=1):
        log.info("%d of %d: %s", number, len(systems), system)
        found[system] = _in_own_process(config, run)
    here = next(iter(found.values()))
    record = {
        "dataset": dataset,
        "machine": machine,
        "hardware": here["hardware"],
        "memory": here["memory"],
        "threads": config.threads.train,
        "timing": config.timing.model_dump(include={"warm_up", "repeats"}),
        "runs": found,
        "versions": versions(),
        "step_version": STEPS["efficiency"],
    }
    write_json(artifacts.efficiency(dataset, machine), record)
    return record


def check_machine(config: Config, machine: str) -> None:
    """Raise SanrecError where `machine` is not what the config calls the machine that this process runs on.

    The name was settled where the workflow started; a cluster's nodes may be other machines, and a GPU that the driver
    lists may be out of torch's reach.
    """
    device = chosen_device(config.device)
    here = machine_of(config)
    if config.machine == "auto":
        here = slug(torch.cuda.get_device_name(device) if device.type == "cuda" else hardware_name("cpu"))
    if here != machine:
        raise SanrecError(
            f"{machine} is to be measured, but this is {here}: figures of two machines are never mixed. Where the jobs "
            "run on another machine than the workflow starts on, give that machine a name: config key 'machine'"
        )


def _in_own_process(config: Config, run: Run) -> dict[str, Any]:
    """What `sanrec measure` finds of one run. Raises SanrecError where it fails."""
    with tempfile.TemporaryDirectory(prefix="sanrec-efficiency-") as folder:
        out = Path(folder, "measured.json")
        status = in_own_process(config, ["measure", run.metrics, str(out)])
        if status or not out.is_file():
            raise SanrecError(
                f"{run.system} on {run.dataset} could not be measured (exit status {status}); what it said "
                "stands above. Where its memory did not suffice, give the data set's settings of "
                f"'{run.model}' a smaller batch_size"
            )
        return read_json(out)


def libraries(run: Run) -> list[str]:
    """What a run imports on its way: stores, torch's first optimizer, backbones, and LoRA."""
    always = ["zarr", "torch._dynamo"]
    return always + ["transformers"] * artifacts.reads_inputs(run) + ["peft"] * (run.model == "lora")


def measure_run(config: Config, run: Run) -> dict[str, Any]:
    """Train some epochs of a run in this very process and say what they took (see `measure`). Nothing is kept of it."""
    if run.spec.trains != "sequences":
        raise ConfigError(f"{run.system}: what is measured are epochs over sequences, and this method trains on pairs")
    run = settled(run)
    use_threads(config.threads.train)
    device = chosen_device(config.device)
    for library in libraries(run):
        import_module(library)  # else it would count among what the row itself takes
    before = peak_memory(device)
    sequences = load_sequences(artifacts.interactions(run.dataset))
    source, model = untrained(config, run, sequences, device)
    reset_peak_memory(device)
    names = artifacts.recorded_settings(run)
    return {
        "model": run.model,
        "inputs": run.inputs_text,
        "variant": run.variant,
        "settings": run.settings.model_dump(mode="json", include=names),
        "memory_before_bytes": before,
        **measure(
            model,
            source,
            training_windows(sequences),
            log_popularity(sequences),
            run.settings,
            run.seed,
            device,
            config.timing,
            run.system,
        ),
    }


def measure(
    model: Recommender,
    source: ItemSource,
    sequences: np.ndarray,
    log_popularity: np.ndarray,
    settings: Settings,
    seed: int,
    device: torch.device,
    timing: Timing,
    name: str,
) -> dict[str, Any]:
    """Time whole training epochs, after some that only warm up; evaluation is not in them.

    Arguments are those of `fit`. Given back: `seconds` of each timed epoch and their median `seconds_per_epoch`;
    `peak_memory_bytes`, of the GPU's allocator, or of the whole process since its start, libraries included;
    `trainable_parameters`; what an epoch consists of (users, steps, items); and what it ran on.
    """
    optimizer = adam(model, settings)
    log_p = torch.from_numpy(log_popularity).float().to(device)
    seconds = []
    for epoch in bar(range(1, timing.warm_up + timing.repeats + 1), desc=name, unit="epoch"):
        taken = train_epoch(model, source, sequences, log_p, optimizer, settings, seed, epoch, device)[1]
        seconds.append(taken)
    timed = seconds[timing.warm_up :]
    return {
        "seconds_per_epoch": float(np.median(timed)),
        "seconds": timed,
        "warm_up_seconds": seconds[: timing.warm_up],
        "peak_memory_bytes": peak_memory(device),
        "memory": "GPU allocator" if device.type == "cuda" else "process",
        "trainable_parameters": trainable_parameters(model),
        "users": len(sequences),
        "steps": -(-len(sequences) // settings.batch_size),
        "items": source.items,
        "hardware": machine_name(device),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "process": os.getpid(),
    }
