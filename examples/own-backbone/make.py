"""Save a DistilBERT with random weights as the hub would hold it: any checkpoint of one's own looks like this."""

from pathlib import Path

import torch
from transformers import BertTokenizer, DistilBertConfig, DistilBertModel, logging

HERE = Path(__file__).parent
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def main() -> None:
    """Write config.json, model.safetensors and the tokenizer's files into checkpoints/tiny."""
    logging.disable_progress_bar()
    titles = (HERE.parent / "own-data/data/items.tsv").read_text().lower().split()
    words = [*SPECIAL, *sorted(set(titles))]
    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=len(words), dim=16, n_layers=3, n_heads=2, hidden_dim=32, max_position_embeddings=40,
        initializer_range=0.3,
    )  # fmt: skip
    DistilBertModel(config).save_pretrained(HERE / "checkpoints/tiny")
    BertTokenizer(vocab={word: n for n, word in enumerate(words)}).save_pretrained(HERE / "checkpoints/tiny")


if __name__ == "__main__":
    main()
