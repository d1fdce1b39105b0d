"""A captioner for tests of what goes on around captions, made in a moment: the demo's takes minutes to train."""

from pathlib import Path

import torch

from sanrec.demo.llava import SPECIAL, build_llava


def save_captioner(folder: Path) -> None:
    """Write a LLaVA-NeXT of random weights, large enough that pictures tell apart by what it says of them."""
    torch.manual_seed(0)
    llava, _ = build_llava(folder, patch=16)
    with torch.no_grad():
        llava.model.multi_modal_projector.linear_1.weight.mul_(30)
        llava.model.multi_modal_projector.linear_2.weight.mul_(30)
        llava.lm_head.weight.mul_(5)
        llava.lm_head.weight[: len(SPECIAL) + 1] = 0  # so that it says words
    llava.save_pretrained(folder)
