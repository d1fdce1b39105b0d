"""Towers over equal encoders, as one batched product and one by one, and over unequal ones: time of a training step.

    python -m tests.benchmarks.unequal --items 512 --device auto

Forward and backward pass of the item encoder on random hidden states of the papers' widths, 7 kept layers each, adapter
width 64. Memory on a GPU is the allocator's peak; a processor's is not shown.
"""

import argparse
import statistics
import time

import torch

from sanrec.backbones.extract import chosen_device
from sanrec.config import Settings
from sanrec.models.crossan import Crossan
from sanrec.models.crossan_unequal import UnequalCrossan
from sanrec.models.iisan import Iisan
from sanrec.models.iisan_va import IisanVa
from sanrec.models.registry import BUILDERS, Shape, trainable_parameters

TEXT = {"BERT-base": 768, "BERT-large": 1024, "Gemma-7b": 3072, "Llama-3-8b": 4096, "Llama-3-70b": 8192}
LAYERS, IMAGE = 7, 768


def systems(settings: Settings) -> dict[str, tuple[torch.nn.Module, list[int]]]:
    """The item encoders to be timed, with their channels' widths."""
    found = {}
    for model in ("iisan", "crossan"):
        for name, width in TEXT.items():
            shape = Shape(("text", "image"), (width, IMAGE), LAYERS)
            found[f"{model}, {name} and ViT-base"] = BUILDERS[model](shape, settings), [width, IMAGE]
    equal = (IMAGE, IMAGE), (LAYERS, LAYERS), settings
    found["iisan, BERT-base and ViT-base, tower by tower"] = IisanVa(*equal, extended=False), [IMAGE, IMAGE]
    found["crossan, BERT-base and ViT-base, tower by tower"] = UnequalCrossan(*equal), [IMAGE, IMAGE]
    return found


def milliseconds(encoder: torch.nn.Module, hidden: torch.Tensor | list[torch.Tensor], repeats: int) -> float:
    """The median of forward and backward passes, after one that warms up; bfloat16 autocast on a GPU."""
    device = encoder.fusion.linear.weight.device.type
    taken = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = encoder(hidden).float().square().mean()
        encoder.zero_grad(set_to_none=True)
        loss.backward()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return 1000 * statistics.median(taken[1:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=512, help="unique items of a step")
    parser.add_argument("--repeats", type=int, default=5, help="steps whose median is taken")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    args = parser.parse_args()
    device = chosen_device(args.device)
    settings = Settings(adapter_width=64, fusion="concat")
    print(f"{'system':<50} {'parameters':>12} {'ms':>8} {'MB':>8}")
    on_gpu = device.type == "cuda"
    for name, (encoder, widths) in systems(settings).items():
        encoder = encoder.to(device)
        dtype = torch.bfloat16 if on_gpu else torch.float32
        states = [torch.randn(LAYERS, args.items, width, device=device, dtype=dtype) for width in widths]
        batched = isinstance(encoder, Iisan | Crossan)
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        took = milliseconds(encoder, torch.stack(states, 1) if batched else states, args.repeats)
        memory = f"{torch.cuda.max_memory_allocated() / 1e6:8.0f}" if on_gpu else f"{'-':>8}"
        print(f"{name:<50} {trainable_parameters(encoder):>12,} {took:>8.1f} {memory}")


if __name__ == "__main__":
    main()
