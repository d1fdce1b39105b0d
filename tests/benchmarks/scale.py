"""What the data's way costs per item, per interaction and per user, and whether that stays so as data grow.

    python -m tests.benchmarks.scale --users 100000 400000 1600000

Made-up users of MicroLens-100K's lengths and a fifth as many items, in files of its layout. Each size and step runs in
a process of its own, for its peak memory; what interpreter and libraries take is told apart. Steps:

    corpus        titles to items.parquet, per item
    data set      pairs to interactions.parquet and statistics.json, per interaction
    load          interactions.parquet to a trainer's arrays, per interaction
    batches       an epoch's batches of 512 users, the unique items of each found, per user
    encode        CROSSAN (TIVA) over hidden states of 7 layers of width 768, as at the end of an epoch, per item
    states        the user encoder over histories, per user
    rank          full ranking, per user and item (of at most 20,000 users and as many items as there are)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from sanrec import artifacts
from sanrec.config import Config, Settings
from sanrec.data.interactions import load_sequences
from sanrec.data.prepare import prepare_corpus, prepare_dataset
from sanrec.evaluation.ranking import rank_targets
from sanrec.models.registry import Recommender, Shape
from sanrec.training.batches import epoch_batches
from sanrec.training.loop import encode_histories, encode_items
from sanrec.training.machine import peak_memory, restart_peak_memory
from sanrec.training.sequences import training_windows
from sanrec.training.sources import HiddenSource
from tests.benchmarks.synthetic import synthetic_sequences
from tests.benchmarks.timing import clocked, machine_line, print_table

CPU = torch.device("cpu")
ITEMS_PER_USER = 0.2
LAYERS, CHANNELS, WIDTH, INNER = 7, 4, 768, 512
ENCODED, SCORED = 8192, 20_000
RAW, DATASET = Path("raw"), "bench"


def config() -> Config:
    """A corpus and a data set of the files that `make_files` leaves."""
    corpus = {"title": "Bench", "layout": "microlens", "folder": str(RAW), "titles": "titles.csv"}
    media = {"covers": None, "videos": None, "audios": None}
    dataset = {"title": "Bench", "corpus": DATASET, "pairs": "pairs.tsv", "backbones": {}}
    return Config.model_validate({"corpora": {DATASET: corpus | media}, "datasets": {DATASET: dataset}})


def make_files(users: int) -> None:
    """Pairs and titles."""
    RAW.mkdir(exist_ok=True)
    items = int(users * ITEMS_PER_USER)
    made = synthetic_sequences(users, items)
    with (RAW / "pairs.tsv").open("w", encoding="utf-8") as file:
        for user in range(users):
            file.write(f"{user}\t{' '.join(map(str, made.items[made.offsets[user] : made.offsets[user + 1]]))}\n")
    lines = (f"{item},the title of number {item}\n" for item in range(1, items + 1))
    (RAW / "titles.csv").write_text("".join(lines), encoding="utf-8")


def model() -> tuple[Recommender, Settings]:
    """CROSSAN at the paper's shape."""
    settings = Settings(adapter_width=INNER, fusion="momef", top_k=3)
    torch.manual_seed(0)
    shape = Shape(("text", "image", "video", "audio"), (WIDTH,) * CHANNELS, LAYERS)
    return Recommender("crossan", shape, settings), settings


def corpus() -> tuple[Callable[[], object], int]:
    """Titles to items.parquet: the work, and how many items it is for."""
    items = sum(1 for _ in (RAW / "titles.csv").open(encoding="utf-8"))
    return lambda: prepare_corpus(config(), DATASET, artifacts.items(DATASET)), items


def data_set() -> tuple[Callable[[], object], int]:
    """Pairs to interactions.parquet, per interaction of the file."""
    lines = (RAW / "pairs.tsv").open(encoding="utf-8")
    interactions = sum(line.count(" ") + 1 for line in lines)
    paths = (artifacts.items(DATASET), artifacts.interactions(DATASET), artifacts.statistics(DATASET))
    return lambda: prepare_dataset(config(), DATASET, *paths), interactions


