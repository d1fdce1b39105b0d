"""Shared by the benchmarks: contenders in turn, their medians and ratios, and what the machine can do at most."""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date

import torch

from sanrec.hardware import processor_name


def machine_line(threads: int) -> str:
    """Processor, threads and date, to stand above a table."""
    return f"{processor_name()}, {threads} threads, torch {torch.__version__}, {date.today().isoformat()}"


def add_common(parser: argparse.ArgumentParser, repeats: int, threads: int = 2) -> None:
    """The options that every benchmark has."""
    parser.add_argument("--repeats", type=int, default=repeats, help=f"rounds through all contenders ({repeats})")
    parser.add_argument("--threads", type=int, default=threads, help=f"threads ({threads})")


def clocked(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turn(contenders: Mapping[str, Callable[[int], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every contender in every round, one after the other within a round, so that all meet the same times.

    A contender is told the round's number.
    """
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, work in contenders.items():
            taken[name].append(clocked(lambda work=work, number=number: work(number)))
            print(f"  round {number + 1} of {rounds}: {name} {taken[name][-1]:.2f} s", flush=True)
    return taken


def spread(values: Sequence[float]) -> str:
    """Median (least to most)."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def ratios(slow: Sequence[float], fast: Sequence[float]) -> str:
    """How many times faster, by round: median (least to most)."""
    return spread([a / b for a, b in zip(slow, fast, strict=True)])


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table."""
    for row in (heads, ["---"] * len(heads), *rows):
        print("| " + " | ".join(row) + " |")


def best(work: Callable[[], object], repeats: int = 7) -> float:
    """The least seconds of several calls, after one that warms up: what the machine can do, not what it does mostly."""
    work()
    return min(clocked(work) for _ in range(repeats))


def matrix_rate(towers: int, rows: int, inner: int, outer: int, dtype: torch.dtype) -> float:
    """Operations a second of matrix products, a multiplication and an addition being two: the best of several.

    Batched ones [K, n, i] x [K, i, o], with each side as it is and turned round, and a single large one.
    """
    left, right = torch.randn(towers, rows, inner).to(dtype), torch.randn(towers, inner, outer).to(dtype)
    out, side = torch.empty(towers, rows, outer, dtype=dtype), 2048
    turned = [one.transpose(1, 2).contiguous().transpose(1, 2) for one in (left, right)]
    pairs = [(left, right), (turned[0], right), (left, turned[1])]
    batched = [best(lambda a=a, b=b: torch.bmm(a, b, out=out), repeats=3) for a, b in pairs]
    square, other = torch.randn(side, side).to(dtype), torch.randn(side, side).to(dtype)
    single = torch.empty(side, side, dtype=dtype)
    alone = best(lambda: torch.mm(square, other, out=single), repeats=3)
    return max(2 * towers * rows * inner * outer / min(batched), 2 * side**3 / alone)


def copy_bandwidth(megabytes: int = 256) -> float:
    """Bytes a second, read and written, of a copy that no cache holds."""
    source = torch.ones(megabytes * 2**18)
    target = torch.empty_like(source)
    return 2 * source.numel() * 4 / best(lambda: target.copy_(source))
