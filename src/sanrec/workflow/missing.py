"""Files of one's own that jobs will look for and not find."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sanrec.config import Config
from sanrec.workflow.jobs import Job


@dataclass(frozen=True)
class Missing:
    """A file or folder that is not there, and what it should hold."""

    path: str
    what: str


def missing_files(config: Config, jobs: Iterable[Job]) -> list[Missing]:
    """What the jobs' corpora, data sets, backbones and captioners name and the disk does not have.

    Of a corpus that is downloaded only what has no address is looked for: the rest comes.
    """
    found: dict[str, Missing] = {}
    for job in jobs:
        if job.rule == "download":
            wanted = _of_corpus(config, job.wildcards["corpus"])
        elif job.rule == "prepare_dataset":
            wanted = _of_dataset(config, job.wildcards["dataset"])
        elif job.rule == "checkpoint":
            wanted = _of_checkpoint(config, Path(job.outputs[0]).stem)
        elif job.rule == "hidden":
            wanted = _of_features(config, job.wildcards["backbone"])
        else:
            wanted = []
        found |= {one.path: one for one in wanted if not Path(one.path).exists()}
    return list(found.values())


def _of_corpus(config: Config, name: str) -> list[Missing]:
    record = config.find("corpus", name)
    if record.downloads:
        return []
    if not Path(record.folder).is_dir():
        return [Missing(record.folder, f"the folder of corpus '{name}', with all of its files (docs/paper.md)")]
    kinds = {"titles": record.titles, "covers": record.covers, "videos": record.videos, "audios": record.audios}
    return [
        Missing(str(Path(record.folder, part)), f"{kind} of corpus '{name}'") for kind, part in kinds.items() if part
    ]


def _of_dataset(config: Config, name: str) -> list[Missing]:
    record = config.find("dataset", name)
    corpus = config.find("corpus", record.corpus)
    if corpus.source == "demo" or corpus.downloads or not Path(corpus.folder).is_dir():
        return []
    return [Missing(str(Path(corpus.folder, record.pairs)), f"interactions of data set '{name}'")]


def _of_checkpoint(config: Config, name: str) -> list[Missing]:
    record = config.find_checkpoint(name)
    return [Missing(record.checkpoint, f"checkpoint of '{name}'")] if record.source == "folder" else []


def _of_features(config: Config, name: str) -> list[Missing]:
    record = config.find("backbone", name)
    return [Missing(record.checkpoint, f"ready-made features '{name}'")] if record.source == "features" else []
