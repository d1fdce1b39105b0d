"""Workflows that are killed, stopped, run out of disk or meet each other, and what the same command does then."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml

from sanrec.files import read_json
from tests.workflow.captioner import save_captioner
from tests.workflow.epochs import finished_epochs

ROOT = Path(__file__).parents[2]
EPOCHS, ITEMS, BATCH = 60, 160, 4
SHORT = {"adapter_width": 8, "batch_size": 64, "max_epochs": EPOCHS, "patience": EPOCHS}
CONFIG = {
    "corpora": {"demo": {"world": {"items": ITEMS, "users": 140}, "videos": None, "audios": None}},
    "datasets": {"demo": {"settings": {"all": SHORT}}},
    "backbones": {name: {"chunk_rows": 8, "batch_size": BATCH} for name in ("bert", "vit")},
    "captioners": {"llava": {"batch_size": BATCH, "source": "folder", "checkpoint": "untrained"}},
    "tables": ["one.yaml"],
}
ONE = {  # a table of the run here alone
    "title": "One run",
    "kind": "comparison",
    "datasets": ["demo"],
    "metrics": ["HR@10"],
    "rows": [{"label": "CROSSAN", "model": "crossan", "inputs": "TI"}],
}
RUN = "results/demo/runs/crossan/TI/default/seed=0"
HIDDEN = {"title": "results/demo/hidden/title/bert.json", "cover": "results/demo/hidden/cover/vit.json"}
CAPTIONS = "results/demo/captions/cover.parquet"
TABLE = {suffix: f"results/one.{suffix}" for suffix in ("csv", "md", "html")}
CHANGING = re.compile(r"seconds|peak_memory|machine|created|threads")  # of a run: what no two runs share
DISK = 16 << 20
KILLS, TRIES = 2, 6  # how often a job is killed in the middle of its work, and how often that is tried
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
    os.killpg(process.pid, signal.SIGKILL)
    for one in family:  # those that have left its group
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(family, 10)
    process.wait()


@contextmanager
def at_work(folder: Path, target: str) -> Iterator[subprocess.Popen]:
    """A workflow in the background, killed at the block's end where it has none by then."""
    process = begin(folder, "--rerun-incomplete", target)
    try:
        yield process
    finally:
        if process.poll() is None:
            kill_all(process)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A folder in which everything here was made in one go."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "one.yaml").write_text(yaml.safe_dump(ONE))
    save_captioner(folder / "untrained")
    make(folder, f"{RUN}/metrics.json", CAPTIONS, TABLE["csv"])
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


Pieces = dict[str, Any]
"""What of a piece of work is finished, by name, each with what would be another thing were it done again."""


def finished_units(store: Path) -> Pieces:
    """When each file of a store's finished units was written."""
    units: Pieces = {}
    for path, when in finished_chunks(store).items():
        units.setdefault(Path(path).relative_to(store).parts[2], {})[path] = when
    return units


def finished_batches(table: Path) -> Pieces:
    """The lines of the file beside a table of captions, none of which may tell of the same batch."""
    lines: list[bytes] = []
    with suppress(FileNotFoundError):  # it may be taken away when the table is there
        lines = [line for path in table.parent.glob("*.jsonl") for line in path.read_bytes().split(b"\n")[1:-1]]
    firsts = [str(json.loads(line)["first"]) for line in lines]
    assert len(set(firsts)) == len(firsts), f"done twice: {firsts}"
    return dict(zip(firsts, lines, strict=True))


def watch(process: subprocess.Popen, folder: Path, target: str, finished: Callable[[], Pieces], aim: float) -> Pieces:
    """Wait until so many pieces are finished, or the workflow; what is finished then.

    What was finished in the beginning stays as it was, at every moment.
    """
    before, until = finished(), time.monotonic() + 900
    while True:
        over = process.poll() is not None
        found = finished()
        if (folder / target).exists():  # the file of unfinished work may be gone
            assert {name: found[name] for name in before if name in found}.items() <= before.items()
        else:
            assert before.items() <= found.items(), "what was finished was done again"
        if over or len(found) >= aim:
            return found
        assert time.monotonic() < until, (folder / "workflow.log").read_text()
        time.sleep(0.005)


