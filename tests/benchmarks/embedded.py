"""Tuning the backbones themselves (full fine-tuning, LoRA) against the plain loop over every position.

    python -m tests.benchmarks.embedded --steps 3

BERT and ViT of random weights, 6 blocks of width 384, titles of at most 30 tokens and images of 112 x 112; 32 users a
step, made-up sequences. The plain loop encodes each of a batch's positions, padding too, every title padded to 30
tokens, in float32. Dropout is off, so that all compute the same: first their losses are compared.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers

from sanrec.backbones.conversion import to_model_input
from sanrec.config import Settings
from sanrec.data.split import log_popularity
from sanrec.models.registry import Recommender, Shape
from sanrec.training.batches import make_batch
from sanrec.training.loop import adam, train_step
from sanrec.training.sequences import training_windows
from sanrec.training.sources import InputSource
from tests.benchmarks.rivals.crossan import plain_loss, take_step
from tests.benchmarks.synthetic import synthetic_sequences
from tests.benchmarks.timing import add_common, in_turn, machine_line, print_table, ratios, spread

USERS, ITEMS, BATCH, TOKENS, WORDS, SIZE = 4000, 2000, 32, 30, 5000, 112
SHAPE = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 6, "intermediate_size": 1536}
OFF = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
MODALITIES, POOLINGS = ("text", "image"), ("first", "first")
CPU = torch.device("cpu")
TOLERANCE = 1e-3
Trainer = Callable[[list[np.ndarray]], list[float]]


def inputs() -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Settings and integers of all items: titles of 5 to 20 tokens as MicroLens has them, and pixels."""
    rng = np.random.default_rng(0)
    ids = {"input_ids": rng.integers(5, WORDS, (ITEMS, TOKENS), dtype=np.int32), "length": rng.integers(5, 21, ITEMS)}
    pixels = {"pixels": rng.integers(0, 256, (ITEMS, 3, SIZE, SIZE), dtype=np.uint8)}
    return [({"bos": None}, ids), ({"mean": [0.5] * 3, "std": [0.5] * 3, "scale": 1 / 255}, pixels)]


def model_of(method: str) -> Recommender:
    """The same weights every time."""
    torch.manual_seed(0)
    bert = transformers.BertModel(transformers.BertConfig(vocab_size=WORDS, **SHAPE, **OFF), add_pooling_layer=False)
    vit = transformers.ViTModel(transformers.ViTConfig(image_size=SIZE, **SHAPE, **OFF), add_pooling_layer=False)
    shape = Shape(MODALITIES, (384, 384), 1, POOLINGS, (bert, vit))
    return Recommender(method, shape, settings_of("float32")).train()


def settings_of(precision: str) -> Settings:
    """Without dropout."""
    return Settings(batch_size=BATCH, precision=precision, dropout=0.0, lora_rank=16)


def ours(method: str, precision: str, log_p: torch.Tensor) -> Trainer:
    """sanrec's own step."""
    model, settings = model_of(method), settings_of(precision)
    optimizer = adam(model, settings)

    def reader(modality: str, made_by: dict[str, Any], arrays: dict[str, np.ndarray]) -> Callable[..., Any]:
        return lambda places: to_model_input(modality, made_by, {k: v[places.numpy()] for k, v in arrays.items()})

    source = InputSource(ITEMS, [reader(m, *made) for m, made in zip(MODALITIES, inputs(), strict=True)], BATCH)

    def train(batches: list[np.ndarray]) -> list[float]:
        return [
            train_step(model, source, make_batch(windows), log_p, optimizer, settings, CPU).item()
            for windows in batches
        ]

    return train


def plain(method: str, log_p: torch.Tensor) -> Trainer:
    """Every position through both backbones."""
    model = model_of(method)
    optimizer = torch.optim.Adam(model.parameter_groups(settings_of("float32")))
    (_, texts), (_, pictures) = inputs()
    bert, vit = model.item_encoder.backbones
    read_out = model.item_encoder.read_out

    def train(batches: list[np.ndarray]) -> list[float]:
        losses = []
        for windows in batches:
            sequences = torch.from_numpy(windows.astype(np.int64))
            rows = (sequences.flatten() - 1).clamp_min(0).numpy()  # padding is read as the first item, and masked later
            length = torch.from_numpy(texts["length"][rows])
            ids = torch.from_numpy(texts["input_ids"][rows]).long()
            pixels = (torch.from_numpy(pictures["pixels"][rows]).float() / 255 - 0.5) / 0.5
            text = bert(input_ids=ids, attention_mask=(torch.arange(TOKENS) < length[:, None]).long())
            image = vit(pixel_values=pixels)
            items = read_out([text.last_hidden_state[:, 0], image.last_hidden_state[:, 0]])
            vectors = items.view(*sequences.shape, -1)[:, :-1]
            states = model.encode_users(vectors, sequences[:, :-1] > 0)
            losses.append(take_step(optimizer, plain_loss(states, items, sequences, log_p)))
        return losses

    return train


def main() -> None:
    """Check, race, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common(parser, repeats=3)
    parser.add_argument("--steps", type=int, default=3, help="steps a round (3)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    sequences = synthetic_sequences(USERS, ITEMS)
    windows = training_windows(sequences)
    log_p = torch.from_numpy(log_popularity(sequences)).float()
    steps = [windows[start : start + BATCH] for start in range(0, args.steps * (args.repeats + 1) * BATCH, BATCH)]
    unique = np.mean([len(np.unique(step[step > 0])) for step in steps])
    print(f"{machine_line(args.threads)}; {steps[0].size} positions and {unique:.0f} different items a step")
    rows = []
    for method in ("full", "lora"):
        trainers = {
            "plain loop": plain(method, log_p),
            "ours, float32": ours(method, "float32", log_p),
            "ours, bfloat16": ours(method, "bfloat16", log_p),
        }
        losses = {name: train(steps[: args.steps]) for name, train in trainers.items()}
        for name, found in losses.items():
            off = max(abs(a - b) for a, b in zip(found, losses["plain loop"], strict=True))
            print(f"  {method}, {name}: losses {', '.join(f'{loss:.5f}' for loss in found)}, off by {off:.1e}")
            if off > TOLERANCE and "bfloat16" not in name:
                raise SystemExit(f"{name} does not compute what the plain loop does")

        def work(train: Trainer) -> Callable[[int], object]:
            return lambda number: train(steps[(number + 1) * args.steps : (number + 2) * args.steps])

        taken = in_turn({name: work(train) for name, train in trainers.items()}, args.repeats)
        for name, times in taken.items():
            each = [time / args.steps for time in times]
            rows.append([method, name, spread(each), ratios(taken["plain loop"], times)])
    print_table(["method", "contender", "s per step", "times plain loop"], rows)


if __name__ == "__main__":
    main()