def load() -> tuple[Callable[[], object], int]:
    """Interactions.parquet to arrays, checked."""
    rows = json.loads(Path(artifacts.statistics(DATASET)).read_text(encoding="utf-8"))["interactions"]
    return lambda: load_sequences(artifacts.interactions(DATASET)), rows


def batches() -> tuple[Callable[[], object], int]:
    """An epoch's batches, without what is done with them."""
    windows = training_windows(load_sequences(artifacts.interactions(DATASET)))
    return lambda: [None for _ in epoch_batches(windows, 512, 0, 1)], len(windows)


def encode() -> tuple[Callable[[], object], int]:
    """Items' vectors from hidden states."""
    bank = torch.randn(LAYERS, CHANNELS, ENCODED, WIDTH, dtype=torch.float16)
    recommender, settings = model()
    return lambda: encode_items(recommender, HiddenSource(bank), settings, CPU), ENCODED


def states() -> tuple[Callable[[], object], int]:
    """Users' states from items' vectors."""
    sequences = load_sequences(artifacts.interactions(DATASET))
    histories, _ = sequences.held_out("test")
    recommender, settings = model()
    vectors = torch.randn(sequences.item_count + 1, settings.recommender_width)
    return lambda: encode_histories(recommender, vectors, histories, settings, CPU), len(histories)


def rank() -> tuple[Callable[[], object], int]:
    """Ranks among all items, per user and item."""
    sequences = load_sequences(artifacts.interactions(DATASET))
    some = np.arange(min(SCORED, sequences.user_count))
    _, targets = sequences.held_out("test", some)
    seen, offsets = sequences.history("test", some)
    width = Settings().recommender_width
    users, vectors = torch.randn(len(some), width), torch.randn(sequences.item_count + 1, width)
    histories = (torch.from_numpy(offsets), torch.from_numpy(seen))
    return lambda: rank_targets(users, vectors, torch.from_numpy(targets), histories), len(some) * len(vectors)


STEPS = {
    "corpus": (corpus, "item"),
    "data set": (data_set, "interaction"),
    "load": (load, "interaction"),
    "batches": (batches, "user"),
    "encode": (encode, "item"),
    "states": (states, "user"),
    "rank": (rank, "user and item"),
}
LIKE_ALWAYS = {"encode"}
"""Steps whose cost per piece does not look at the size of the data: measured once."""


def measured(step: str) -> dict[str, float]:
    """What one step takes, in this process, whose peak is counted anew when all is ready for it."""
    work, pieces = STEPS[step][0]()
    restart_peak_memory(CPU)
    before = peak_memory(CPU)
    seconds = clocked(work)
    return {"seconds": seconds, "pieces": pieces, "before": before, "peak": peak_memory(CPU)}


def main() -> None:
    """Every size in turn, a step after the other, and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, nargs="+", default=[100_000, 400_000, 1_600_000], help="sizes")
    parser.add_argument("--threads", type=int, default=2, help="threads (2)")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.step:
        print(json.dumps(measured(args.step)))
        return
    print(machine_line(args.threads))
    root = str(Path.cwd())
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    rows = []
    for number, users in enumerate(args.users):
        with tempfile.TemporaryDirectory(prefix="sanrec-benchmark-") as folder:
            os.chdir(folder)
            make_files(users)
            for step, (_, piece) in STEPS.items():
                if number and step in LIKE_ALWAYS:
                    continue
                command = [sys.executable, "-m", "tests.benchmarks.scale", "--step", step, f"--threads={args.threads}"]
                env = os.environ | {"PYTHONPATH": paths}
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=env)
                found = json.loads(done.stdout.splitlines()[-1])
                more = max(0, found["peak"] - found["before"])
                each = 1e6 * found["seconds"] / found["pieces"]
                rows.append([
                    f"{users:,}", step, f"{found['seconds']:.2f}", f"{each:.4g} per {piece}", f"{more / 2**20:,.0f}",
                    f"{more / found['pieces']:.4g}",
                ])  # fmt: skip
                print(f"  {users:,} users, {step}: {found['seconds']:.2f} s", flush=True)
            os.chdir(root)
    print_table(["users", "step", "s", "µs", "MiB more at most", "bytes of that per piece"], rows)


if __name__ == "__main__":
    main()
