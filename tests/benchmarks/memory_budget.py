"""Training with hidden states larger than memory: what a budget costs.

    python -m tests.benchmarks.memory_budget --items 200000 --folder DISK

CROSSAN (TIVA), width 768, 7 kept layers, 512 users a step, made-up sequences; half-precision hidden states, written to
a store in `--folder` and read from there. Contenders, each in a process of its own, in turn: all in memory; a budget of
a quarter of what they need, page cache dropped before each repeat (that needs root; where it failed, that is said).
Losses must be the same to the last bit. Shown are steps a second, what goes before the first of them (reading the
stores, with a budget also the packing of what is not resident), the encoding of all items as at the end of each epoch,
and the most anonymous memory of each of the three.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch

from sanrec.backbones.store import USED, open_hidden
from sanrec.backbones.writing import finish, hidden_plan, open_for_writing, unfinished, write_unit
from sanrec.config import Settings
from sanrec.data.split import Sequences, log_popularity
from sanrec.models.registry import Recommender, Shape
from sanrec.progress import bar
from sanrec.training.batches import epoch_batches
from sanrec.training.budget import Packed, load_budgeted
from sanrec.training.loading import fill_banks
from sanrec.training.loop import adam, encode_items, looking_ahead, train_step
from sanrec.training.machine import use_threads
from sanrec.training.precision import kept_type
from sanrec.training.sequences import training_windows
from sanrec.training.sources import HiddenSource, Source
from tests.benchmarks.synthetic import synthetic_sequences
from tests.benchmarks.timing import add_common, clocked, machine_line, print_table, ratios, spread

CHANNELS, KEPT, WIDTH, INNER, BATCH = 4, 7, 768, 512, 512
CHUNK_ROWS = 2048
CPU = torch.device("cpu")


def make_stores(folder: Path, items: int) -> list[str]:
    """One store of random states per channel, where it is not there yet."""
    manifests = [str(folder / f"channel-{number}.json") for number in range(CHANNELS)]
    plan = hidden_plan(KEPT, WIDTH, CHUNK_ROWS, "float16")
    for number, manifest in enumerate(manifests):
        if Path(manifest).is_file():
            continue
        made_by = {"settings": {"items": items, "channel": number}}
        group, _ = open_for_writing(manifest, made_by, items, plan, CHUNK_ROWS)
        rng = np.random.default_rng(number)
        with bar(total=items, unit="item", desc=f"writing channel {number + 1} of {CHANNELS}") as shown:
            for unit in unfinished(group):
                states = rng.standard_normal((len(unit), KEPT, WIDTH), dtype=np.float32).astype(np.float16)
                arrays = {"hidden": states, "final": states[:, -1]}
                write_unit(group, unit, arrays, np.full(len(unit), USED, np.uint8))
                shown.update(len(unit))
        finish(manifest, "hidden")
    return manifests


def anonymous_memory() -> int:
    """Bytes of this process that no file backs."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("/proc/self/status has no RssAnon here: this benchmark wants Linux")


class Watched:
    """A context that looks at this process' anonymous memory every few milliseconds, and keeps the most."""

    def __enter__(self) -> "Watched":
        self.most, self._over = anonymous_memory(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.005):
            self.most = max(self.most, anonymous_memory())


