"""What jobs take, by measurements: this folder's own benchmark files, else `rates.yaml`, else nothing is said."""

import csv
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import ByteSize, PositiveFloat
from pydantic import PositiveInt as Count

from sanrec import artifacts
from sanrec.config import Config, Frozen, validate
from sanrec.files import read_yaml
from sanrec.hardware import gpu_names
from sanrec.workflow.jobs import Job

FILE = Path(__file__).with_name("rates.yaml")
HERE = "this folder's benchmark files"
TRAINING, SEARCHES = ("train", "train_backbones"), ("tune", "tune_backbones")
ONE_RULE = {"train_backbones": "train", "tune_backbones": "tune"}
ALIKE = {"train": ("dataset", "model"), "tune": ("dataset", "model")}  # wildcards that jobs of like length share


class Machine(Frozen):
    """What something was measured on."""

    title: str
    gpu: bool
    printed: bool = False
    """Whether these are a paper's figures, which nobody has repeated here."""


class Epoch(Frozen):
    """What an epoch of a run takes."""

    dataset: str
    model: str
    inputs: str
    seconds: PositiveFloat
    peak: ByteSize | None = None
    machine: str
    source: str


class Whole(Frozen, extra="allow"):
    """What a whole job takes; further keys are its wildcards."""

    rule: str
    seconds: PositiveFloat
    machine: str
    source: str

    @property
    def wildcards(self) -> Mapping[str, str]:
        """Which job of the rule it is."""
        return dict(self.model_extra or {})


Measured = TypeVar("Measured", Epoch, Whole)


class Items(Frozen):
    """The items of a corpus as published, or as a paper has them."""

    items: Count
    source: str


class Weights(Frozen):
    """What pretrained weights take."""

    bytes: ByteSize
    source: str


class Rates(Frozen):
    """All that has been measured."""

    sources: dict[str, str]
    machines: dict[str, Machine]
    epochs: tuple[Epoch, ...]
    jobs: tuple[Whole, ...]
    items: dict[str, Items]
    """By corpus."""
    weights: dict[str, Weights]
    """By repository."""


@dataclass(frozen=True)
class Estimate:
    """How long a job takes, and who says so."""

    seconds: float
    source: str
    gpu: bool
    """Whether it was measured on a GPU."""
    at_most: bool = False
    """Whether it counts all epochs that are allowed, of which early stopping may leave out some."""
    alike: bool = False
    """Whether it is of another job of this kind, with the same data set and model."""


@cache
def load_rates(path: Path = FILE) -> Rates:
    """The package's measurements. Raises ConfigError, naming the file, where they are malformed."""
    return validate(Rates, read_yaml(path, "rates"), str(path))


class Estimates:
    """Estimates for the jobs of one listing, among which are the finished ones that they are told by."""

    def __init__(self, config: Config, jobs: Iterable[Job], rates: Rates | None = None) -> None:
        self.config, self.rates = config, rates or load_rates()
        self.gpu = config.device.startswith("cuda") or (config.device == "auto" and bool(gpu_names()))
        self._measured = {
            job.benchmark: seconds for job in jobs if job.benchmark and (seconds := benchmark(job.benchmark))
        }
        self._alike: dict[tuple[str, ...], list[float]] = {}
        for job in jobs:
            if job.benchmark in self._measured and (key := _likeness(job)):
                self._alike.setdefault(key, []).append(self._measured[job.benchmark])

    def of(self, job: Job) -> Estimate | None:
        """How long the job takes; None where nothing is known."""
        key = _likeness(job)
        if job.benchmark in self._measured:
            return Estimate(self._measured[job.benchmark], HERE, self.gpu)
        if key in self._alike:
            return Estimate(statistics.median(self._alike[key]), HERE, self.gpu, alike=True)
        if whole := self._whole(_rule(job), job.wildcards):
            return whole
        if job.rule in (*TRAINING, *SEARCHES):
            return self._training(job)
        return None

    def _training(self, job: Job) -> Estimate | None:
        run, times = run_of(self.config, job), self.config.trials if job.rule in SEARCHES else 1
        known = {"dataset": run.dataset, "model": run.model, "inputs": run.inputs_text, "variant": run.given}
        if times > 1 and (whole := self._whole("train", known)):
            return replace(whole, seconds=times * whole.seconds, at_most=True)
        if epoch := self._epoch(run):
            seconds = times * run.settings.max_epochs * epoch.seconds
            exact = epoch.inputs == run.inputs_text and run.given == "default"
            return Estimate(seconds, *self._said(epoch), at_most=True, alike=not exact)
        return None

    def _epoch(self, run: artifacts.Run) -> Epoch | None:
        """What an epoch of a run takes, or else of one with the same data set and model: on a machine like this one."""
        found = [e for e in self.rates.epochs if (e.dataset, e.model) == (run.dataset, run.model)]
        right = [e for e in found if e.inputs == run.inputs_text and run.given == "default"]
        return self._nearest(right or found)

    def _whole(self, rule: str, wildcards: Mapping[str, str]) -> Estimate | None:
        found = [e for e in self.rates.jobs if e.rule == rule]
        exact = [e for e in found if e.wildcards.items() <= wildcards.items()]
        exact = [e for e in exact if wildcards.get("variant", "default") == "default"]
        names = ALIKE.get(rule, ())
        alike = [e for e in found if names and all(e.wildcards.get(n) == wildcards.get(n) for n in names)]
        nearest = self._nearest(exact or alike)
        return nearest and Estimate(nearest.seconds, *self._said(nearest), alike=not exact)

    def _nearest(self, found: Sequence[Measured]) -> Measured | None:
        """Of several measurements one on a machine like this one, and of several of these the longest."""
        return max(found, key=lambda e: (self.rates.machines[e.machine].gpu == self.gpu, e.seconds), default=None)

    def _said(self, measured: Epoch | Whole) -> tuple[str, bool]:
        """Who says so, on what machine; and whether that is a GPU."""
        machine = self.rates.machines[measured.machine]
        note = ", as printed there" if machine.printed else ""
        return f"{self.rates.sources[measured.source]}: {machine.title}{note}", machine.gpu

    def peak(self, run: artifacts.Run) -> tuple[int, str] | None:
        """The memory of a GPU that this very run takes, and who says so; None where nobody does."""
        for epoch in self.rates.epochs:
            same = (epoch.dataset, epoch.model, epoch.inputs) == (run.dataset, run.model, run.inputs_text)
            if same and run.given == "default" and epoch.peak and self.rates.machines[epoch.machine].gpu:
                return epoch.peak, self._said(epoch)[0]
        return None


def benchmark(path: str | Path) -> float | None:
    """The seconds that Snakemake noted of a job; None where the file is missing or says nothing."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            return float(list(csv.DictReader(file, delimiter="\t"))[-1]["s"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None


def run_of(config: Config, job: Job) -> artifacts.Run:
    """The run that a training job makes, or whose settings a search looks for."""
    if job.rule in TRAINING:
        return artifacts.parse_run(config, job.outputs[0])
    dataset, model, inputs, given = artifacts.parse_tuning(job.outputs[0])
    return artifacts.run(config, dataset, model, inputs, given)


def _rule(job: Job) -> str:
    return ONE_RULE.get(job.rule, job.rule)


def _likeness(job: Job) -> tuple[str, ...]:
    """What jobs of like length have in common; nothing where there are none such."""
    names = ALIKE.get(_rule(job), ())
    return (_rule(job), *(job.wildcards[name] for name in names)) if names else ()
