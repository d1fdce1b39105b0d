"""Time and memory of training steps at the points of a figure: many systems, batch sizes, ways to read hidden states.

Whole epochs would take hours where a step has one user, so some steps are timed, and the epoch follows from their
median. On a CPU each point has a process of its own, on Linux the fork of one that imported the libraries; on a GPU,
whose peak can be counted anew, points follow each other in one. A measurement that was killed goes on with the points
that it lacks.
"""

import hashlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import count, islice
from multiprocessing import get_context
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
from sanrec.errors import SanrecError
from sanrec.files import read_json, write_json
from sanrec.methods import FULL, RESIDENT
from sanrec.models.registry import Recommender, trainable_parameters
from sanrec.progress import bar
from sanrec.training.batches import Batch, epoch_batches
from sanrec.training.efficiency import check_machine, libraries
from sanrec.training.loading import load_source
from sanrec.training.loop import adam, seed_epoch, train_step
from sanrec.training.machine import machine_name, peak_memory, restart_peak_memory, use_threads, versions
from sanrec.training.processes import in_own_process
from sanrec.training.run import run_fingerprint
from sanrec.training.sequences import training_windows, untrained
from sanrec.training.sources import ItemSource
from sanrec.training.streamed import load_streamed
from sanrec.versions import STEPS

log = logging.getLogger(__name__)
CAN_FORK = sys.platform == "linux"  # elsewhere a fork of a process with threads is not safe, or there is none
Point = tuple[Run, str]  # a run, and how it reads hidden states: one of `methods.READS`


def measure_costs(
    config: Config, dataset: str, points: Iterable[Point], machine: str, measurement: str
) -> dict[str, Any]:
    """Measure every point on a data set and write `artifacts.costs(dataset, machine, measurement)`.

    Each point's part stands under its `artifacts.cost_key`. What is finished is kept, until all is, in a folder beside,
    by a digest of all that it hangs on.

    Raises SanrecError where this is another machine than `machine` names, and where a point fails.
    """
    check_machine(config, machine)
    out = Path(artifacts.costs(dataset, machine, measurement))
    folder = out.with_suffix(".unfinished")
    files = {point: folder / f"{_digest(config, point, machine)}.json" for point in points}
    together = CAN_FORK or chosen_device(config.device).type == "cuda"
    for group in processes(list(files), together):
        left = [point for point in group if not files[point].is_file()]
        if left:
            log.info("%s: %s", left[0][1], ", ".join(run.system for run, _ in left))
            runs = [word for point in left for word in (point[0].metrics, str(files[point]))]
            status = in_own_process(config, ["measure-steps", left[0][1], *runs])
            if failed := [run for run, reads in left if not files[run, reads].is_file()]:
                raise SanrecError(
                    f"{failed[0].system} on {dataset} could not be measured (exit status {status}); what it said "
                    "stands above. The points before it are kept. Where its memory did not suffice, take the largest "
                    "values out of the study's 'points', or give the data set smaller settings"
                )
    found = {artifacts.cost_key(*point): read_json(file) for point, file in files.items()}
    here = next(iter(found.values()))
    record = {
        "dataset": dataset,
        "machine": machine,
        "measurement": measurement,
        "hardware": here["hardware"],
        "memory": here["memory"],
        "threads": config.threads.train,
        "timing": config.timing.model_dump(include={"warm_up_steps", "steps"}),
        "points": found,
        "versions": versions(),
        "step_version": STEPS["costs"],
    }
    write_json(out, record)
    shutil.rmtree(folder)
    return record


def processes(points: Sequence[Point], together: bool) -> list[list[Point]]:
    """The points of each process: those that need the same libraries and read in the same way, or one by one."""
    groups: dict[Any, list[Point]] = {}
    for place, (run, reads) in enumerate(points):
        groups.setdefault((*libraries(run), reads) if together else place, []).append((run, reads))
    return list(groups.values())


def _digest(config: Config, point: Point, machine: str) -> str:
    """A digest of all that a point's measurement hangs on."""
    run, reads = point
    parts = [run_fingerprint(config, run), reads, machine, config.device, config.timing.model_dump(), versions()]
    return hashlib.sha256(json.dumps([*parts, STEPS["costs"]], sort_keys=True).encode()).hexdigest()[:16]


