"""Several jobs for one corpus, as Snakemake starts them: over finished results, other settings and added items."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
import yaml
from PIL import Image

from sanrec import artifacts
from sanrec.backbones.extract import extract
from sanrec.captions.caption import caption_corpus
from sanrec.data.prepare import prepare_corpus
from sanrec.load import load_config
from sanrec.media.download import fetch_checkpoint
from tests.workflow.captioner import save_captioner

ROOT = Path(__file__).parents[2]
WORDS = ["red", "blue", "green", "cat", "dog", "fish", "runs", "sleeps"]
HIDDEN, CAPTIONS = artifacts.hidden("shop", "title", "words"), artifacts.captions("shop", "cover")
ITEMS = 11
pytestmark = pytest.mark.slow


def save_models(folder: Path) -> None:
    """A BERT and a LLaVA-NeXT of random weights, large enough that titles and covers tell apart."""
    torch.manual_seed(0)
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    bert = transformers.BertModel(transformers.BertConfig(vocab_size=len(vocabulary), **sizes))
    bert.save_pretrained(folder / "words")
    transformers.BertTokenizer(vocab=vocabulary).save_pretrained(folder / "words")
    save_captioner(folder / "tells")


def add_items(folder: Path, rows: range) -> None:
    (folder / "raw/images").mkdir(parents=True, exist_ok=True)
    for k in rows:
        with (folder / "raw/items.tsv").open("a") as file:
            file.write(f"a{k}\t{' '.join(WORDS[: 1 + 3 * k % 8])}\n")
        pixels = np.random.default_rng(k).integers(0, 256, (5, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((60, 40 + 3 * k)).save(folder / f"raw/images/a{k}.jpg")


def config(models: Path, shards: int, pooling: str, tokens: int) -> dict:
    words = {
        "modality": "text", "source": "folder", "checkpoint": str(models / "words"), "pooling": pooling, "blocks": 2,
        "width": 16, "chunk_rows": 4, "batch_size": 2, "shards": shards,
    }  # fmt: skip
    tells = {
        "prompts": {"cover": "demo-cover"}, "source": "folder", "checkpoint": str(models / "tells"),
        "max_new_tokens": tokens, "batch_size": 4, "dtype": "float32", "shards": shards,
    }  # fmt: skip
    shop = {"title": "Shop", "layout": "amazon", "folder": "raw", "titles": "items.tsv", "covers": "images"}
    return {
        "corpora": {"shop": shop | {"captioners": {"cover": "tells"}}},
        "backbones": {"words": words},
        "captioners": {"tells": tells},
    }


def with_snakemake(folder: Path, settings: dict) -> dict[str, int]:
    """Make both; how many jobs of each rule that took."""
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder)]
    env = {key: value for key, value in os.environ.items() if key not in ("SANREC_CONFIG", "PYTHONPATH")}
    done = subprocess.run([*command, "--cores", "2", HIDDEN, CAPTIONS], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", (done.stdout + done.stderr).split("total")[0], re.M))
    return {rule: int(count) for rule, count in jobs.items() if rule.startswith(("hidden", "caption"))}


def alone(folder: Path, settings: dict, monkeypatch) -> None:
    """The same by one job each, whose results Snakemake has removed before."""
    monkeypatch.chdir(folder)
    one = load_config(settings)
    prepare_corpus(one, "shop", artifacts.items("shop"))
    for name in ("words", "tells"):
        fetch_checkpoint(one.find_checkpoint(name), name, artifacts.checkpoint(name))
    for path in (HIDDEN, CAPTIONS):
        Path(path).unlink(missing_ok=True)
    extract(one, "shop", "title", "words")
    caption_corpus(one, "shop", "cover")


def made(folder: Path) -> dict[str, bytes]:
    files = [*(folder / HIDDEN).with_suffix(".zarr").rglob("c/**/*"), folder / CAPTIONS]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.is_file()}


def test_several_jobs_over_finished_results_make_what_one_makes(tmp_path, monkeypatch):
    together, single, models = tmp_path / "together", tmp_path / "single", tmp_path / "models"
    save_models(models)
    add_items(together, range(ITEMS))
    shutil.copytree(together, single)
    several = {"hidden_begin": 1, "hidden_shard": 3, "hidden": 1, "caption_shard": 3, "caption": 1}

    assert with_snakemake(together, config(models, 1, "first", 6)) == {"hidden": 1, "caption": 1}
    alone(single, config(models, 1, "first", 6), monkeypatch)
    first = made(single)
    assert made(together) == first

    assert with_snakemake(together, config(models, 3, "first", 6)) == several
    assert made(together) == first

    assert with_snakemake(together, config(models, 3, "mean", 4)) == several
    alone(single, config(models, 1, "mean", 4), monkeypatch)
    changed = made(single)
    assert made(together) == changed
    assert changed.keys() == first.keys()
    assert not [path for path in changed if changed[path] == first[path] and "/valid/" not in path]

    for folder in (together, single):
        add_items(folder, range(ITEMS, ITEMS + 1))
    assert with_snakemake(together, config(models, 3, "mean", 4)) == several
    alone(single, config(models, 1, "mean", 4), monkeypatch)
    assert made(together) == made(single) != changed
