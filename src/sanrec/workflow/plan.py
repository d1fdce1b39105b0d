"""What targets will take: jobs by kind and their time, downloads, disk, GPU memory, licences to accept, missing media.

Nothing is run or fetched for it. What nobody has measured, and cannot be computed, is said to be unknown.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sanrec.config import Config
from sanrec.disk import BYTES, store_bytes
from sanrec.layers import kept_layers
from sanrec.workflow.jobs import KINDS, Job, Listing
from sanrec.workflow.missing import Media, Missing, media_counts, missing_files
from sanrec.workflow.rates import SEARCHES, TRAINING, Estimate, Estimates, run_of
from sanrec.workflow.weighing import Weighing

EXTRACTION = ("hidden", "caption")
ON_RUNS = ("efficiency", "costs", "information")  # they run models that they do not train to the end


@dataclass(frozen=True)
class Download:
    """A checkpoint that is to be fetched."""

    name: str
    repository: str
    revision: str
    bytes: int | None
    source: str
    license: str
    gated: bool


@dataclass(frozen=True)
class RawFile:
    """A raw file of a corpus that is to be fetched."""

    corpus: str
    file: str
    places: tuple[str, ...]
    """The hosts of its addresses, or the folders, without what may be secret in an address."""
    bytes: int | None
    unpack: bool


@dataclass(frozen=True)
class Need:
    """Bytes of something, None where they are unknown, and where the figure is from."""

    what: str
    bytes: int | None
    source: str


@dataclass(frozen=True)
class Plan:
    """All that is said beforehand."""

    study: str
    jobs: tuple[Job, ...]
    """Those to be done."""
    done: dict[str, int]
    """Jobs that are done already, by kind."""
    estimates: dict[tuple[str, ...], Estimate | None]
    """Of each job to be done, by its outputs."""
    downloads: tuple[Download, ...]
    raw_files: tuple[RawFile, ...]
    disk: tuple[Need, ...]
    gpu: tuple[Need, ...]
    missing: tuple[Missing, ...]
    media: tuple[Media, ...]
    free: int

    @property
    def kinds(self) -> dict[str, list[Job]]:
        """The jobs to be done by kind, in the order of the data."""
        found: dict[str, list[Job]] = {}
        for job in self.jobs:
            found.setdefault(job.kind, []).append(job)
        return found


def make_plan(listing: Listing, world_items: Callable[[Mapping[str, Any]], int]) -> Plan:
    """The plan for what a listing has not done yet; `world_items` as in `Weighing`."""
    config, needed = listing.config, tuple(job for job in listing.jobs if job.needed)
    estimates, weighing = Estimates(config, listing.jobs), Weighing(config, world_items)
    done: dict[str, int] = {}
    for job in listing.jobs:
        if not job.needed:
            done[job.kind] = done.get(job.kind, 0) + 1
    fetched = [_download(config, weighing, job) for job in needed if job.rule == "checkpoint"]
    downloads = tuple(found for found in fetched if found)
    raw_files = tuple(file for job in needed if job.rule == "download" for file in _raw_files(config, job))
    return Plan(
        config.study,
        needed,
        done,
        {job.outputs: estimates.of(job) for job in needed},
        downloads,
        raw_files,
        summed(_disk(config, weighing, needed, downloads, raw_files)),
        tuple({need.what: need for need in _gpu(config, weighing, estimates, needed)}.values()),
        tuple(missing_files(config, needed)),
        tuple(media_counts(config, needed)),
        shutil.disk_usage(Path.cwd()).free,
    )


def _download(config: Config, weighing: Weighing, job: Job) -> Download | None:
    """What a checkpoint's job fetches; nothing where the weights lie in a folder."""
    name = Path(job.outputs[0]).stem
    record = config.find_checkpoint(name)
    if record.source != "hub":
        return None
    size, source = weighing.weights(name)
    return Download(name, record.checkpoint, record.revision or "", size, source, record.license, record.gated)


def _raw_files(config: Config, job: Job) -> Iterator[RawFile]:
    """What a corpus' job fetches: what has an address and is not in the folder."""
    name = job.wildcards["corpus"]
    corpus = config.find("corpus", name)
    for download in corpus.downloads:
        if download.urls and not Path(corpus.folder, download.file).exists():
            addresses = [urlsplit(url) for url in download.urls]
            places = tuple(dict.fromkeys(address.hostname or address.path for address in addresses))
            yield RawFile(name, download.file, places, download.bytes, download.unpack)