def measure_steps(config: Config, reads: str, runs: Sequence[tuple[Run, str]]) -> None:
    """Measure points, on a CPU each in a fork of this process, and write each to its file. Nothing else is kept.

    A fork starts with the libraries imported, which takes longer than most points, and with nothing else: what was
    measured before leaves no trace in it. Raises SanrecError where one fails.
    """
    for library in libraries(runs[0][0]):
        import_module(library)  # else it would count among what the point itself takes
    forks = CAN_FORK and chosen_device(config.device).type == "cpu"  # what has asked for a GPU cannot be forked
    for run, file in runs:
        if forks:
            fork = get_context("fork").Process(target=_measure_to, args=(config, run, reads, file))
            fork.start()
            fork.join()
            if fork.exitcode:
                raise SanrecError(f"{run.system} failed (exit status {fork.exitcode})")
        else:
            _measure_to(config, run, reads, file)


def _measure_to(config: Config, run: Run, reads: str, file: str) -> None:
    write_json(file, measure_point(config, run, reads))


def measure_point(config: Config, run: Run, reads: str) -> dict[str, Any]:
    """Load what the run reads, train some steps of it, and say what they took (see `time_steps`)."""
    use_threads(config.threads.train)
    device = chosen_device(config.device)
    before = peak_memory(device)
    load = load_source if reads == RESIDENT else partial(load_streamed, every_layer=reads == FULL)
    sequences = load_sequences(artifacts.interactions(run.dataset))
    source, model = untrained(config, run, sequences, device, load)
    anew = restart_peak_memory(device)
    windows, log_p = training_windows(sequences), log_popularity(sequences)
    names = artifacts.recorded_settings(run)
    return {
        "model": run.model,
        "inputs": run.inputs_text,
        "variant": run.variant,
        "reads": reads,
        "settings": run.settings.model_dump(mode="json", include=names),
        "memory_before_bytes": before,
        "peak_since": "loading" if anew else "start",
        **time_steps(model, source, windows, log_p, run.settings, run.seed, device, config.timing, run.system),
    }


def time_steps(
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
    """Time single training steps, after some that only warm up: the first steps of a run, those of `train_epoch`.

    Arguments are those of `fit`. A step's time runs from the end of the one before: making the batch is in it. Only
    whole batches count. Given back: `step_seconds`, their median, and `seconds_per_epoch`, which is that times an
    epoch's `steps`; the `losses`; `peak_memory_bytes` since it was reset; and what the steps consist of.

    Raises SanrecError for a loss that is no number.
    """
    optimizer = adam(model, settings)
    log_p = torch.from_numpy(log_popularity).float().to(device)
    model.train()
    seconds, losses, items = [], [], []
    batches = islice(_whole_batches(sequences, settings.batch_size, seed), timing.warm_up_steps + timing.steps)
    started = time.perf_counter()
    for batch in bar(batches, total=timing.warm_up_steps + timing.steps, desc=name, unit="step"):
        loss = train_step(model, source, batch, log_p, optimizer, settings, device).item()  # waits for the device
        ended = time.perf_counter()
        seconds.append(ended - started)
        losses.append(loss)
        items.append(len(batch.items))
        started = ended
    if not np.isfinite(losses).all():
        raise SanrecError(f"the loss of {name} is no number: try a smaller learning rate")
    timed, steps = seconds[timing.warm_up_steps :], -(-len(sequences) // settings.batch_size)
    return {
        "seconds_per_epoch": float(np.median(timed)) * steps,
        "seconds_per_step": float(np.median(timed)),
        "step_seconds": timed,
        "warm_up_step_seconds": seconds[: timing.warm_up_steps],
        "losses": losses,
        "steps": steps,
        "users": len(sequences),
        "items_per_step": float(np.median(items[timing.warm_up_steps :])),
        "peak_memory_bytes": peak_memory(device),
        "memory": "GPU allocator" if device.type == "cuda" else "process",
        "trainable_parameters": trainable_parameters(model),
        "hardware": machine_name(device),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "process": os.getpid(),
    }


def _whole_batches(sequences: np.ndarray, batch_size: int, seed: int) -> Iterator[Batch]:
    """The batches of one epoch after the other, without the smaller one at the end of each."""
    users = min(batch_size, len(sequences))
    for epoch in count(1):
        seed_epoch(seed, epoch)
        yield from (b for b in epoch_batches(sequences, batch_size, seed, epoch) if len(b.places) == users)
