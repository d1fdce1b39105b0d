"""What tables take, and how jobs run: studies, threads, timing and tuning."""

from pydantic import (
    Field,
    NonNegativeInt,
)
from pydantic import PositiveInt as Count

from sanrec.config.base import Frozen


class Study(Frozen):
    """Which data sets and seeds the tables take; but for `trials` nothing in it changes a run's numbers."""

    title: str
    """Name as printed."""
    datasets: tuple[str, ...]
    """Data sets of CROSSAN's tables, in their order."""
    versa_datasets: tuple[str, ...] = ()
    """Data sets of IISAN-Versa's Table I, in its order."""
    amazon_datasets: tuple[str, ...] = ()
    """Data sets of IISAN-Versa's Table III, in its order; its Tables IV, VI, VII and VIII take the first."""
    microlens_datasets: tuple[str, ...] = ()
    """Data sets of IISAN-Versa's Tables V and IX."""
    stand_ins: dict[str, str] = {}
    """Which backbone stands for each of IISAN-Versa's, by its name in the registry; where any is named, rows of its
    tables with other backbones have the paper's figures only. None is named: its own."""
    without: tuple[str, ...] = ()
    """Backbones that are not to be run, as those too large for one's GPUs: rows with them have the paper's figures
    only."""
    seeds: tuple[NonNegativeInt, ...] = (0,)
    """One training run per seed."""
    figure_seeds: tuple[NonNegativeInt, ...] | None = None
    """Seeds of the figures, whose error bars are over them; by default those of the tables."""
    trials: Count = 8
    """Settings tried per method and inputs where tables compare what was tuned."""
    points: dict[str, tuple[float, ...]] = {}
    """The values at which each sweep of the figures is run, by the sweep's name: another value is another point."""

    @property
    def all_datasets(self) -> tuple[str, ...]:
        """Every data set that it takes, each once."""
        return tuple(
            dict.fromkeys((*self.datasets, *self.versa_datasets, *self.amazon_datasets, *self.microlens_datasets))
        )


class Threads(Frozen):
    """CPU threads per job of each step; Snakemake runs as many jobs side by side as `--cores` has room for."""

    extract: Count = 1
    """Extraction of hidden states and of model-ready inputs."""
    train: Count = 1
    """Training. Another number gives other last bits."""


class Resources(Frozen):
    """What jobs ask a cluster for: multiples of what the rules ask for by themselves, and a bound."""

    time: float = Field(1.0, gt=0)
    """Of the running time. Every retry asks for twice as much as the attempt before."""
    memory: float = Field(1.0, gt=0)
    """Of the memory. Every retry asks for twice as much as the attempt before."""
    longest: Count | None = None
    """Most minutes that a job asks for, also in a retry: what the partition gives at most, above which jobs are refused
    or wait for ever; by default no bound. A job that needs longer goes on in its retries from where it was."""


class Timing(Frozen):
    """How time and memory are measured: by epochs for CROSSAN's Table 4, by steps for IISAN-Versa's Figures 5 and 7."""

    warm_up: NonNegativeInt = 1
    """Epochs before the clock counts: they fill caches and allocators."""
    repeats: Count = 3
    """Epochs that are timed; their median is the figure, their least and most its spread."""
    warm_up_steps: NonNegativeInt = 5
    """Training steps before the clock counts, at each point of a figure."""
    steps: Count = 20
    """Training steps that are timed at each point of a figure; their median, times an epoch's number of steps, is the
    time of an epoch."""
    cores: Count | None = None
    """Cores that a job asks for that measures, so that nothing runs beside it: by default those of the machine that the
    workflow starts on. On a cluster: those of a node (docs: hpc). What is timed has `threads.train`."""


class Tuning(Frozen):
    """How settings are searched for (docs: tuning): the same for every method, on the validation split alone."""

    trials: Count | None = None
    """Settings tried per method and inputs, the first of them the data set's own for the method; by default the
    study's number."""
    seed: NonNegativeInt = 0
    """Seed of the search, and of every trial's training."""
    startup: NonNegativeInt = 4
    """Trials drawn at random before the search learns from those it has seen, and before any is cut short."""
    warm_up: NonNegativeInt = 5
    """Epochs of a trial before it may be cut short for being worse than the median of the others."""
