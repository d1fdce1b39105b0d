"""IISAN-Versa's Figure 7 at the paper's shapes, on random hidden states: nothing is read or downloaded.

    python -m tests.benchmarks.text_encoders --steps 20 --device auto

20,314 items, as in the paper's Figure 6, beside ViT-base; as many made-up users as Scientific has; IISAN's settings on
Scientific. Full: all layers are in memory and move with each batch; dropped: those that feed the towers. A row has a
process of its own; its memory is the peak while it trains, hidden states included where there is no GPU. Llama-3-8b's
whole states take 5.5 GiB, those of 70 billion parameters (--encoders llama-3-70b-gptq) 26 GiB.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from sanrec import artifacts
from sanrec.backbones.extract import chosen_device
from sanrec.config import Timing
from sanrec.data.split import log_popularity
from sanrec.layers import kept_layers
from sanrec.load import load_config
from sanrec.methods import DROPPED, FULL
from sanrec.models.registry import Recommender, Shape
from sanrec.training.costs import time_steps
from sanrec.training.machine import restart_peak_memory
from sanrec.training.sequences import training_windows
from sanrec.training.streamed import StreamedSource
from tests.benchmarks.synthetic import synthetic_sequences

ROOT = Path(__file__).parents[2]
ITEMS, USERS = 20_314, 12_076
ENCODERS, IMAGE = ("bert-base", "bert-large", "llama-3-8b"), "vit-base"


def measure_row(encoder: str, reads: str, steps: int, device_name: str, threads: int) -> dict[str, Any]:
    """One row, in this process."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config, device = load_config(), chosen_device(device_name)
    run = artifacts.run(config, "scientific", "iisan", "TI")
    records = [config.backbones[name] for name in (encoder, IMAGE)]
    kept = [kept_layers(record.blocks, run.settings.layers, run.settings.blocks) for record in records]
    loaded = [tuple(range(record.blocks + 1)) for record in records] if reads == FULL else kept
    banks = [
        torch.empty(len(layers), ITEMS, record.width, dtype=torch.float16)
        for record, layers in zip(records, loaded, strict=True)
    ]
    for layer in (layer for bank in banks for layer in bank):
        layer.normal_()
    shape = Shape(("text", "image"), tuple(record.width for record in records), tuple(map(len, kept)))
    places = [[layers.index(layer) for layer in wanted] for layers, wanted in zip(loaded, kept, strict=True)]
    source = StreamedSource(banks, places, shape.equal, device)
    model = Recommender("iisan", shape, run.settings).to(device)
    sequences = synthetic_sequences(USERS, ITEMS)
    restart_peak_memory(device)
    windows, log_p, timing = training_windows(sequences), log_popularity(sequences), Timing(steps=steps)
    cost = time_steps(model, source, windows, log_p, run.settings, 0, device, timing, f"{encoder} {reads}")
    return cost | {"states_bytes": sum(bank.nbytes for bank in banks)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="steps timed, after five that warm up")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--encoders", nargs="*", default=ENCODERS, help="text encoders, by their names in the registry")
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        encoder, reads, out = args.row
        Path(out).write_text(json.dumps(measure_row(encoder, reads, args.steps, args.device, args.threads)))
        return
    print(f"{'text encoder':<20}{'reads':<9}{'ms/step':>9}{'least-most':>17}{'s/epoch':>9}{'MiB':>9}{'states MiB':>12}")
    for encoder in args.encoders:
        for reads in (FULL, DROPPED):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder, "cost.json")
                told = ["--steps", str(args.steps), "--device", args.device, "--threads", str(args.threads)]
                command = [
                    sys.executable,
                    "-m",
                    "tests.benchmarks.text_encoders",
                    *told,
                    "--row",
                    encoder,
                    reads,
                    str(out),
                ]
                if subprocess.run(command, cwd=ROOT, check=False).returncode:
                    print(f"{encoder:<20}{reads:<9} failed")
                    continue
                cost = json.loads(out.read_text())
            median, least, most = (
                1000 * value
                for value in (cost["seconds_per_step"], min(cost["step_seconds"]), max(cost["step_seconds"]))
            )
            print(
                f"{encoder:<20}{reads:<9}{median:>9,.0f}{f'{least:,.0f}-{most:,.0f}':>17}{cost['seconds_per_epoch']:>9,.0f}"
                f"{cost['peak_memory_bytes'] / 2**20:>9,.0f}{cost['states_bytes'] / 2**20:>12,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
