"""What an edit or a changed key makes anew, and what it leaves: on a corpus of one's own, titles and covers."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BOTH = ["results/first/interactions.parquet", "results/second/interactions.parquet"]
CONFIG = {
    "corpora": {
        "shop": {"title": "Shop", "layout": "amazon", "folder": "raw", "titles": "items.tsv", "covers": "images"}
    },
    "datasets": {
        name: {"title": name, "corpus": "shop", "pairs": f"{name}.tsv", "backbones": {"title": "bert"}}
        for name in ("first", "second")
    },
}


def snakemake(folder: Path, *arguments: str) -> str:
    env = {k: v for k, v in os.environ.items() if k not in ("SANREC_CONFIG", "PYTHONPATH")}
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(folder: Path) -> dict[str, int]:
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", snakemake(folder, "-n", *BOTH), re.M))
    return {rule: int(count) for rule, count in jobs.items() if rule != "total"}


@pytest.fixture
def shop(tmp_path):
    raw = tmp_path / "raw"
    (raw / "images").mkdir(parents=True)
    (raw / "items.tsv").write_text("".join(f"a{i}\tThing number {i}\n" for i in range(20)))
    for name, users in (("first", 4), ("second", 3)):
        lines = [f"u{u}\t{' '.join(f'a{(u + k) % 20}' for k in range(6))}\n" for u in range(users)]
        (raw / f"{name}.tsv").write_text("".join(lines))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    snakemake(tmp_path, "--cores", "1", *BOTH)
    assert planned(tmp_path) == {}
    return tmp_path


def configured(shop: Path, change) -> dict[str, int]:
    config = copy.deepcopy(CONFIG)
    change(config)
    (shop / "config.yaml").write_text(yaml.safe_dump(config))
    return planned(shop)


def test_keys_that_touch_no_content_make_nothing_anew(shop):
    def change(config):
        config["corpora"]["shop"] |= {"title": "A finer shop", "missing_limit": 0.5}
        config["datasets"]["first"] |= {"title": "First", "settings": {"all": {"batch_size": 8}}}
        config["datasets"]["third"] = {**config["datasets"]["second"]}

    assert configured(shop, change) == {}


def test_a_changed_cut_touches_its_own_data_set(shop):
    assert configured(shop, lambda c: c["datasets"]["first"].update(keep_last=5)) == {"prepare_dataset": 1}


def test_edited_pairs_are_read_again_for_their_data_set_alone(shop):
    path = shop / "raw/first.tsv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    assert planned(shop) == {"prepare_dataset": 1}
    snakemake(shop, "--cores", "1", BOTH[1])  # asking for the other one first must not hide the edit
    assert planned(shop) == {"prepare_dataset": 1}


@pytest.mark.parametrize("edit", ["titles", "cover"])
def test_edited_titles_and_added_media_are_noticed(shop, edit):
    if edit == "titles":
        (shop / "raw/items.tsv").write_text((shop / "raw/items.tsv").read_text() + "a20\tOne thing more\n")
    else:
        (shop / "raw/images/a3.jpg").write_bytes(b"a picture")
    assert planned(shop)["prepare_corpus"] == 1
