"""The arithmetic of training and scoring."""

from collections.abc import Iterable

import torch

from sanrec.config import Settings


def in_half(settings: Settings, device: torch.device) -> bool:
    """Whether the forward pass is in bfloat16: where asked for, or by default on a GPU that computes in it itself."""
    if settings.precision != "auto" or device.type != "cuda":
        return settings.precision == "bfloat16"
    return torch.cuda.is_bf16_supported(including_emulation=False)


def autocast(settings: Settings, device: torch.device) -> torch.autocast:
    """The context of the forward pass."""
    return torch.autocast(device.type, torch.bfloat16, enabled=in_half(settings, device))


def kept_type(stored: Iterable[torch.dtype], settings: Settings, device: torch.device) -> torch.dtype:
    """What hidden states are kept in beside the model: bfloat16 where towers compute in it, else as they are stored.

    The towers would round them to bfloat16 first thing at every step; rounded once, they are the same. Of stores of
    several types the widest is taken.
    """
    if in_half(settings, device):
        return torch.bfloat16
    return torch.float32 if torch.float32 in stored else torch.float16
