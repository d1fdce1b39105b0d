"""From model-ready integers to what a model's forward takes, on its device.

n items, S tokens or states, B mel bands, T stored frames. `settings` are those of the `ModelInputs` that read the
integers; a store of inputs keeps them in its manifest, so that it can be used without the checkpoint.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

Batch = Mapping[str, np.ndarray | Tensor]
ModelInput = tuple[dict[str, Tensor], Tensor | None]
"""Keyword arguments of the forward pass for n items, and which of the S states pooling counts [n, S] (None: all)."""


def to_model_input(
    modality: str, settings: Mapping[str, Any], batch: Batch, device: torch.device | str = "cpu"
) -> ModelInput:
    """The integers of n items, each array [n, ...], as a model's input."""
    convert: dict[str, Callable[..., ModelInput]] = {
        "text": text_input,
        "image": pixel_input,
        "video": pixel_input,
        "audio": audio_input,
    }
    moved = {name: torch.as_tensor(values).to(device, non_blocking=True) for name, values in batch.items()}
    return convert[modality](settings, moved)


def text_input(settings: Mapping[str, Any], batch: Mapping[str, Tensor]) -> ModelInput:
    """input_ids and attention_mask [n, S], S the length of the longest text among them.

    A leading BOS (settings `bos`, given for decoder language models alone) is attended to, but not pooled, unless
    the text is nothing else.
    """
    # a missing text has no token: one is let through, since attention to nothing is not a number
    length = batch["length"].long().clamp_min(1)
    longest = int(length.max())
    ids = batch["input_ids"][:, :longest].long()
    attention = (torch.arange(longest, device=ids.device) < length[:, None]).long()
    pooled = attention
    if settings["bos"] is not None:
        pooled = attention.clone()
        pooled[:, 0] = ((ids[:, 0] != settings["bos"]) | (length == 1)).long()
    return {"input_ids": ids, "attention_mask": attention}, pooled


def pixel_input(settings: Mapping[str, Any], batch: Mapping[str, Tensor]) -> ModelInput:
    """pixel_values float32 [n, 3, H, W], or [n, F, 3, H, W] for videos; every patch counts."""
    pixels = batch["pixels"].float()
    mean, std = (torch.tensor(settings[key], device=pixels.device).view(3, 1, 1) for key in ("mean", "std"))
    return {"pixel_values": (pixels * settings["scale"] - mean) / std}, None


def audio_input(settings: Mapping[str, Any], batch: Mapping[str, Tensor]) -> ModelInput:
    """input_values [n, length, B] for AST, whose patches all count; input_features [n, B, length] for Whisper.

    Of Whisper's states those count that the sound covers: its second convolution halves the frames. The encoder
    itself attends to the silence after it too, as it was trained to.
    """
    mel = batch["features"].float() * settings["step"]
    is_whisper = settings["features"] == "whisper"
    rest = settings["length"] - mel.shape[1]
    if rest:
        # the last of Whisper's stored frames is silence
        filling = mel[:, -1:] if is_whisper else torch.zeros_like(mel[:, -1:])
        mel = torch.cat([mel, filling.expand(-1, rest, -1)], dim=1)
    values = (mel - settings["mean"]) / settings["divisor"]
    if not is_whisper:
        return {"input_values": values}, None
    heard = (batch["length"].long() + 1) // 2
    mask = torch.arange(settings["length"] // 2, device=mel.device) < heard[:, None]
    return {"input_features": values.transpose(1, 2)}, mask.long()
