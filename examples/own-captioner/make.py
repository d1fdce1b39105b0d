"""Save a LLaVA-NeXT with random weights as the hub would hold it. It has learnt nothing, so it writes nonsense."""

from pathlib import Path

import torch
from transformers import logging

from sanrec.demo.llava import SPECIAL, build_llava

FOLDER = Path(__file__).parent / "checkpoints/parrot"


def main() -> None:
    """Write model, tokenizer, image processor and chat template into checkpoints/parrot."""
    logging.disable_progress_bar()
    torch.manual_seed(5)
    model, _ = build_llava(FOLDER, patch=16)  # the processor is written
    with torch.no_grad():  # so that it says words, and neither nothing nor <image>
        model.lm_head.weight[: len(SPECIAL) + 1] = 0
    model.save_pretrained(FOLDER)


if __name__ == "__main__":
    main()
