"""`snakemake --profile slurm` on a real Slurm: see cluster.sh. Each test takes minutes."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file

from tests.workflow.epochs import finished_epochs

ROOT = Path(__file__).parents[2]
SHORT = {"adapter_width": 8, "batch_size": 64, "max_epochs": 2, "patience": 2}
RUN = "results/demo/runs/crossan/TI/default/seed=0"
LONG_EPOCHS = 600  # more than a minute of training, and no end before
pytestmark = pytest.mark.slow


def make_config(folder: Path, **more: object) -> None:
    """A small world, short runs."""
    values = {
        "corpora": {"demo": {"world": {"items": 60, "users": 140}}},
        "datasets": {name: {"settings": {"all": SHORT}} for name in ("demo", "demo-half")},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(values | more))


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder), *arguments]


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("SANREC_CONFIG", "PYTHONPATH")}


def on_slurm(folder: Path, target: str, *more: str) -> list[str]:
    """The profile as users have it, but that a job is looked after every second and a file awaited for ten."""
    quick = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10"]
    return command(
        folder, "--profile", str(ROOT / "slurm"), *quick, target, *more
    )  # options may take all words behind them


class Workflow:
    """A workflow in the background."""

    def __init__(self, folder: Path, target: str, *more: str) -> None:
        self.log = folder / "workflow.log"
        with self.log.open("w") as file:
            words = on_slurm(folder, target, *more)
            self.process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, env=environment())

    def finish(self, seconds: int = 900) -> str:
        assert self.process.wait(seconds) == 0, self.log.read_text()
        return self.log.read_text()

    def wait_for(self, met: Callable[[str], object], seconds: int = 300) -> None:
        until = time.monotonic() + seconds
        while not met(self.log.read_text()):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.5)


def submitted(log: str) -> list[str]:
    """The ids that Slurm gave, in order."""
    return re.findall(r"submitted with SLURM jobid (\d+)", log)


def of_rule(log: str, rule: str) -> list[str]:
    """Those of one rule's jobs."""
    return re.findall(rf"submitted with SLURM jobid (\d+) \(log: \S*rule_{rule}/", log)


def asked(job: str) -> dict[str, str]:
    """What Slurm knows of a job, also a while after its end."""
    shown = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"(\w+)=(\S*)", shown))


def job_log(log: str, job: str) -> str:
    """What Slurm and the job itself said of a failed job, in the file that the workflow names; "" of a good one."""
    path = Path(re.search(rf"submitted with SLURM jobid {job} \(log: (\S+)\)", log)[1])
    return path.read_text() if path.is_file() else ""


