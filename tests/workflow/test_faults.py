"""Workflows that are killed, stopped, run out of disk or meet each other, and what the same command does then."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from sanrec.files import read_json

ROOT = Path(__file__).parents[2]
SHORT = {"adapter_width": 8, "batch_size": 64, "max_epochs": 6, "patience": 6}
CONFIG = {
    "corpora": {"demo": {"world": {"items": 60, "users": 140}}},
    "datasets": {name: {"settings": {"all": SHORT}} for name in ("demo", "demo-half")},
    "backbones": {name: {"chunk_rows": 8, "batch_size": 4} for name in ("bert", "vit")},
}
RUN = "results/demo/runs/crossan/TI/default/seed=0"
HIDDEN = {"title": "results/demo/hidden/title/bert.json", "cover": "results/demo/hidden/cover/vit.json"}
CAPTIONS = "results/demo/captions/cover.parquet"
CHANGING = re.compile(r"seconds|peak_memory|machine|created|threads")  # of a run: what no two runs share
DISK = 16 << 20
pytestmark = pytest.mark.slow


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder), *arguments]


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("SANREC_CONFIG", "PYTHONPATH")}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder, *arguments), capture_output=True, text=True, env=environment(), check=False)


def make(folder: Path, *arguments: str) -> None:
    done = run(folder, "--cores", "2", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def begin(folder: Path, *arguments: str) -> subprocess.Popen:
    with (folder / "workflow.log").open("w") as log:
        return subprocess.Popen(
            command(folder, "--cores", "2", *arguments),
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(),
            start_new_session=True,
            preexec_fn=heed_ctrl_c,
        )


def heed_ctrl_c() -> None:
    """As in a terminal: tests that a shell runs in the background, as with nohup, have it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def kill_all(process: subprocess.Popen) -> None:
    """As when a machine loses its power: the workflow and all its jobs, at once."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for one in family:
        one.kill()
    psutil.wait_procs(family, 10)
    process.wait()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A folder in which everything here was made in one go."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    make(folder, f"{RUN}/metrics.json", CAPTIONS, "results/table1.csv")
    return folder


@pytest.fixture
def folder(undisturbed, tmp_path):
    """A copy without what the tests disturb."""
    shutil.copytree(undisturbed, tmp_path / "w", symlinks=True)
    return tmp_path / "w"


def remove(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).unlink(missing_ok=True)
        shutil.rmtree((folder / path).with_suffix(".zarr"), ignore_errors=True)


def tree(folder: Path, pattern: str = "**/*") -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.glob(pattern) if p.is_file()}


def steady(metrics: dict) -> dict:
    return {key: value for key, value in metrics.items() if not CHANGING.search(key)}


def same_run(one: Path, other: Path) -> None:
    assert steady(read_json(one / "metrics.json")) == steady(read_json(other / "metrics.json"))
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert (one / "ranks.parquet").read_bytes() == (other / "ranks.parquet").read_bytes()
    histories = [pd.read_csv(path / "history.csv").drop(columns="seconds") for path in (one, other)]
    pd.testing.assert_frame_equal(*histories)


def finished_chunks(store: Path) -> dict[str, int]:
    """When the chunks of finished units were written."""
    valid = store / "valid" / "c"
    units = {path.name for path in valid.iterdir()} if valid.is_dir() else set()
    chunks = [p for name in ("hidden", "final") for p in store.glob(f"{name}/c/**/*") if p.is_file()]
    place = {p: p.relative_to(store).parts[2] for p in chunks}
    return {str(p): p.stat().st_mtime_ns for p in chunks if place[p] in units}


def killed_at_random(
    folder: Path, seed: int, target: str, kept: Path, times: int = 3, within: tuple[float, float] = (2.0, 9.0)
) -> int:
    """Run, kill, and so on, then let it finish; how many times it was killed before the end.

    Each time it is killed `within` so many seconds. What a killed job had finished in the store `kept` must still be
    what it was.
    """
    draw, kills = random.Random(seed), 0
    for _ in range(times):
        process = begin(folder, "--rerun-incomplete", target)
        until = time.monotonic() + draw.uniform(*within)
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        if process.poll() is not None:
            break
        kill_all(process)
        kills += 1
        run(folder, "--unlock", target)
        before = finished_chunks(kept)
        assert not [path for path, when in before.items() if Path(path).stat().st_mtime_ns != when]
    before = finished_chunks(kept)
    make(folder, "--rerun-incomplete", target)
    assert {path: Path(path).stat().st_mtime_ns for path in before} == before  # nothing finished was done again
    return kills


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("channel", HIDDEN)
def test_killed_extraction(undisturbed, folder, channel, seed):
    store = (folder / HIDDEN[channel]).with_suffix(".zarr")
    remove(folder, HIDDEN[channel])
    killed_at_random(folder, seed, HIDDEN[channel], store)
    assert tree(store) == tree((undisturbed / HIDDEN[channel]).with_suffix(".zarr"))


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_captioning(undisturbed, folder, seed):
    remove(folder, CAPTIONS)
    killed_at_random(folder, seed, CAPTIONS, folder / "none")
    assert (folder / CAPTIONS).read_bytes() == (undisturbed / CAPTIONS).read_bytes()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killed_training(undisturbed, folder, seed):
    shutil.rmtree(folder / RUN)
    killed_at_random(folder, seed, f"{RUN}/metrics.json", folder / "none")
    same_run(folder / RUN, undisturbed / RUN)


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_table_making(undisturbed, folder, seed):
    """Its runs stay as they are, and no half table is left to be taken for one."""
    for suffix in ("csv", "md", "html"):
        (folder / "results/table1").with_suffix(f".{suffix}").unlink()
    before = {path: path.stat().st_mtime_ns for path in (folder / RUN).iterdir()}
    assert killed_at_random(folder, seed, "results/table1.csv", folder / "none", within=(0.5, 2.0))
    for suffix in ("csv", "md", "html"):
        name = f"results/table1.{suffix}"
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes()
    assert {path: path.stat().st_mtime_ns for path in (folder / RUN).iterdir()} == before


def test_two_workflows_in_one_folder(undisturbed, folder):
    shutil.rmtree(folder / RUN)
    first = begin(folder, f"{RUN}/metrics.json")
    while not (folder / ".snakemake/locks").is_dir() or not any((folder / ".snakemake/locks").iterdir()):
        assert first.poll() is None
        time.sleep(0.05)
    second = run(folder, "--cores", "1", f"{RUN}/metrics.json")
    assert second.returncode != 0
    assert "lock" in (second.stdout + second.stderr).lower()
    assert first.wait(300) == 0
    same_run(folder / RUN, undisturbed / RUN)


def test_ctrl_c_leaves_nothing_half_written_and_the_same_command_goes_on(undisturbed, folder):
    remove(folder, HIDDEN["cover"])
    shutil.rmtree(folder / RUN)
    process = begin(folder, f"{RUN}/metrics.json")
    store = (folder / HIDDEN["cover"]).with_suffix(".zarr")
    until = time.monotonic() + 60
    while not finished_chunks(store) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) != 0
    left = [p for p in (folder / "results").rglob("*") if p.is_file() and p.suffix in (".partial", ".tmp")]
    assert not left
    assert not (folder / RUN / "metrics.json").exists()
    make(folder, "--rerun-incomplete", f"{RUN}/metrics.json")  # not locked
    assert tree(store) == tree((undisturbed / HIDDEN["cover"]).with_suffix(".zarr"))
    same_run(folder / RUN, undisturbed / RUN)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: bytes([data[0] ^ 8]) + data[1:]])
def test_a_damaged_chunk_is_named_and_made_again_alone(undisturbed, folder, damage):
    manifest, store = folder / HIDDEN["cover"], (folder / HIDDEN["cover"]).with_suffix(".zarr")
    chunk = sorted(p for p in store.glob("hidden/c/2/**/*") if p.is_file())[0]
    chunk.write_bytes(damage(chunk.read_bytes()))
    shutil.rmtree(folder / RUN)
    failed = run(folder, "--cores", "2", f"{RUN}/metrics.json")
    said = failed.stdout + failed.stderr
    assert failed.returncode != 0
    assert chunk.relative_to(store).as_posix() in said
    assert "Remove" in said
    others = {path: when for path, when in finished_chunks(store).items() if "/c/2/" not in path}
    manifest.unlink()  # what the message says
    make(folder, f"{RUN}/metrics.json")
    assert {path: Path(path).stat().st_mtime_ns for path in others} == others
    assert tree(store) == tree((undisturbed / HIDDEN["cover"]).with_suffix(".zarr"))
    same_run(folder / RUN, undisturbed / RUN)


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, of DISK bytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting a small disk needs root: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_while_a_store_is_written(undisturbed, folder, small_disk):
    remove(folder, HIDDEN["cover"])
    home = folder / "results/demo/hidden/cover"
    shutil.rmtree(home)
    home.symlink_to(small_disk)
    filling = small_disk / "filling"
    filling.write_bytes(bytes(DISK - 100_000))
    failed = run(folder, "--cores", "2", HIDDEN["cover"])
    assert failed.returncode != 0
    assert "the disk is full" in failed.stdout + failed.stderr
    assert not (folder / HIDDEN["cover"]).exists()
    filling.unlink()
    make(folder, HIDDEN["cover"])
    store = (folder / HIDDEN["cover"]).with_suffix(".zarr")
    assert tree(store) == tree((undisturbed / HIDDEN["cover"]).with_suffix(".zarr"))


def test_a_full_disk_while_a_run_is_saved(undisturbed, folder, small_disk):
    home = folder / "results/demo/runs/crossan/TI/default"
    shutil.rmtree(home)
    home.symlink_to(small_disk)
    filling = small_disk / "filling"
    filling.write_bytes(bytes(DISK - 50_000))
    failed = run(folder, "--cores", "2", f"{RUN}/metrics.json")
    assert failed.returncode != 0
    assert "the disk is full" in failed.stdout + failed.stderr
    filling.unlink()
    make(folder, "--rerun-incomplete", f"{RUN}/metrics.json")
    same_run(folder / RUN, undisturbed / RUN)
