"""The training step of CROSSAN (TIVA) against the literature's two ways of writing it: whole epochs.

    python -m tests.benchmarks.training --pairs MicroLens-50k_pairs.tsv

Backbones of width 768, 7 kept layers, adapter width 512, 512 users a step; random half-precision hidden states of all
items; the real sequences of MicroLens-50K, or without --pairs made-up ones of such lengths. Contenders:

    paper style   one file per item and channel, read by loader workers for every sample; every position encoded,
                  padding too; the loss masked by loops over users and positions
    plain         all hidden states in memory; every position encoded; a module per adapter; a mask by array operations
    ours          sanrec's own step, in float32 and in bfloat16; and with gaps: a tenth of all media missing

First all contenders train the same steps from the same weights and without dropout: their losses must agree. Then an
epoch is cut into `--repeats` parts, which the contenders take in turn: each trains the whole epoch once. `--steps` cuts
the epoch short, `--contenders` leaves some out of the race. In each turn the machine's rate at a batched matrix product
of the towers' shape is taken too: the floor. Before all that each contender trains some steps in a process of its own,
for its peak memory.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sanrec.config import Settings
from sanrec.data.split import log_popularity
from sanrec.models.registry import POSITIONS, Recommender, Shape
from sanrec.training.batches import make_batch
from sanrec.training.loop import adam, encode_items, train_step
from sanrec.training.machine import peak_memory, use_threads
from sanrec.training.precision import kept_type
from sanrec.training.sequences import training_windows
from sanrec.training.sources import HiddenSource, ItemSource, MaskedSource
from tests.benchmarks.rivals.crossan import PlainCrossan, looped_loss, plain_loss, take_step
from tests.benchmarks.rivals.item_files import loader, write_files
from tests.benchmarks.synthetic import real_sequences, synthetic_sequences
from tests.benchmarks.timing import add_common, in_turn, machine_line, matrix_rate, print_table, ratios, spread

MODALITIES = ("text", "image", "video", "audio")
LAYERS, WIDTH, INNER, OUTPUTS, TOP_K = 7, 768, 512, 64, 3
USERS, ITEMS = 50_000, 19_100
CPU = torch.device("cpu")
CHECKED_STEPS, MEMORY_STEPS = 2, 12
TOLERANCE, HALF_TOLERANCE = 1e-4, 1e-2
GAPS = 0.1
CONTENDERS = ("paper style", "plain", "ours, float32", "ours, bfloat16", "ours, bfloat16, gaps")


@dataclass(frozen=True)
class Data:
    """What all contenders train on."""

    windows: np.ndarray
    """[U, S + 1] in the epoch's order."""
    log_popularity: torch.Tensor
    bank: torch.Tensor
    """Hidden states [L, M, I, D]."""
    batch: int
    workers: int
    files: Path | None = None


def settings_of(precision: str, batch: int, dropout: float) -> Settings:
    """CROSSAN's settings on MicroLens-50K."""
    return Settings(
        adapter_width=INNER, fusion="momef", top_k=TOP_K, batch_size=batch, precision=precision, dropout=dropout
    )


def starting_model(dropout: float) -> Recommender:
    """The same weights every time."""
    torch.manual_seed(0)
    shape = Shape(MODALITIES, (WIDTH,) * len(MODALITIES), LAYERS)
    return Recommender("crossan", shape, settings_of("float32", 1, dropout)).train()


Trainer = Callable[[np.ndarray], list[float]]
"""Trains on windows [n, S + 1], a batch after the other, and gives the losses."""


def ours(data: Data, kind: str, dropout: float, evaluate: bool = False) -> Trainer:
    """sanrec's step, from the very function that `fit` calls, hidden states in the type that a run keeps them in.

    With `evaluate` all items are encoded at the end, as when an epoch is over.
    """
    precision, _, gaps = kind.partition(", ")
    model, settings = starting_model(dropout), settings_of(precision, data.batch, dropout)
    optimizer = adam(model, settings)
    source: ItemSource = HiddenSource(data.bank.to(kept_type([data.bank.dtype], settings, CPU)))
    if gaps:
        chosen = torch.rand(len(MODALITIES), data.bank.shape[2], generator=torch.Generator().manual_seed(0))
        source = MaskedSource(source, chosen >= GAPS)

    def train(windows: np.ndarray) -> list[float]:
        losses = []
        for start in range(0, len(windows), data.batch):
            batch = make_batch(windows[start : start + data.batch])
            losses.append(train_step(model, source, batch, data.log_popularity, optimizer, settings, CPU).item())
        if evaluate:
            encode_items(model, source, settings, CPU)
        return losses

    return train


