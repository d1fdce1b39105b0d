"""The search as a rule: what it needs, what makes it anew, and what does not."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

from sanrec import artifacts, snakefile
from sanrec.errors import ConfigError
from sanrec.load import load_config

ROOT = Path(__file__).parents[2]
TARGET = "results/clips/tuning/mf/ID.yaml"
CONFIG = {
    "corpora": {"clips": {"title": "Clips", "layout": "inter", "folder": "raw", "item_count": 12}},
    "datasets": {
        "clips": {
            "title": "Clips", "corpus": "clips", "pairs": "clips.inter", "split": "given",
            "backbones": {"video": "looks"}, "settings": {"all": {"max_epochs": 2, "batch_size": 16}},
        }
    },
    "backbones": {"looks": {"modality": "video", "source": "features", "checkpoint": "looks.npy", "width": 4}},
    "tuning": {"trials": 2, "startup": 1},
}  # fmt: skip


def test_a_search_needs_what_a_run_needs():
    config = load_config(CONFIG)
    needs = ["results/clips/interactions.parquet", "results/clips/hidden/video/looks.json"]

    def found(model, of):
        return snakefile.tuning_needs(config, SimpleNamespace(dataset="clips", model=model, of=of))

    assert found("grcn", "ID+V") == found("grcn", "ID+V/graph_layers=1") == needs
    assert found("grcn", "ID") == needs[:1]
    with pytest.raises(ConfigError, match="unknown model 'gcrn'"):
        found("gcrn", "ID")


def test_what_a_search_depends_on():
    def record(change=lambda values: None, of="ID"):
        values = copy.deepcopy(CONFIG)
        change(values)
        return snakefile.tuning_record(load_config(values), SimpleNamespace(dataset="clips", model="lightgcn", of=of))

    def setting(values, method, **settings):
        values["datasets"]["clips"]["settings"].setdefault(method, {}).update(settings)

    plain = record()
    assert record(lambda v: setting(v, "lightgcn", learning_rate=0.02, graph_layers=1)) == plain  # it is searched for
    assert record(lambda v: setting(v, "mf", batch_size=8)) == plain
    given = record(of="ID/graph_layers=2")
    assert given != plain
    assert record(lambda v: setting(v, "lightgcn", learning_rate=0.02), of="ID/graph_layers=2") == given
    assert record(lambda v: setting(v, "lightgcn", batch_size=8)) != plain
    assert record(lambda v: v["tuning"].update(trials=3)) != plain
    assert record(lambda v: v["datasets"]["clips"].update(watched_metric="HR@5")) != plain


def test_without_a_search_there_is_no_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="nothing was tuned on data set 'clips' yet"):
        snakefile.tuned_needs(load_config(CONFIG), "clips")
    for name in ("mf/ID", "bm3/ID+V", "elsewhere/ID"):
        path = tmp_path / artifacts.tuning("clips", *name.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert snakefile.tuned_needs(load_config(CONFIG), "clips") == [
        "results/clips/tuning/mf/ID.yaml",
        "results/clips/tuning/bm3/ID+V.yaml",
    ]


def snakemake(folder: Path, *arguments: str) -> str:
    env = {k: v for k, v in os.environ.items() if k not in ("SANREC_CONFIG", "PYTHONPATH")}
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(folder: Path, values: dict, target: str = TARGET) -> dict[str, int]:
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", snakemake(folder, "-n", target), re.M))
    return {rule: int(count) for rule, count in jobs.items() if rule != "total"}


@pytest.mark.slow
def test_from_the_files_to_the_table(tmp_path):
    (tmp_path / "raw").mkdir()
    lines = [f"u{u}\t{(u + k) % 12}\t{label}\n" for u in range(9) for k, label in enumerate("00012")]
    (tmp_path / "raw/clips.inter").write_text("userID\titemID\tx_label\n" + "".join(lines))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    snakemake(tmp_path, "--cores", "1", TARGET)
    snakemake(tmp_path, "--cores", "1", "results/clips/tuning.csv")
    table = pd.read_csv(tmp_path / "results/clips/tuning.csv")
    assert table[["model", "inputs", "metric", "trials"]].to_numpy().tolist() == [["mf", "ID", "Recall@20", 2]]
    folder = tmp_path / "results/clips/tuning/mf"
    assert {path.name for path in folder.iterdir()} == {"ID.yaml", "ID.csv", "ID.sqlite3", "ID.lock"}
    assert planned(tmp_path, CONFIG) == {}
    best = yaml.safe_load((folder / "ID.yaml").read_text())["best"]
    pasted = copy.deepcopy(CONFIG)
    pasted["datasets"]["clips"]["settings"]["mf"] = best
    assert planned(tmp_path, pasted) == {}
    assert planned(tmp_path, pasted, "results/clips/runs/mf/ID/default/seed=0/metrics.json") == {"train": 1}
    tuned_run = "results/clips/runs/mf/ID/tuned/seed=0/metrics.json"
    assert planned(tmp_path, CONFIG, tuned_run) == {"train": 1}
    given = "results/clips/runs/mf/ID/tuned,regularization=0.01/seed=0/metrics.json"
    assert planned(tmp_path, CONFIG, given) == {"tune": 1, "train": 1}
    snakemake(tmp_path, "--cores", "1", tuned_run, given)
    assert planned(tmp_path, pasted, tuned_run) == {}  # what is searched for is the search's own
    more = copy.deepcopy(CONFIG) | {"tuning": {"trials": 3, "startup": 1}}
    assert planned(tmp_path, more) == {"tune": 1}
    snakemake(tmp_path, "--cores", "1", TARGET)
    log = (tmp_path / "results/logs/tune/clips/mf/ID.log").read_text()
    assert "trial 2 of mf/ID" in log
    assert "trial 1 of mf/ID" not in log  # those that there were stay
