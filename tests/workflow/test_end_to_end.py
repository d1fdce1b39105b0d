"""The whole DAG on a still smaller world, from the making of its media to the table, and what is made anew when."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from sanrec import artifacts
from sanrec.backbones.pooling import pool_final
from sanrec.data.interactions import load_sequences
from sanrec.files import read_json
from sanrec.load import load_config
from sanrec.training.loading import load_source

ROOT = Path(__file__).parents[2]
SHORT = {"adapter_width": 8, "lora_rank": 4, "batch_size": 64, "max_epochs": 2, "patience": 2}
CONFIG = {
    "corpora": {"demo": {"world": {"items": 60, "users": 140}}},
    "datasets": {name: {"settings": {"all": SHORT}} for name in ("demo", "demo-half")},
}
pytestmark = pytest.mark.slow


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder), *arguments]
    env = {k: v for k, v in os.environ.items() if k not in ("SANREC_CONFIG", "PYTHONPATH")}
    return subprocess.run(command, capture_output=True, text=True, env=env)


def make(folder: Path, *arguments: str) -> str:
    done = snakemake(folder, "--cores", "2", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """The jobs that a dry run would do, by rule."""
    done = snakemake(folder, "-n", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.M))
    return {rule: int(count) for rule, count in jobs.items() if rule != "total"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A working folder in which table 3 was made, one of the world's videos broken before it was read."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    make(folder, "results/demo/raw.json")
    video = sorted((folder / "results/demo/raw/demo_videos").iterdir())[3]
    video.write_bytes(video.read_bytes()[:50])
    make(folder, "results/table3.csv")
    return folder, video.stem


def test_the_table_is_whole(finished):
    folder, _ = finished
    table = pd.read_csv(folder / "results/table3.csv")
    systems = table[table["kind"] == "system"]
    assert len(systems) == 11
    assert systems[[c for c in table.columns if c.startswith("Demo HR") and c.count(" ") == 1]].notna().all(axis=None)
    for suffix in ("md", "html"):
        assert "CROSSAN" in (folder / f"results/table3.{suffix}").read_text()


def test_each_run_left_its_files(finished):
    folder, _ = finished
    runs = sorted(p.parent for p in folder.glob("results/*/runs/**/metrics.json"))
    assert len(runs) == 22
    for run in runs:
        files = {"metrics.json", "ranks.parquet", "top.parquet", "history.csv", "model.safetensors"}
        assert {p.name for p in run.iterdir()} == files
        metrics = read_json(run / "metrics.json")
        assert metrics["trainable_parameters"] > 0
        assert metrics["seconds_per_epoch"] > 0
        assert metrics["peak_memory_bytes"] > 1e8
        assert metrics["stopped_by"] == "max_epochs"
        ranks = pd.read_parquet(run / "ranks.parquet").groupby("split")["rank"]
        hits = ranks.agg(lambda rank: rank.between(1, 10).mean())
        assert hits.to_dict() == pytest.approx({s: metrics[s]["HR@10"] for s in ("validation", "test")})


def test_the_broken_video_is_recorded_and_was_not_fatal(finished):
    folder, item = finished
    make(folder, "results/demo/media-report.csv")
    report = pd.read_csv(folder / "results/demo/media-report.csv", dtype=str)
    assert report[report["channel"] == "video"]["item"].tolist() == [item]
    assert read_json(folder / "results/demo/hidden/video/videomae.json")["missing"] == 1


def test_a_finished_run_has_nothing_to_do(finished):
    folder, _ = finished
    assert planned(folder, "results/table3.csv") == {}


def test_each_log_holds_the_line_that_works_by_hand(finished):
    folder, _ = finished
    log = folder / "results/logs/train/demo/crossan/TI/default/seed=0.log"
    line = log.read_text().splitlines()[0]
    assert line.startswith("$ sanrec --config ")
    again = subprocess.run(
        [sys.executable, "-m", "sanrec", *line.split()[2:]], cwd=folder, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr


def test_tables_of_ablations_mutual_information_and_a_figure(finished):
    folder, _ = finished
    targets = ["results/table1.csv", "results/table6.csv", "results/figure4.svg"]
    make(folder, *targets, "--config", "seeds=[0]")
    table = pd.read_csv(folder / "results/table1.csv").set_index(["row", "kind"])
    for estimate in ("Mutual information", "Mutual information (KSG)"):
        assert table.loc[["INDSAN", "CROSSAN"], f"Demo {estimate}"].iloc[:2].notna().all()
    rows = pd.read_csv(folder / "results/table6.csv")
    assert rows.loc[rows["kind"] == "system", "Demo HR@10"].notna().sum() == 3
    gates = pd.read_csv(folder / "results/figure4.csv")
    assert gates.groupby(["tower", "layer"])["weight"].sum().round(5).eq(1).all()
    assert (folder / "results/figure4.png").stat().st_size > 10_000


def test_another_seed_trains_its_own_runs_alone(finished):
    folder, _ = finished
    assert planned(folder, "results/table3.csv", "--config", "seeds=[0,1]") == {
        "train": 16,
        "train_backbones": 6,
        "table": 1,
    }


def test_a_changed_setting_retrains_what_it_touches(finished):
    folder, _ = finished
    changed = {**CONFIG, "datasets": {**CONFIG["datasets"]}}
    settings = CONFIG["datasets"]["demo"]["settings"]
    changed["datasets"]["demo"] = {"settings": {**settings, "crossan": {"adapter_width": 16}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(changed))
    try:
        assert planned(folder, "results/table3.csv") == {"train": 4, "table": 1}
    finally:
        (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))


def test_a_deleted_artifact_is_made_again_by_its_path(finished):
    folder, _ = finished
    path = folder / "results/demo/hidden/audio/ast.json"
    before = path.read_text()
    path.unlink()
    make(folder, "results/demo/hidden/audio/ast.json")
    assert path.read_text() == before
    assert planned(folder, "results/table3.csv") == {}  # the same content: nothing hangs on when it was written


def test_methods_that_no_table_shows_yet_train_too(finished):
    folder, _ = finished
    inputs = "title+title+cover"
    runs = [f"results/demo/runs/{model}/{inputs}/default/seed=0/metrics.json" for model in ("frozen", "indsan")]
    make(folder, *runs)
    assert all(read_json(folder / run)["test"]["users"] > 0 for run in runs)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("results/demo/runs/crosan/TI/default/seed=0/metrics.json", "unknown model 'crosan': did you mean 'crossan'"),
        ("results/demo/runs/crossan/TI/top_q=1/seed=0/metrics.json", "unknown setting 'top_q'"),
        ("results/demmo/interactions.parquet", "unknown dataset 'demmo'"),
        ("results/demo/hidden/vidio/videomae.json", "unknown channel 'vidio'"),
        ("results/demo/hidden/video/vit.json", "backbone 'vit' reads image"),
        ("results/checkpoints/brt.json", "unknown backbone or captioner 'brt'"),
    ],
)
def test_a_path_that_means_nothing_says_why(finished, path, message):
    folder, _ = finished
    done = snakemake(folder, "-n", path)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr


def test_what_is_cached_equals_what_the_backbones_give_in_training(finished, monkeypatch):
    """The frozen row's stored states, and the same backbones run on model-ready inputs under full fine-tuning."""
    folder, _ = finished
    monkeypatch.chdir(folder)
    config = load_config(CONFIG)
    sequences = load_sequences("results/demo/interactions.parquet")
    cpu = torch.device("cpu")
    stored, _ = load_source(config, artifacts.run(config, "demo", "frozen", "TI"), sequences, cpu)
    inputs, shape = load_source(config, artifacts.run(config, "demo", "full", "TI"), sequences, cpu)
    items = torch.arange(1, 21)
    with torch.inference_mode():
        ran = zip(shape.backbones, inputs.gather(items), shape.poolings, strict=True)
        run = [pool_final(b(**kwargs).last_hidden_state, mask, pooling) for b, (kwargs, mask), pooling in ran]
    for cached, uncached in zip(stored.gather(items), run, strict=True):
        assert cached.abs().max() > 0.1
        torch.testing.assert_close(cached, uncached, rtol=2e-3, atol=2e-3)  # half precision, and other padding