def rival(data: Data, dropout: float, from_files: bool) -> Trainer:
    """One of the literature's ways; Adam with the same two learning rates, as torch has it by default."""
    ours_at_start = starting_model(dropout)
    groups = ours_at_start.parameter_groups(settings_of("float32", data.batch, dropout))
    model = PlainCrossan(len(MODALITIES), LAYERS, WIDTH, INNER, OUTPUTS, TOP_K).take_over(ours_at_start).train()
    slow = [*model.adapters.parameters(), *(g for g, m in zip(model.gates, MODALITIES, strict=True) if m != "text")]
    fast = [p for p in model.parameters() if all(p is not other for other in slow)]
    rates = [group["lr"] for group in groups]
    optimizer = torch.optim.Adam([{"params": fast, "lr": rates[0]}, {"params": slow, "lr": rates[1]}])
    items_first = None if from_files else _items_first(data.bank)
    loss_of = looped_loss if from_files else plain_loss

    def batches(windows: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if from_files:
            yield from loader(windows, data.files, _item_shape(data), data.batch, data.workers)
            return
        for start in range(0, len(windows), data.batch):
            sequences = torch.from_numpy(windows[start : start + data.batch].astype(np.int64))
            yield items_first[sequences.flatten()], sequences

    def train(windows: np.ndarray) -> list[float]:
        losses = []
        for hidden, sequences in batches(windows):
            states, items = model(hidden.reshape(-1, *_item_shape(data)).float(), sequences)
            losses.append(take_step(optimizer, loss_of(states, items, sequences, data.log_popularity)))
        return losses

    return train


def _items_first(bank: torch.Tensor) -> torch.Tensor:
    """[L, M, I, D] as [I + 1, M, L, D], with zeros for padding."""
    layers, channels, items, width = bank.shape
    turned = torch.zeros(items + 1, channels, layers, width, dtype=bank.dtype)
    turned[1:] = bank.permute(2, 1, 0, 3)
    return turned


def _item_shape(data: Data) -> tuple[int, int, int]:
    return data.bank.shape[1], data.bank.shape[0], data.bank.shape[3]


def trainer(name: str, data: Data, dropout: float, evaluate: bool = False) -> Trainer:
    """A contender, from the same starting weights as all."""
    if name.startswith("ours"):
        return ours(data, name.partition(", ")[2], dropout, evaluate)
    return rival(data, dropout, from_files=name == "paper style")


def make_data(args: argparse.Namespace, folder: Path | None) -> Data:
    """Sequences and random hidden states; with `folder`, as files too."""
    sequences = real_sequences(args.pairs) if args.pairs else synthetic_sequences(USERS, ITEMS)
    windows = training_windows(sequences)
    order = np.random.default_rng([0, 1]).permutation(len(windows))
    items = max(ITEMS, sequences.item_count)
    torch.manual_seed(1)
    alone = settings_of("bfloat16" if "bfloat16" in (args.memory_of or "") else "float32", 1, 0.0)
    dtype = kept_type([torch.float16], alone, CPU)  # a contender that is alone holds them once, as it wants them
    bank = torch.empty(LAYERS, len(MODALITIES), items, WIDTH, dtype=dtype)
    for piece in bank.flatten(0, 1):
        piece.normal_()
    log_p = torch.zeros(items + 1)
    log_p[: sequences.item_count + 1] = torch.from_numpy(log_popularity(sequences)).float()
    if folder:
        write_files(bank, folder)
    shown = windows[order][: args.steps * args.batch] if args.steps else windows[order]
    return Data(shown, log_p, bank, args.batch, args.workers, folder)


def check_losses(data: Data, racing: list[str]) -> None:
    """The contenders' losses, and plain's, over the same first steps without dropout.

    Raises SystemExit where they differ.
    """
    some = data.windows[: CHECKED_STEPS * data.batch]
    comparable = [name for name in dict.fromkeys([*racing, "plain"]) if "gaps" not in name]
    found = {name: trainer(name, data, 0.0)(some) for name in comparable}
    for name, losses in found.items():
        off = max(abs(a - b) for a, b in zip(losses, found["plain"], strict=True))
        print(f"{name}: losses {', '.join(f'{loss:.6f}' for loss in losses)}, off by {off:.1e}")
        if off > (HALF_TOLERANCE if "bfloat16" in name else TOLERANCE):
            raise SystemExit(f"{name} does not compute what plain does")


def operations(windows: np.ndarray, batch_size: int) -> float:
    """Multiplications and additions of ours over the windows: what needs a matrix product, forward and backward.

    Backward is twice forward. Towers and heads see each of a batch's items once, the user encoder each position.
    """
    towers = len(MODALITIES) * (LAYERS * 2 * WIDTH * INNER + WIDTH * OUTPUTS)
    heads = len(MODALITIES) * WIDTH * WIDTH * OUTPUTS  # the product of their two weights, once a step
    total = 0.0
    for start in range(0, len(windows), batch_size):
        batch = windows[start : start + batch_size]
        unique = len(np.unique(batch[batch > 0]))
        positions, scored = batch[:, 1:].size, int((batch[:, :-1] > 0).sum())
        users = positions * 2 * (4 * OUTPUTS * OUTPUTS + 8 * OUTPUTS * OUTPUTS + 2 * POSITIONS * OUTPUTS)
        total += 3 * 2 * (unique * towers + heads + users + scored * unique * OUTPUTS)
    return total


def peak_of(name: str, args: argparse.Namespace) -> float:
    """Peak bytes of a contender that trains a few steps in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.training", "--memory-of", name, "--batch", str(args.batch)]
    command += ["--workers", str(args.workers), "--threads", str(args.threads), "--steps", str(MEMORY_STEPS)]
    command += ["--pairs", str(args.pairs)] if args.pairs else []
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def compare(args: argparse.Namespace) -> None:
    """Check, race, and print the tables."""
    racing = [name for name in CONTENDERS if name in args.contenders]
    peaks = {name: peak_of(name, args) for name in racing}  # first, while this process holds nothing
    folder = Path(tempfile.mkdtemp(prefix="sanrec-benchmark-"))
    try:
        data = make_data(args, folder if CONTENDERS[0] in racing else None)
        steps = -(-len(data.windows) // data.batch)
        print(f"{machine_line(args.threads)}; {len(data.windows):,} users, {steps} steps, {data.bank.shape[2]:,} items")
        check_losses(data, racing)
        trainers = {name: trainer(name, data, 0.1) for name in racing}
        cuts = np.array_split(np.arange(steps), args.repeats)
        parts = [data.windows[c[0] * data.batch : (c[-1] + 1) * data.batch] for c in cuts if len(c)]
        for name in racing:  # what is made at the first step, allocators' pools above all, is no part of an epoch
            trainers[name](data.windows[: data.batch])
        rates: dict[str, list[float]] = {"float32": [], "bfloat16": []}

        def floor(precision: str) -> None:
            rates[precision].append(matrix_rate(len(MODALITIES), 2048, WIDTH, INNER, getattr(torch, precision)))

        work = {name: lambda part, train=train: train(parts[part]) for name, train in trainers.items()}
        work |= {f"matrix products, {precision}": lambda _, of=precision: floor(of) for precision in rates}
        taken = in_turn(work, len(parts))
    finally:
        shutil.rmtree(folder)
    needed = [operations(part, data.batch) for part in parts]
    bank_bytes = data.bank.numel() * data.bank.itemsize
    rows = []
    for name in racing:
        precision = name.partition(", ")[2].partition(",")[0]
        floors = [of / rate for of, rate in zip(needed, rates.get(precision, []), strict=False)]
        row = [name, f"{sum(taken[name]):.1f}"]
        row += [spread([1000 * t / len(c) for t, c in zip(taken[name], cuts, strict=True)])]
        row += [ratios(taken[slow], taken[name]) if slow in taken else "" for slow in CONTENDERS[:2]]
        row += [ratios(floors, taken[name]) if floors else ""]
        rows.append([*row, f"{peaks[name] / 2**20:,.0f}", f"{(peaks[name] - bank_bytes) / 2**20:,.0f}"])
    heads = ["contender", "s per epoch", "ms per step", "times paper style", "times plain", "of the matrix floor"]
    print_table([*heads, "peak MiB", "without hidden states"], rows)
    print(f"ours needs {sum(needed) / steps / 1e9:.0f} GFLOP a step; matrix products, GFLOP/s:")
    print("; ".join(f"{name} {spread([rate / 1e9 for rate in found])}" for name, found in rates.items()))


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common(parser, repeats=7)
    parser.add_argument("--pairs", type=Path, help="MicroLens-50k_pairs.tsv; made-up sequences without it")
    parser.add_argument("--steps", type=int, default=0, help="steps of the epoch (0: all)")
    parser.add_argument("--batch", type=int, default=512, help="users per step (512)")
    parser.add_argument("--workers", type=int, default=2, help="loader processes of paper style (2)")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS, help="who races (all)")
    parser.add_argument("--memory-of", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    use_threads(args.threads)
    if not args.memory_of:
        compare(args)
        return
    with tempfile.TemporaryDirectory(prefix="sanrec-benchmark-") as folder:
        data = make_data(args, Path(folder) if args.memory_of == "paper style" else None)
        trainer(args.memory_of, data, 0.1, evaluate=True)(data.windows)
        print(peak_memory(CPU))


if __name__ == "__main__":
    main()
