"""Extraction as scripts of this field do it: fixed padding, a batch decoded and then computed, one file per item."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

MEAN = STD = 0.5


def _save(states: tuple[Tensor, ...], names: list[str], out: Path, pooled: str) -> None:
    """Every hidden state of each item, its first token or its mean, as `{name}.npy` [L, D]."""
    stacked = torch.stack([state[:, 0] if pooled == "first" else state.mean(1) for state in states], 1).float().numpy()
    for name, one in zip(names, stacked, strict=True):
        np.save(out / f"{name}.npy", one)


@torch.no_grad()
def texts(model: nn.Module, tokenizer: Any, titles: dict[str, str], out: Path, batch: int, length: int = 30) -> None:
    """Titles, each padded to `length` tokens."""
    names = list(titles)
    for start in range(0, len(names), batch):
        some = names[start : start + batch]
        encoded = tokenizer(
            [titles[name] for name in some],
            padding="max_length",
            truncation=True,
            max_length=length,
            return_tensors="pt",
        )
        _save(model(**encoded, output_hidden_states=True).hidden_states, some, out, "first")


def _pixels(image: Image.Image, size: int) -> Tensor:
    pixels = torch.from_numpy(np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)).copy())
    return (pixels.permute(2, 0, 1).float() / 255 - MEAN) / STD


@torch.no_grad()
def images(model: nn.Module, files: list[Path], out: Path, batch: int, size: int) -> None:
    """Image files, decoded whole."""
    for start in range(0, len(files), batch):
        some = files[start : start + batch]
        pixels = torch.stack([_pixels(Image.open(file), size) for file in some])
        names = [file.stem for file in some]
        _save(model(pixel_values=pixels, output_hidden_states=True).hidden_states, names, out, "first")


def _frames(file: Path, count: int, size: int) -> Tensor:
    with av.open(str(file)) as container:
        decoded = list(container.decode(video=0))
    places = np.linspace(0, len(decoded) - 1, count).round().astype(int)
    return torch.stack([_pixels(decoded[place].to_image(), size) for place in places])


@torch.no_grad()
def videos(model: nn.Module, files: list[Path], out: Path, batch: int, size: int, count: int) -> None:
    """Video files, every frame decoded, `count` of them taken."""
    for start in range(0, len(files), batch):
        some = files[start : start + batch]
        pixels = torch.stack([_frames(file, count, size) for file in some])
        names = [file.stem for file in some]
        _save(model(pixel_values=pixels, output_hidden_states=True).hidden_states, names, out, "mean")