def test_backbones_in_every_step_train_as_their_stored_states(finished):
    """All four modalities, the broken video among them; stored states differ by their half precision alone."""
    folder, _ = finished
    runs = [folder / f"results/demo/runs/crossan/TIVA/{variant}/seed=0" for variant in ("default", "cached=false")]
    make(folder, str((runs[1] / "metrics.json").relative_to(folder)))
    cached, uncached = (pd.read_csv(run / "history.csv")["loss"].to_numpy() for run in runs)
    assert uncached == pytest.approx(cached, rel=2e-3)
    assert not (uncached == cached).all()


def test_costs_are_measured_together_for_table_4(finished):
    folder, _ = finished
    quick = ("--config", 'timing={"warm_up": 0, "repeats": 1}')
    make(folder, "results/table4.csv", *quick)
    table = pd.read_csv(folder / "results/table4.csv").set_index(["row", "kind"])
    systems = table.xs("system", level="kind")
    assert len(systems) == 8
    assert (systems[["Demo TT", "Demo GM", "Demo TP"]] > 0).all(axis=None)
    assert systems["Demo TPME"].between(0, 1).all()
    assert planned(folder, "results/table4.csv", *quick) == {}
    assert planned(folder, "results/table4.csv", *quick, "seeds=[1]") == {"table": 1}  # costs hang on no seed
    assert planned(folder, "results/table4.csv", "--config", "machine=another") == {"efficiency": 1, "table": 1}


@pytest.mark.parametrize("model", ["crossan", "lora"])
def test_the_same_run_again_gives_the_same_bytes(finished, model):
    folder, _ = finished
    run = folder / f"results/demo/runs/{model}/TI/default/seed=0"
    before = {name: (run / name).read_bytes() for name in ("model.safetensors", "ranks.parquet")}
    metrics = read_json(run / "metrics.json")
    shutil.rmtree(run)
    make(folder, str((run / "metrics.json").relative_to(folder)))
    assert {name: (run / name).read_bytes() for name in before} == before
    again = read_json(run / "metrics.json")
    assert [again[key] for key in ("test", "validation", "config_hash")] == [
        metrics[key] for key in ("test", "validation", "config_hash")
    ]