def drop_page_cache() -> bool:
    """Whether the system let go of the files that it keeps in memory."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def train(args: argparse.Namespace) -> None:
    """One contender, in this process: prints what it took, as json."""
    use_threads(args.threads)
    stores = [open_hidden(manifest) for manifest in make_stores(args.folder, args.items)]
    sequences = synthetic_sequences(args.users, args.items)
    rows = sequences.item_rows[1:]
    settings = Settings(adapter_width=INNER, batch_size=BATCH, precision=args.precision, fusion="momef", top_k=3)
    dtype = kept_type([torch.float16], settings, CPU)
    need = len(rows) * CHANNELS * KEPT * WIDTH * dtype.itemsize
    drop_page_cache()
    print(json.dumps(measured(args, sequences, stores, settings, dtype, need) | {"need": need}))


def load(args: argparse.Namespace, sequences: Sequences, stores: list, dtype: torch.dtype, need: int) -> Source:
    """The contender's source of hidden states."""
    rows, kept = sequences.item_rows[1:], [range(KEPT)] * CHANNELS
    if args.contender == "budget":
        often = np.bincount(sequences.training_items()[0], minlength=len(rows) + 1)[1:]
        packed = Packed(stores, kept, rows, [dtype] * CHANNELS, standardize=False)
        return load_budgeted(packed, often, need // 4, args.folder, CPU, equal=True)
    bank = torch.empty(KEPT, CHANNELS, len(rows), WIDTH, dtype=dtype)
    fill_banks(bank.unbind(1), stores, kept, rows, False)
    return HiddenSource(bank)


def measured(
    args: argparse.Namespace, sequences: Sequences, stores: list, settings: Settings, dtype: torch.dtype, need: int
) -> dict:
    """What a contender takes before its steps, for them, and to encode all items."""
    started = time.perf_counter()
    with Watched() as loading:
        source = load(args, sequences, stores, dtype, need)
    before = time.perf_counter() - started
    torch.manual_seed(0)
    model = Recommender("crossan", Shape(("text", "image", "video", "audio"), (WIDTH,) * CHANNELS, KEPT), settings)
    optimizer, log_p = adam(model.train(), settings), torch.from_numpy(log_popularity(sequences)).float()
    dropped = drop_page_cache()
    losses, seconds = [], []
    batches = list(epoch_batches(training_windows(sequences), BATCH, 0, 1))[: args.steps]

    def step(batch) -> None:
        losses.append(train_step(model, source, batch, log_p, optimizer, settings, CPU).item())

    with Watched() as training:
        for batch in looking_ahead(batches, source, lambda batch: batch.items):
            seconds.append(clocked(lambda batch=batch: step(batch)))
    with Watched() as evaluating:
        encoding = clocked(lambda: encode_items(model, source, settings, CPU))
    most = [watched.most for watched in (loading, training, evaluating)]
    times = {"seconds": seconds[1:], "before": before, "encoding": encoding}
    return {"losses": losses, "anonymous": most, "dropped": dropped, **times}


def main() -> None:
    """Race, compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common(parser, repeats=3)
    parser.add_argument("--items", type=int, default=200_000, help="items (200,000)")
    parser.add_argument("--users", type=int, default=200_000, help="users (200,000)")
    parser.add_argument("--steps", type=int, default=12, help="steps a repeat (12); the first is not counted")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--folder", type=Path, required=True, help="where the stores are, or are made")
    parser.add_argument("--contender", choices=("memory", "budget"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.contender:
        train(args)
        return
    make_stores(args.folder, args.items)
    words = [
        f"--{name}={getattr(args, name)}" for name in ("items", "users", "steps", "precision", "folder", "threads")
    ]
    found: dict[str, list[dict]] = {"memory": [], "budget": []}
    for number in range(args.repeats):
        for name, of in found.items():
            command = [sys.executable, "-m", "tests.benchmarks.memory_budget", *words, f"--contender={name}"]
            of.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1]))
            print(f"  round {number + 1} of {args.repeats}: {name} {sum(of[-1]['seconds']):.1f} s", flush=True)
    first = found["memory"][0]
    if any(one["losses"] != first["losses"] for of in found.values() for one in of):
        raise SystemExit("the losses differ")
    print(f"{machine_line(args.threads)}; {args.items:,} items, {first['need'] / 1e9:.1f} GB of hidden states")
    if not all(one["dropped"] for of in found.values() for one in of):
        print("the page cache was not dropped: that needs root")
    rates = {name: [len(one["seconds"]) / sum(one["seconds"]) for one in of] for name, of in found.items()}
    rows = [
        [
            name,
            spread(rates[name]),
            ratios(rates[name], rates["memory"]),
            spread([one["before"] for one in of]),
            spread([one["encoding"] for one in of]),
            *(f"{max(one['anonymous'][phase] for one in of) / 1e9:.2f}" for phase in range(3)),
        ]
        for name, of in found.items()
    ]
    heads = [
        "hidden states in",
        "steps a second",
        "of all in memory",
        "s before the first step",
        "s to encode all items",
    ]
    print_table([*heads, "most anonymous memory before, GB", "in steps", "in encoding"], rows)


if __name__ == "__main__":
    main()
