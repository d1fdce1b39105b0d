"""Corpora and data sets: what their rules need, and the part of the config that they depend on."""

import hashlib
import json
from pathlib import Path

from sanrec import artifacts
from sanrec.config import Config


def demo_corpora(config: Config) -> list[str]:
    """The corpora that sanrec's generator makes."""
    return [name for name, corpus in config.corpora.items() if corpus.source == "demo"]


def raw(config: Config, corpus: str) -> str:
    """The manifest of a corpus' raw files."""
    config.find("corpus", corpus)
    return artifacts.raw(corpus)


def own_file(config: Config, corpus: str, name: str) -> list[str]:
    """A file of a corpus that lies in a folder of the user's: an edit to it makes anew what was read from it.

    Only where it is there when the workflow starts; if it is missing, the step itself has the better error. Files that
    the workflow makes or fetches itself are vouched for by raw.json.
    """
    record = config.find("corpus", corpus)
    path = Path(record.folder, name)
    return [str(path)] if record.source == "files" and not record.downloads and path.is_file() else []


def corpus_needs(config: Config, corpus: str) -> dict[str, str | list[str]]:
    """What `prepare-corpus` reads."""
    titles = config.find("corpus", corpus).titles
    return {"raw": raw(config, corpus), "titles": own_file(config, corpus, titles) if titles else []}


def dataset_needs(config: Config, dataset: str) -> dict[str, str | list[str]]:
    """What `prepare-dataset` reads."""
    found = config.find("dataset", dataset)
    needs = {"item_table": artifacts.items(found.corpus), "raw": raw(config, found.corpus)}
    return needs | {"pairs": own_file(config, found.corpus, found.pairs), "features": counted_features(config, dataset)}


def counted_features(config: Config, dataset: str) -> list[str]:
    """The parquet files whose items a data set's counts are told by, where they are there when the workflow starts."""
    records = [config.find("backbone", name) for name in config.find("dataset", dataset).backbones.values()]
    files = [record.checkpoint for record in records if record.source == "features"]
    return [file for file in dict.fromkeys(files) if file.endswith(".parquet") and Path(file).is_file()]


def media_listing(config: Config, corpus: str) -> str:
    """A digest of the names in the media folders of a corpus of the user's: files added or taken away are noticed."""
    record = config.find("corpus", corpus)
    if record.source != "files" or record.downloads:
        return ""
    digest = hashlib.sha256()
    for part in filter(None, (record.covers, record.videos, record.audios)):
        folder = Path(record.folder, part)
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        digest.update(json.dumps([part, names]).encode())
    return digest.hexdigest()


def media_needs(config: Config, corpus: str) -> list[str]:
    """The manifests that a corpus' media report gathers: every channel with the backbones of data sets over it."""
    found = [
        artifacts.hidden(corpus, channel, backbone)
        for dataset in config.datasets.values()
        if dataset.corpus == corpus
        for channel, backbone in dataset.backbones.items()
        if not channel.endswith("caption") and _has_channel(config, corpus, channel, backbone)
    ]
    return list(dict.fromkeys(found))


def _has_channel(config: Config, corpus: str, channel: str, backbone: str) -> bool:
    if config.backbones[backbone].checkpoint.endswith(".parquet") and config.backbones[backbone].source == "features":
        return True  # it may lack items, where a .npy has a row for each
    record = config.find("corpus", corpus)
    sound = record.audios or record.videos
    folders = {"title": record.titles, "cover": record.covers, "video": record.videos, "audio": sound}
    return bool(folders.get(channel))


def raw_record(config: Config, corpus: str) -> str:
    """The part of a corpus' record that its raw files depend on; without addresses, which may hold secrets."""
    found = config.find("corpus", corpus)
    files = [(d.file, d.sha256, d.unpack) for d in found.downloads]
    still = found.source == "demo" and not (found.videos or found.audios)
    return json.dumps([found.source, found.folder, found.world, files, *(["still"] if still else [])])


def layout_record(config: Config, corpus: str) -> str:
    """The part of a corpus' record that its item table depends on."""
    record = config.find("corpus", corpus)
    keys = {"layout", "folder", "titles", "covers", "videos", "audios"}
    return record.model_dump_json(include=keys | ({"item_count"} if record.titles is None else set()))


def dataset_record(config: Config, dataset: str) -> str:
    """The part of a data set's record that its interactions depend on."""
    found = config.find("dataset", dataset)
    cut = {"split", "labels"} if found.split == "given" else {"min_interactions", "keep_last"}
    if found.split == "time":
        cut |= {"split", "periods"}
    table = {"columns"} if config.find("corpus", found.corpus).layout == "inter" else set()
    # keys that came later count only where they are set, so that nothing is made anew for their sake
    return found.model_dump_json(include={"corpus", "pairs"} | cut | table, exclude_none=True)
