"""LLaVA-NeXT (Liu et al., 2024) through transformers: pictures and a prompt in, captions out.

n items, each with the same number of pictures: one for a cover, some frames for a video. A picture is cut into tiles,
beside a thumbnail of it, so the tokens it takes depend on its shape; shorter prompts are padded on the left, where
generation does not see it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sanrec.backbones.checkpoints import Checkpoint, open_checkpoint
from sanrec.backbones.placing import placement
from sanrec.captions.pictures import cover_picture, video_pictures
from sanrec.captions.prompts import Prompt
from sanrec.config import Captioner
from sanrec.errors import ConfigError, DataError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from transformers import LlavaNextForConditionalGeneration, LlavaNextProcessor

MODEL_TYPE = "llava_next"


class Llava:
    """A LLaVA-NeXT with its prompt, ready to describe covers or videos.

    Raises ConfigError or DataError for a checkpoint that is none, is not whole, or does not show the model as many
    pictures as it should.
    """

    def __init__(
        self, manifest: str | Path, record: Captioner, medium: str, prompt: Prompt, device: "torch.device"
    ) -> None:
        checkpoint = open_checkpoint(manifest)
        self.record, self.medium = record, medium
        self.pictures = record.frames if medium == "video" else 1
        self.model = load_model(checkpoint, record, device)
        self.processor = load_processor(checkpoint, self.model)
        if medium == "video" and record.video_grid:
            grid = [list(size) for size in record.video_grid]
            self.model.config.image_grid_pinpoints = self.processor.image_processor.image_grid_pinpoints = grid
        content = [*[{"type": "image"}] * self.pictures, {"type": "text", "text": prompt.text}]
        self.text = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        if (shown := self.text.count(self.processor.image_token)) != self.pictures:
            raise DataError(
                f"{checkpoint.folder}: its chat template shows the model {shown} pictures, not {self.pictures}; take "
                f"another revision of the checkpoint, and leave {self.processor.image_token} out of the prompt"
            )
        bos = self.processor.tokenizer.bos_token
        # a template that begins with the token which the tokenizer adds by itself would give it twice
        self.adds_special_tokens = not (bos and self.text.startswith(bos))

    @property
    def read(self) -> Callable[[str], "list[Image]"]:
        """The function from a cover's or video's file to the pictures that the model is shown of it."""
        if self.medium == "video":
            return partial(video_pictures, count=self.pictures)
        # larger than any tile pattern it need not be decoded
        return partial(cover_picture, longest=max(max(size) for size in self.model.config.image_grid_pinpoints))

    def describe(self, pictures: "Sequence[Sequence[Image]]", seed: int) -> list[tuple[str, int]]:
        """The captions of n items, each with the number of its tokens, special ones not counted.

        `seed` decides the draws where the temperature is above 0. Raises ValueError where pictures, prompt and caption
        are more tokens than the model has places for.
        """
        import torch

        inputs = self.processor(
            images=[picture for one in pictures for picture in one],
            text=[self.text] * len(pictures),
            padding=True,
            add_special_tokens=self.adds_special_tokens,
            return_tensors="pt",
        ).to(self.model.device, self.model.dtype)
        asked, places = inputs["input_ids"].shape[1], self.model.config.text_config.max_position_embeddings
        if asked + self.record.max_new_tokens > places:
            raise ValueError(
                f"pictures and prompt take {asked} tokens and the caption up to {self.record.max_new_tokens}, but the "
                f"model has {places} places"
            )
        drawing: dict[str, Any] = {"do_sample": False}
        if self.record.temperature:
            torch.manual_seed(seed)
            drawing = {"do_sample": True, "temperature": self.record.temperature, "top_k": 0}
        with torch.inference_mode():
            out = self.model.generate(**inputs, max_new_tokens=self.record.max_new_tokens, num_beams=1, **drawing)
        answers, tokenizer = out[:, asked:], self.processor.tokenizer
        special = torch.tensor(tokenizer.all_special_ids, device=answers.device)
        counts = torch.isin(answers, special, invert=True).sum(1).tolist()
        texts = tokenizer.batch_decode(answers, skip_special_tokens=True)
        return [(" ".join(text.split()), count) for text, count in zip(texts, counts, strict=True)]


def load_model(
    checkpoint: Checkpoint, record: Captioner, device: "torch.device"
) -> "LlavaNextForConditionalGeneration":
    """The model, ready to write, where `record` wants it. Raises ConfigError or DataError for another or half one."""
    import torch
    import transformers

    if checkpoint.model_type != MODEL_TYPE:
        raise ConfigError(
            f"{checkpoint.folder}: captioners are LLaVA-NeXT (model_type '{MODEL_TYPE}'), not '{checkpoint.model_type}'"
        )
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    half = record.dtype != "float32"
    placed = placement(str(checkpoint.folder), checkpoint.quantization, device, half, record.device_map)
    model, report = transformers.LlavaNextForConditionalGeneration.from_pretrained(
        checkpoint.folder,
        local_files_only=True,
        use_safetensors=True,
        dtype=getattr(torch, record.dtype),
        output_loading_info=True,
        **({} if placed is None else {"device_map": placed}),
    )
    if unset := sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]])):
        raise DataError(
            f"{checkpoint.folder}: its weights leave {len(unset)} parameters unset, the first is '{unset[0]}': "
            "the files do not belong together, or the download is incomplete"
        )
    return model.eval() if placed is not None else model.eval().to(device)


def load_processor(checkpoint: Checkpoint, model: "LlavaNextForConditionalGeneration") -> "LlavaNextProcessor":
    """The tokenizer and picture cutter of a checkpoint, padding on the left. Raises DataError where they are not whole.

    Processors saved before transformers 4.47 do not say how large the model's patches are: its config does.
    """
    import transformers

    try:
        processor = transformers.LlavaNextProcessor.from_pretrained(checkpoint.folder, local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"{checkpoint.folder}: no tokenizer and picture processor can be read: {error}") from error
    if not processor.chat_template:
        raise DataError(
            f"{checkpoint.folder}: no chat template (chat_template.json or .jinja), so it is not known how the model "
            "wants to be asked; take a revision that has one"
        )
    if processor.patch_size is None:
        processor.patch_size = model.config.vision_config.patch_size
        processor.vision_feature_select_strategy = model.config.vision_feature_select_strategy
        # `default` leaves the vision tower's class token out, which is then counted here first
        processor.num_additional_image_tokens = int(model.config.vision_feature_select_strategy == "default")
    processor.tokenizer.padding_side = "left"
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return processor
