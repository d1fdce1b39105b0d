"""The demo's text encoders: how each is built, with its tokenizer, and how it is given titles to learn from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sanrec.demo.draw import DETAILS, draw_title
from sanrec.demo.naming import POOLED, Arrays, Reader
from sanrec.demo.sentences import caption_words, write_caption
from sanrec.demo.words import vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

TOKENS = 16  # more than the longest title
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
DECODER_SPECIAL = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}  # none to pad with, as in Llama's


def encoder_shape(width: int, blocks: int, initial: float = 0.1) -> dict[str, Any]:
    """The sizes of a small encoder, by the names that BERT, ViT, VideoMAE and AST share.

    `initial` is the spread of its weights before training. The usual 0.02, made for ten times the width, would leave
    all narrow states alike; a deep one learns nothing from 0.1.
    """
    return {
        "hidden_size": width,
        "num_hidden_layers": blocks,
        "num_attention_heads": 4,
        "intermediate_size": 2 * width,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": initial,
    }


def _tokenizer(words: list[str], unknown: str) -> "Tokenizer":
    """One token per word of the grammar."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def build_bert(
    folder: Path,
    width: int,
    blocks: int,
    grammar: Callable[[], list[str]] = vocabulary,
    tokens: int = TOKENS,
    initial: float = 0.1,
) -> "PreTrainedModel":
    """BertModel over the words of a grammar, by default the titles', and with places for so many tokens."""
    from tokenizers import processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = [*SPECIAL.values(), *grammar()]
    tokenizer = _tokenizer(words, SPECIAL["unk_token"])
    ends = [(SPECIAL[key], words.index(SPECIAL[key])) for key in ("cls_token", "sep_token")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=tokens, **SPECIAL).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words),
        max_position_embeddings=tokens,
        type_vocab_size=1,
        pad_token_id=0,
        **encoder_shape(width, blocks, initial),
    )
    return BertModel(config, add_pooling_layer=False)


def build_caption_bert(folder: Path, width: int, blocks: int) -> "PreTrainedModel":
    """BertModel over the words of captions, with places for as many tokens as captions may have."""
    from sanrec.backbones.readers import CAPTION_TOKENS

    return build_bert(folder, width, blocks, caption_words, CAPTION_TOKENS)


def build_llama(folder: Path, width: int, blocks: int, initial: float = 0.1) -> "PreTrainedModel":
    """LlamaModel over the words of the titles' grammar: a decoder, whose tokenizer puts BOS before a title."""
    from tokenizers import processors
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    words = [*DECODER_SPECIAL.values(), *vocabulary()]
    tokenizer = _tokenizer(words, DECODER_SPECIAL["unk_token"])
    start = DECODER_SPECIAL["bos_token"]
    begin = [(start, words.index(start))]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{start} $A", special_tokens=begin)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=TOKENS, padding_side="left", **DECODER_SPECIAL
    ).save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=width,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=TOKENS,
        bos_token_id=words.index(start),
        eos_token_id=words.index(DECODER_SPECIAL["eos_token"]),
        initializer_range=initial,
    )
    return LlamaModel(config)


def title_reader(folder: Path, tokens: int = TOKENS) -> Reader:
    """Titles as token ids and mask, padded on the right to so many; of a decoder's, all but BOS are pooled."""
    return _text_reader(folder, draw_title, tokens)


def caption_reader(folder: Path) -> Reader:
    """Captions in the same way: of a cover, or of a video, as the factors are; their details are chance."""

    def write(rng: np.random.Generator, **values: str) -> str:
        medium = "cover" if "mood" in values else "video"
        return write_caption(medium, values | {name: str(rng.choice(known)) for name, known in DETAILS[medium].items()})

    return _text_reader(folder, write)


def _text_reader(folder: Path, write: Callable[..., str], tokens: int = TOKENS) -> Reader:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)

    def read(rng: np.random.Generator, values: Mapping[str, str]) -> Arrays:
        ids = tokenizer(write(rng, **values), truncation=True, max_length=tokens)["input_ids"]
        row = np.full(tokens, tokenizer.pad_token_id or 0, np.int64)
        row[: len(ids)] = ids
        mask = (np.arange(tokens) < len(ids)).astype(np.int64)
        if tokenizer.bos_token_id is None:
            return {"input_ids": row, "attention_mask": mask}
        return {"input_ids": row, "attention_mask": mask, POOLED: mask * (row != tokenizer.bos_token_id)}

    return read
