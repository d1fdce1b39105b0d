"""The demo's LLaVA-NeXT: a true `LlavaNextForConditionalGeneration` that is small enough to be trained in minutes.

Pictures are shrunk to IMAGE x IMAGE, which is one patch and the only tile, so a picture takes three tokens: for its
thumbnail, for its tile, and for the end of the tile's row.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sanrec.captions.prompts import load_prompt
from sanrec.captions.registry import CAPTIONERS
from sanrec.demo.sentences import caption_words

if TYPE_CHECKING:
    from transformers import LlavaNextForConditionalGeneration, LlavaNextProcessor

IMAGE = 32  # height and width
SHAPE = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 256}
SPECIAL = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
PICTURE = "<image>"
# pictures first, as LLaVA's own templates have it, then what is asked
CHAT = (
    "{% for message in messages %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endfor %}"
)


def build_llava(folder: Path, patch: int = IMAGE) -> "tuple[LlavaNextForConditionalGeneration, LlavaNextProcessor]":
    """The untrained model, and its processor, which is written into the folder; `patch` is a patch's side."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaNextConfig, LlavaNextForConditionalGeneration

    processor = build_processor(patch)
    processor.save_pretrained(folder)
    tokenizer = processor.tokenizer
    sees = CLIPVisionConfig(image_size=IMAGE, patch_size=patch, initializer_range=0.1, **SHAPE)
    writes = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=128,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.06,
        **SHAPE,
    )
    config = LlavaNextConfig(
        vision_config=sees.to_dict(),
        text_config=writes.to_dict(),
        image_token_index=processor.image_token_id,
        image_grid_pinpoints=[[IMAGE, IMAGE]],
        vision_feature_layer=-1,
    )
    return LlavaNextForConditionalGeneration(config), processor


def build_processor(patch: int) -> "LlavaNextProcessor":
    """One token per word of prompts and captions, and pictures cut as the model wants them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
    from transformers.models.llava_next.processing_llava_next import LlavaNextProcessor

    asked = [load_prompt(name).text for name in CAPTIONERS["llava"].prompts.values()]
    asked_words = {word for text in asked for word in text.lower().replace(".", " .").split()}
    words = [*SPECIAL.values(), PICTURE, *sorted({*asked_words, *caption_words()})]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=SPECIAL["unk_token"]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return LlavaNextProcessor(
        LlavaNextImageProcessorPil(
            size={"shortest_edge": IMAGE},
            crop_size={"height": IMAGE, "width": IMAGE},
            resample=2,
            image_grid_pinpoints=[[IMAGE, IMAGE]],
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
        ),
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, additional_special_tokens=[PICTURE], padding_side="left", **SPECIAL
        ),
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the class token of the vision tower, which `default` leaves out again
        chat_template=CHAT,
    )