def make_local(folder: Path, *targets: str) -> None:
    """Without Slurm."""
    done = subprocess.run(
        command(folder, "--cores", "2", *targets), capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def train_local(folder: Path) -> dict:
    """The weights of the same run, made without Slurm."""
    folder.mkdir()
    make_config(folder)
    make_local(folder, f"{RUN}/metrics.json")
    return load_file(folder / RUN / "model.safetensors")


def test_short_one_run_and_its_stores_as_without_slurm(cluster, tmp_path):
    make_config(tmp_path)
    log = Workflow(tmp_path, f"{RUN}/metrics.json").finish()
    weights, expected = load_file(tmp_path / RUN / "model.safetensors"), train_local(tmp_path / "local")
    assert all((weights[name] == value).all() for name, value in expected.items())
    assert len(submitted(log)) >= 5
    train = asked(of_rule(log, "train")[0])
    assert train["JobState"] == "COMPLETED"
    assert "mem=8000M" in train["TRES"] or "mem=7.8125G" in train["TRES"], train["TRES"]
    assert train["TimeLimit"] == "1-00:00:00"
    assert "group_" in log  # the small ones share an allocation


def test_a_gpu_is_asked_for_where_the_profile_says_so(cluster, tmp_path):
    make_config(tmp_path)
    log = Workflow(tmp_path, "results/demo/hidden/title/bert.json", "--set-resources", "hidden:gpu=1").finish()
    assert asked(of_rule(log, "hidden")[0])["TresPerJob"] == "gres:gpu:1"


def test_too_little_memory_is_mended_by_a_retry(cluster, tmp_path):
    make_config(tmp_path)
    make_local(tmp_path, "results/demo/items.parquet", "results/checkpoints/bert.json")
    make_config(tmp_path, resources={"memory": 0.04})
    log = Workflow(tmp_path, "results/demo/hidden/title/bert.json").finish()
    *killed, last = jobs = of_rule(log, "hidden")
    assert killed
    assert log.count("Trying to restart job") >= len(killed)
    for job in killed:  # Slurm calls it OUT_OF_MEMORY or FAILED, by what was in the way: the batch or the step in it
        assert asked(job)["JobState"] in ("OUT_OF_MEMORY", "FAILED")
        assert "exceeded memory limit" in job_log(log, job)
    assert asked(last)["JobState"] == "COMPLETED"
    asked_for = [int(asked(job)["MinMemoryNode"].removesuffix("M")) for job in jobs]
    assert asked_for == [asked_for[0] * 2**retry for retry in range(len(jobs))]


def begin_long_training(folder: Path, **more: object) -> tuple[Workflow, dict[str, float]]:
    """A workflow that lacks a long run alone, and what of it is finished while its job runs: some epochs."""
    settings = {"all": SHORT, "crossan": {"max_epochs": LONG_EPOCHS, "patience": LONG_EPOCHS}}
    datasets = {"demo": {"settings": settings}}
    make_config(folder, datasets=datasets)
    stores = ("title/bert", "cover/vit")
    make_local(folder, "results/demo/interactions.parquet", *(f"results/demo/hidden/{one}.json" for one in stores))
    make_config(folder, datasets=datasets, **more)
    workflow = Workflow(folder, f"{RUN}/metrics.json")
    workflow.wait_for(lambda _: len(finished_epochs(folder / RUN)) >= 3)
    assert asked(of_rule(workflow.log.read_text(), "train")[0])["JobState"] == "RUNNING"
    return workflow, finished_epochs(folder / RUN)


def check_long_training(folder: Path, before: dict[str, float]) -> None:
    """All epochs are there, and those that were finished were not trained again."""
    history = finished_epochs(folder / RUN)
    assert list(history) == [str(epoch) for epoch in range(1, LONG_EPOCHS + 1)]
    assert {epoch: history[epoch] for epoch in before} == before


def test_too_little_time_is_mended_by_a_retry_that_goes_on(cluster, tmp_path):
    workflow, before = begin_long_training(tmp_path, resources={"time": 0.0001})
    log = workflow.finish(1200)
    jobs = of_rule(log, "train")
    assert len(jobs) > 1
    assert [asked(job)["TimeLimit"] for job in jobs[:2]] == ["00:01:00", "00:02:00"]
    assert asked(jobs[0])["JobState"] == "TIMEOUT"
    check_long_training(tmp_path, before)


def test_a_running_job_that_is_cancelled_is_tried_again_and_goes_on(cluster, tmp_path):
    workflow, before = begin_long_training(tmp_path)
    job = of_rule(workflow.log.read_text(), "train")[0]
    subprocess.run(["scancel", job], check=True)
    log = workflow.finish(1200)
    assert [asked(one)["JobState"] for one in of_rule(log, "train")] == ["CANCELLED", "COMPLETED"]
    check_long_training(tmp_path, before)


def test_the_controller_may_be_restarted_in_the_middle(cluster, tmp_path):
    make_config(tmp_path)
    workflow = Workflow(tmp_path, f"{RUN}/metrics.json")
    workflow.wait_for(lambda log: len(submitted(log)) >= 2)
    cluster("restart-controller", "8")
    workflow.finish()


def test_a_failed_job_says_where_its_log_is(cluster, tmp_path):
    make_config(tmp_path, corpora={"demo": {"world": {"items": 60, "users": 140}, "missing_limit": 0.0}})
    done = subprocess.run(
        on_slurm(tmp_path, "results/demo/items.parquet"), capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for video in list((tmp_path / "results/demo/raw/demo_videos").iterdir())[:2]:
        video.write_bytes(b"")
    done = subprocess.run(
        on_slurm(tmp_path, "results/demo/hidden/video/videomae.json", "--retries", "0"),
        capture_output=True,
        text=True,
        env=environment(),
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "results/logs/hidden/demo/video/videomae.log" in said
    assert "have no usable video" in said  # the log itself is shown


def test_table_3_of_the_demo_world_end_to_end(cluster, tmp_path):
    make_config(tmp_path)
    Workflow(tmp_path, "results/table3.csv").finish(3000)
    table = pd.read_csv(tmp_path / "results/table3.csv")
    assert len(table[table["kind"] == "system"]) == 11
