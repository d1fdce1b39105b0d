"""Trains a small backbone to name what its medium shows, on examples drawn in memory and never stored.

Shapes: n examples, D width, V values of a factor.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sanrec.config import CAPTIONED
from sanrec.demo.world import FACTORS, World, generator, shown

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

UNTOLD = -100  # the label that torch's cross entropy passes over
PURPOSE = 20  # of the generators of training examples, apart from all that `world` and `media` draw
POOLED = "pooled"  # the name of the array, among an example's, that says which states are pooled: no input of the model
Arrays = dict[str, np.ndarray]
Reader = Callable[[np.random.Generator, Mapping[str, str]], Arrays]
"""Draws one example with the given factors, as the model's inputs, prepared as extraction prepares them."""


@dataclass(frozen=True)
class Recipe:
    """How a backbone is made: from which channel, how its inputs are drawn, and how long it is trained."""

    channel: str
    """Or several, joined by +."""
    build: Callable[[Path], "PreTrainedModel"]
    """Makes the untrained model, and writes its tokenizer or preprocessor into the folder."""
    reader: Callable[[Path], Reader]
    """The reader of examples, set up by what `build` wrote into the folder."""
    pooling: str
    steps: int
    batch_size: int = 32
    examples: int = 1500
    learning_rate: float = 1e-3


def train(model: "PreTrainedModel", recipe: Recipe, reader: Reader, steps: int) -> dict[str, float]:
    """Train on drawn examples for some steps; gives the accuracy per factor on a tenth of them, held out.

    One linear layer per factor reads the pooled last state, the vector that the frozen row takes too. The layers are
    thrown away afterwards.
    """
    import torch

    from sanrec.backbones.pooling import pool_final
    from sanrec.progress import bar

    names = told(recipe.channel)
    inputs, labels = draw_examples(recipe.channel, reader, recipe.examples)
    held = recipe.examples // 10
    heads = torch.nn.ModuleList(torch.nn.Linear(model.config.hidden_size, len(FACTORS[name].values)) for name in names)
    optimizer = torch.optim.AdamW([*model.parameters(), *heads.parameters()], recipe.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, max(steps, 2), pct_start=0.15)
    order = np.random.default_rng(0)

    def scores(rows: np.ndarray) -> "list[torch.Tensor]":
        batch = {key: torch.from_numpy(values[rows]) for key, values in inputs.items()}
        mask = batch.pop(POOLED, batch.get("attention_mask"))
        final = pool_final(model(**batch).last_hidden_state, mask, recipe.pooling)
        return [head(final) for head in heads]

    model.train()
    for _ in bar(range(steps), unit="step", desc="training on drawn examples"):
        rows = order.integers(held, recipe.examples, recipe.batch_size)
        answers = torch.from_numpy(labels[rows])
        loss = sum(torch.nn.functional.cross_entropy(s, answers[:, k]) for k, s in enumerate(scores(rows)))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.inference_mode():
        said = [s.argmax(-1).numpy() for s in scores(np.arange(held))]
    knows = labels[:held] != UNTOLD
    return {name: float((said[k] == labels[:held, k])[knows[:, k]].mean()) for k, name in enumerate(names)}


def told(channel: str) -> tuple[str, ...]:
    """The factors that a channel tells: a caption those of what it is of; of channels joined by +, all of them."""
    return tuple(dict.fromkeys(name for one in channel.split("+") for name in shown(CAPTIONED.get(one, one))))


def draw_examples(channel: str, reader: Reader, count: int) -> tuple[Arrays, np.ndarray]:
    """Inputs [n, ...] and labels [n, factor] of examples drawn apart from the items of any world.

    Of channels joined by +, the examples take turns; a factor that an example does not tell is UNTOLD.
    """
    channels, names = channel.split("+"), told(channel)
    labels = np.full((count, len(names)), UNTOLD)
    made: list[Arrays] = [{}] * count
    for first, one in enumerate(channels):
        rng, turns = generator(World(), PURPOSE, sum(map(ord, one))), range(first, count, len(channels))
        own = [names.index(name) for name in told(one)]
        for k in own:
            labels[first :: len(channels), k] = rng.integers(len(FACTORS[names[k]].values), size=len(turns))
        for row in turns:
            made[row] = reader(rng, {names[k]: FACTORS[names[k]].values[labels[row, k]] for k in own})
    return {key: np.stack([one[key] for one in made]) for key in made[0]}, labels
