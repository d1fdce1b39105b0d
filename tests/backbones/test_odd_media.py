"""Odd and broken media: each item ends as used, or as missing with a reason, in bounded time and memory."""

import csv
import os
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sanrec.backbones import extract as step
from sanrec.backbones.report import write_media_report
from sanrec.backbones.store import MISSING, USED, open_hidden
from sanrec.config import Corpus
from sanrec.data.prepare import prepare_corpus
from sanrec.load import load_config
from sanrec.media.download import fetch_corpus
from tests.backbones.odd_media import BROKEN, IMAGES, SOUNDS, TITLES, VIDEOS

KINDS = {"image": ("cover", IMAGES), "video": ("video", VIDEOS), "audio": ("audio", SOUNDS)}
BROKEN_REAL = {  # the others are used
    "image": {},
    "video": {"corrupted.mp4": BROKEN},
    "audio": dict.fromkeys(("bikes-no-audio.mp4", "corrupted.mp4", "h265_video.mp4"), "no sound track"),
}


def outcomes(manifest: Path, items: list[str]) -> dict[str, str | None]:
    """What became of each item: None where it is used, else the reason."""
    states = open_hidden(manifest)
    with manifest.with_suffix(".missing.csv").open(newline="", encoding="utf-8") as file:
        reasons = {row["item"]: row["reason"] for row in csv.DictReader(file)}
    valid = states.read_valid()
    assert set(np.unique(valid)) <= {USED, MISSING}
    hidden = states.read_layers(range(states.layers)).astype(np.float32)
    for row, item in enumerate(items):
        assert (valid[row] == MISSING) == (item in reasons), item
        assert np.isfinite(hidden[row]).all()
        assert (valid[row] == USED) == bool(hidden[row].any()), item
    return {item: reasons.get(item) for item in items}


def check(found: dict[str, str | None], expected: dict) -> None:
    wrong = {}
    for item, said in expected.items():
        reason = found[item]
        if isinstance(said, re.Pattern):
            continue
        if (reason is None) != (said is None) or (said and not re.search(said, reason)):
            wrong[item] = (said, reason)
    assert not wrong


def make_corpus(root: Path, world, kinds: dict) -> tuple:
    """A corpus of these files: its config and items."""
    titles = []
    for kind, (channel, files) in kinds.items():
        folder = root / channel
        folder.mkdir(parents=True)
        for name, (suffix, make, _) in files.items():
            make(folder / f"{kind}-{name}{suffix}")
            titles.append(f"{kind}-{name},a cat\n".encode())
        if sys.platform == "linux":  # a name that is no UTF-8, as archives of old Windows bring: no item's, and no harm
            (folder / os.fsdecode(b"caf\xe9" + suffix.encode())).write_bytes(b"")
    folders = {f"{channel}s": channel for channel, _ in kinds.values()} | {"titles": "titles.csv"}
    (root / "titles.csv").write_bytes(b"".join(titles))
    corpus = {"covers": None, "videos": None, "audios": None} | folders
    made = Corpus(
        title="Odd", layout="microlens", folder=str(root), missing_limit=1.0, seconds_per_item=20, **corpus
    ).model_dump()
    records = {name: record.model_dump() for name, record in world.config.backbones.items()}
    config = load_config({"backbones": records, "corpora": {"odd": made}})
    fetch_corpus(config.corpora["odd"], root / "raw.json", "odd")
    items = root / "items.parquet"
    prepare_corpus(config, "odd", items)
    return config, items


def test_there_are_at_least_sixty():
    assert sum(map(len, (IMAGES, VIDEOS, SOUNDS, TITLES))) >= 60


def test_every_file_ends_as_used_or_missing_with_a_reason(world, checkpoints, tmp_path):
    config, items = make_corpus(tmp_path / "raw", world, KINDS)
    names = pd.read_parquet(items)["item"].tolist()
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    manifests = []
    for kind, (channel, files) in KINDS.items():
        manifests.append(tmp_path / f"{kind}.json")
        step.extract(
            config, "odd", channel, kind, items, checkpoints / f"{kind}.json", manifests[-1], threads=2, device="cpu"
        )
        found = outcomes(manifests[-1], names)
        check(found, {f"{kind}-{name}": said for name, (_, _, said) in files.items()})
        absent = {item for item in names if not item.startswith(kind)}
        if kind != "audio":  # the sound of an item without a sound file is that of its video
            assert {found[item] for item in absent} == {"no file"}
    assert time.monotonic() - started < 120
    unit = 1024 if sys.platform == "linux" else 1  # the bomb alone would be 2.7 GB
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 500e6
    count = write_media_report(manifests, tmp_path / "media-report.csv")
    report = pd.read_csv(tmp_path / "media-report.csv")
    assert len(report) == count
    assert report["reason"].notna().all()
    bad = {"image-bomb", "video-sound-alone", "audio-no-numbers"}
    assert bad <= set(report["item"])


def test_every_title_ends_as_used_or_missing_with_a_reason(world, checkpoints, tmp_path):
    root = tmp_path / "raw"
    root.mkdir()
    lines = [b"item,title", *(name.encode() + b"," + title for name, (title, _) in TITLES.items())]
    (root / "titles.csv").write_bytes(b"\n".join(lines) + b"\n")
    corpus = Corpus(title="Odd", layout="microlens", folder=str(root), titles="titles.csv", missing_limit=1.0)
    records = {"text": world.config.backbones["text"].model_dump()}
    config = load_config({"backbones": records, "corpora": {"odd": corpus.model_dump()}})
    items = tmp_path / "items.parquet"
    prepare_corpus(config, "odd", items)
    names = pd.read_parquet(items)["item"].tolist()
    assert names == list(TITLES)
    out = tmp_path / "text.json"
    step.extract(config, "odd", "title", "text", items, checkpoints / "text.json", out, device="cpu")
    check(outcomes(out, names), {name: said for name, (_, said) in TITLES.items()})


@pytest.mark.parametrize("kind", KINDS)
def test_real_odd_files(world, checkpoints, tmp_path, real_data, kind):
    """Photos, films and sounds of real makes: they decode, but for the one that is corrupted, and silent films."""
    folder = real_data / "media"
    suffixes = {"image": (".jpg",), "video": (".mp4",), "audio": (".ogg", ".mp4")}[kind]
    files = sorted(p for p in folder.iterdir() if p.suffix in suffixes)
    channel = KINDS[kind][0]
    rows = [{"item": p.name, "title": "x", "cover": None, "video": None, "audio": None, channel: str(p)} for p in files]
    pd.DataFrame(rows).to_parquet(tmp_path / "items.parquet")
    corpus = Corpus(title="Real", layout="microlens", folder="x", titles="t", missing_limit=1.0).model_dump()
    records = {name: record.model_dump() for name, record in world.config.backbones.items()}
    config = load_config({"backbones": records, "corpora": {"real": corpus}})
    out, items = tmp_path / "x.json", tmp_path / "items.parquet"
    step.extract(config, "real", channel, kind, items, checkpoints / f"{kind}.json", out, device="cpu")
    names = [p.name for p in files]
    assert names
    check(outcomes(out, names), dict.fromkeys(names) | BROKEN_REAL[kind])