def _disk(
    config: Config,
    weighing: Weighing,
    jobs: Sequence[Job],
    downloads: Iterable[Download],
    raw_files: Iterable[RawFile],
) -> Iterator[Need]:
    """What will be written, the small files of data sets, tables and figures aside."""
    yield from (Need(f"checkpoint {d.name}", d.bytes, d.source) for d in downloads)
    for file in raw_files:
        yield Need(f"{file.corpus}: {file.file}", file.bytes, "config")
        if file.unpack:
            yield Need(f"{file.corpus}: {file.file}, unpacked", None, "")
    for job in jobs:
        if job.rule == "hidden":
            yield _store(config, weighing, job)
        elif job.rule == "inputs":
            yield Need("model-ready inputs", None, "compressed")
        elif job.rule == "demo_world":
            yield Need("the demo's media", None, "")
        elif job.rule in TRAINING:
            run = run_of(config, job)
            parameters = weighing.parameters(run)
            size = parameters and parameters * BYTES["float32"]
            yield Need(
                f"weights of runs of {run.dataset}/{run.model}/{run.inputs_text}", size, "trained parameters, counted"
            )


def _store(config: Config, weighing: Weighing, job: Job) -> Need:
    record = config.find("backbone", job.wildcards["backbone"])
    count, source = weighing.items(job.wildcards["corpus"])
    if count is None:
        return Need(job.outputs[0], None, source)
    layers = 1 if record.source == "features" else len(kept_layers(record.blocks, record.kept_layers, record.blocks))
    size = store_bytes(count, layers, record.width, record.chunk_rows, record.store_dtype)
    return Need(job.outputs[0], size, f"{count:,} items ({source}), {layers} layers of width {record.width}")


def _gpu(config: Config, weighing: Weighing, estimates: Estimates, jobs: Sequence[Job]) -> Iterator[Need]:
    """What a GPU must hold: weights in extraction and captioning, and peaks of training, searches and measurements.

    The demo needs none, nor do rules that fetch, prepare, count, gather and draw. What the user's own rules need is
    unknown.
    """
    for job in jobs:
        if job.rule in EXTRACTION:
            corpus, hidden = job.wildcards["corpus"], job.rule == "hidden"
            name = job.wildcards["backbone"] if hidden else config.find_captioner(corpus, job.wildcards["medium"])
            record = config.find_checkpoint(name)
            if record.source not in ("demo", "features"):
                size, source = weighing.weights(name)
                yield Need(f"{'extraction with' if hidden else 'captions by'} {name}: weights", size, source)
        elif job.rule in TRAINING:
            run = run_of(config, job)
            if not _of_demo(config, run.dataset):
                size, source = estimates.peak(run) or (None, "")
                yield Need(f"training {run.dataset}/{run.model}/{run.inputs_text}: peak", size, source)
        elif job.rule in SEARCHES:
            run = run_of(config, job)  # its trials are of many sizes, which nobody has measured
            if not _of_demo(config, run.dataset):
                yield Need(f"search {run.dataset}/{run.model}/{run.inputs_text}: peak", None, "")
        elif job.rule in ON_RUNS:
            if not _of_demo(config, dataset := job.wildcards["dataset"]):
                yield Need(f"{job.kind} on {dataset}: peak", None, "")
        elif job.rule not in KINDS:
            yield Need(f"rule {job.rule}", None, "")


def _of_demo(config: Config, dataset: str) -> bool:
    return config.find("corpus", config.find("dataset", dataset).corpus).source == "demo"


def summed(needs: Iterable[Need]) -> tuple[Need, ...]:
    """Needs of one name as one: their sum, unknown where one of them is."""
    found: dict[str, Need] = {}
    for need in needs:
        before = found.get(need.what)
        known = (
            None
            if need.bytes is None or (before and before.bytes is None)
            else need.bytes + (before.bytes if before else 0)
        )
        found[need.what] = replace(need, bytes=known)
    return tuple(found.values())


def as_record(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    jobs = [
        {
            "kind": job.kind,
            "rule": job.rule,
            "output": job.outputs[0],
            "mem_mb": job.mem_mb,
            "estimate": known and asdict(known),
        }
        for job in plan.jobs
        for known in [plan.estimates[job.outputs]]
    ]
    lists = ("downloads", "raw_files", "disk", "gpu", "missing", "media")
    parts = {name: [asdict(one) for one in getattr(plan, name)] for name in lists}
    return {"study": plan.study, "jobs": jobs, "done": plan.done, **parts, "free_bytes": plan.free}