def killed_at_work(folder: Path, seed: int, target: str, finished: Callable[[], Pieces], total: int) -> list[Pieces]:
    """Run, kill in the middle of the work, and so on, then let it finish; what was `finished` at each kill.

    Each time it is killed at a moment drawn after the next one to three of `total` pieces are finished. Nothing
    finished is done again.
    """
    draw, met = random.Random(seed), []
    for _ in range(TRIES):
        aim, delay = len(finished()) + draw.randint(1, 3), draw.uniform(0, 0.05)
        with at_work(folder, target) as process:
            watch(process, folder, target, finished, aim)
            assert process.poll() is None, (folder / "workflow.log").read_text()
            time.sleep(delay)
        run(folder, "--unlock", target)
        left = finished()
        if (folder / target).exists():
            break
        if 0 < len(left) < total:
            met.append(left)
        if len(met) == KILLS:
            break
    assert met, "no kill met the work"
    with at_work(folder, target) as process:
        watch(process, folder, target, finished, float("inf"))
        assert process.wait() == 0, (folder / "workflow.log").read_text()
    return met


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("channel", HIDDEN)
def test_killed_extraction(undisturbed, folder, channel, seed):
    store = (folder / HIDDEN[channel]).with_suffix(".zarr")
    total = len(finished_units(store))
    assert total == ITEMS / 8
    remove(folder, HIDDEN[channel])
    for left in killed_at_work(folder, seed, HIDDEN[channel], lambda: finished_units(store), total):
        now = finished_units(store)
        assert {unit: now[unit] for unit in left} == left
    assert tree(store) == tree((undisturbed / HIDDEN[channel]).with_suffix(".zarr"))


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_captioning(undisturbed, folder, seed):
    remove(folder, CAPTIONS, *(str(path.relative_to(folder)) for path in (folder / CAPTIONS).parent.glob("*.jsonl")))
    met = killed_at_work(folder, seed, CAPTIONS, lambda: finished_batches(folder / CAPTIONS), ITEMS // BATCH)
    said = (folder / "results/logs/caption/demo/cover.log").read_text()
    assert f"where {len(met[-1]) * BATCH} of {ITEMS} items are done" in said
    assert (folder / CAPTIONS).read_bytes() == (undisturbed / CAPTIONS).read_bytes()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killed_training(undisturbed, folder, seed):
    shutil.rmtree(folder / RUN)
    met = killed_at_work(folder, seed, f"{RUN}/metrics.json", lambda: finished_epochs(folder / RUN), EPOCHS)
    history = finished_epochs(folder / RUN)
    assert len(history) == EPOCHS
    for left in met:
        assert {epoch: history[epoch] for epoch in left} == left
    same_run(folder / RUN, undisturbed / RUN)


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_table_making(undisturbed, folder, seed):
    """Its runs stay as they are, and no half table is left to be taken for one."""
    draw, met = random.Random(seed), 0
    log = folder / "results/logs/table/one.log"
    before = {path: path.stat().st_mtime_ns for path in (folder / RUN).iterdir()}
    for _ in range(TRIES):
        remove(folder, *TABLE.values(), log.relative_to(folder).as_posix())
        with at_work(folder, TABLE["csv"]) as process:
            while not log.exists():
                assert process.poll() is None, (folder / "workflow.log").read_text()
                time.sleep(0.005)
            time.sleep(draw.uniform(0, 1))
        run(folder, "--unlock", TABLE["csv"])
        met += "done in" not in log.read_text()
        for name in TABLE.values():
            assert not (folder / name).exists() or (folder / name).read_bytes() == (undisturbed / name).read_bytes()
        if met == KILLS:
            break
    assert met, "no kill met the work"
    make(folder, "--rerun-incomplete", TABLE["csv"])
    for name in TABLE.values():
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
    until = time.monotonic() + 900
    while not finished_chunks(store) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert finished_chunks(store), (folder / "workflow.log").read_text()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(300) != 0
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
