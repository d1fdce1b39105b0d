"""Files and media of one's own that jobs will look for: those that are not there, and how many items have theirs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sanrec import artifacts
from sanrec.config import Config, Corpus
from sanrec.workflow.jobs import Job

READS_CHANNEL, READS_MEDIUM = ("hidden", "hidden_shard", "inputs"), ("caption", "caption_shard")
FOLDERS = {"cover": "covers", "video": "videos", "audio": "audios"}  # keys of a corpus by the medium


@dataclass(frozen=True)
class Missing:
    """A file or folder that is not there, and what it should hold."""

    path: str
    what: str


@dataclass(frozen=True)
class Media:
    """How many items of a corpus have a medium that jobs read; where nobody has counted yet, `present` is None."""

    corpus: str
    medium: str
    present: int | None
    items: int | None
    fetched: bool
    """Whether it comes with the corpus' downloads, which are still to come."""


def missing_files(config: Config, jobs: Iterable[Job]) -> list[Missing]:
    """What the jobs' corpora, data sets, backbones and captioners name and the disk does not have.

    Media are looked for where some job reads them. Of a corpus that is downloaded only what has no address is looked
    for: the rest comes.
    """
    jobs = list(jobs)
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
    for name, media in media_read(config, jobs).items():
        record = config.find("corpus", name)
        if not record.downloads and Path(record.folder).is_dir():
            folders = {path: Missing(path, f"{medium} of corpus '{name}'") for medium, path in _folders(record, media)}
            found |= {path: one for path, one in folders.items() if not Path(path).exists()}
    return list(found.values())


def media_counts(config: Config, jobs: Iterable[Job]) -> list[Media]:
    """How many items have each medium that jobs read, by the corpus' item table where it is made.

    Media whose folder is not there are left out: `missing_files` names them.
    """
    jobs, found = list(jobs), []
    fetched = {job.wildcards["corpus"] for job in jobs if job.rule == "download"}
    for name, media in media_read(config, jobs).items():
        record = config.find("corpus", name)
        if record.downloads and name in fetched:
            found += [Media(name, medium, None, None, True) for medium in media]
            continue
        there = [medium for medium, path in _folders(record, media) if Path(path).exists()]
        counts = _counts(Path(artifacts.items(name)), there)
        found += [Media(name, medium, *counts[medium], False) for medium in there]
    return found


def media_read(config: Config, jobs: Iterable[Job]) -> dict[str, list[str]]:
    """The media that jobs decode, by corpus of one's own: `cover`, `video`, `audio`.

    Titles are read by the corpus' own job, captions and ready-made features from files of their own.
    """
    found: dict[str, list[str]] = {}
    for job in jobs:
        if job.rule in READS_MEDIUM:
            medium = job.wildcards["medium"]
        elif job.rule in READS_CHANNEL and config.find("backbone", job.wildcards["backbone"]).source != "features":
            medium = job.wildcards["channel"]
        else:
            continue
        name = job.wildcards["corpus"]
        media = found.setdefault(name, []) if config.find("corpus", name).source != "demo" else []
        if medium in FOLDERS and medium not in media:
            media.append(medium)
    return {name: sorted(media, key=list(FOLDERS).index) for name, media in found.items() if media}


def _folders(record: Corpus, media: Iterable[str]) -> list[tuple[str, str]]:
    """The media and their folders; sound that has none comes from the videos."""
    keys = {medium: getattr(record, FOLDERS[medium]) for medium in media}
    if "audio" in keys:
        keys["audio"] = keys["audio"] or record.videos
    return [(medium, str(Path(record.folder, part))) for medium, part in keys.items() if part]


def _counts(table: Path, media: Iterable[str]) -> Mapping[str, tuple[int | None, int | None]]:
    """Items that have each medium, and all items; None for both where no table is there that says so."""
    if not table.is_file():
        return dict.fromkeys(media, (None, None))
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = {medium: f"{medium}_state" for medium in media}
    states = pq.read_table(table, columns=list(columns.values()))
    return {
        medium: (pc.sum(pc.equal(states[column], "present")).as_py() or 0, states.num_rows)
        for medium, column in columns.items()
    }


def _of_corpus(config: Config, name: str) -> list[Missing]:
    record = config.find("corpus", name)
    if record.downloads:
        files = [download.file for download in record.downloads if not download.urls]
        return [Missing(str(Path(record.folder, file)), f"a file of corpus '{name}' without address") for file in files]
    if not Path(record.folder).is_dir():
        return [Missing(record.folder, f"the folder of corpus '{name}', with all of its files (docs/paper.md)")]
    return [Missing(str(Path(record.folder, record.titles)), f"titles of corpus '{name}'")] if record.titles else []


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
