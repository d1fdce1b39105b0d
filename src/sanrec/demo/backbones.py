"""The demo's backbones: small members of the real classes, trained briefly on media drawn apart from the items.

Random narrow networks say too little through one token per layer; so each is trained, as the public checkpoints were
on ImageNet or AudioSet, to name what its medium shows: two factors, read off the pooled last state. The examples are
drawn in memory from other seeds than the items' and never stored. What is saved is what the hub would hold:
config.json, model.safetensors, and a tokenizer or a preprocessor_config.json.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sanrec.demo.draw import draw_cover, draw_frames, draw_sound, draw_title, frame_times
from sanrec.demo.naming import Arrays, Reader, Recipe, train
from sanrec.demo.words import vocabulary
from sanrec.demo.world import World
from sanrec.errors import unknown
from sanrec.files import write_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

WIDTH, BLOCKS, HEADS = 64, 12, 4
SHAPE = {
    "hidden_size": WIDTH,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": HEADS,
    "intermediate_size": 2 * WIDTH,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.1,  # the usual 0.02, made for ten times the width, would leave all narrow states alike
}
TOKENS = 16  # more than the longest title
IMAGE = 32  # height and width of the model's images; with patches of 16, four of them
FRAMES, FRAME, TUBE = 16, 32, 4  # frames, their height and width, and how many one token spans
MEL, MEL_FRAMES, PATCH = 32, 288, 32  # mel bands, spectrogram frames (10 ms each), and the side of a patch
HALF = [0.5, 0.5, 0.5]
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def make_backbone(name: str, folder: Path, steps: int | None = None) -> None:
    """Train a backbone and save it below `folder`, in Hugging Face format, with a training.json that says how well.

    Same bytes from the same number of threads on the same processor. `steps` trains shorter, for tests. Raises
    ConfigError for an unknown name.
    """
    import torch

    if name not in RECIPES:
        raise unknown("demo backbone", name, RECIPES)
    recipe, folder = RECIPES[name], Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(sum(map(ord, name)))
    model = recipe.build(folder)
    steps = recipe.steps if steps is None else steps
    accuracy = train(model, recipe, recipe.reader(folder), steps)
    log.info("%s: named on examples held out: %s", name, accuracy)
    model.save_pretrained(folder)
    write_json(folder / "training.json", {"task": "naming factors", "steps": steps, "accuracy": accuracy})


# -- text --------------------------------------------------------------------------------------------------------------


def build_bert(folder: Path) -> "PreTrainedModel":
    """BertModel over the words of the titles' grammar."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = [*SPECIAL.values(), *vocabulary()]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token=SPECIAL["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(SPECIAL[key], words.index(SPECIAL[key])) for key in ("cls_token", "sep_token")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=TOKENS, **SPECIAL).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words), max_position_embeddings=TOKENS, type_vocab_size=1, pad_token_id=0, **SHAPE
    )
    return BertModel(config, add_pooling_layer=False)


def title_reader(folder: Path) -> Reader:
    """Titles as token ids and mask, padded to TOKENS."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)

    def read(rng: np.random.Generator, values: Mapping[str, str]) -> Arrays:
        done = tokenizer(draw_title(rng, **values), truncation=True, max_length=TOKENS, padding="max_length")
        return {key: np.array(done[key], np.int64) for key in ("input_ids", "attention_mask")}

    return read


# -- pixels ------------------------------------------------------------------------------------------------------------


def _pixel_settings(kind: str, size: dict[str, int]) -> dict[str, Any]:
    scaled = {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
    return {"image_processor_type": kind, "size": size, "resample": 2, "image_mean": HALF, "image_std": HALF, **scaled}


def _normal(pixels: np.ndarray) -> np.ndarray:
    return ((pixels.astype(np.float32) / 255 - 0.5) / 0.5).astype(np.float32)


def _shrink(pixels: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))


def build_vit(folder: Path) -> "PreTrainedModel":
    """ViTModel on covers shrunk to IMAGE x IMAGE, patches of 16."""
    from transformers import ViTConfig, ViTModel

    write_json(
        folder / "preprocessor_config.json", _pixel_settings("ViTImageProcessor", {"height": IMAGE, "width": IMAGE})
    )
    return ViTModel(ViTConfig(image_size=IMAGE, patch_size=16, **SHAPE), add_pooling_layer=False)


def cover_reader(folder: Path) -> Reader:
    """Covers as pixel_values [3, IMAGE, IMAGE]."""

    def read(rng: np.random.Generator, values: Mapping[str, str]) -> Arrays:
        small = _shrink(draw_cover(rng, world=World(), **values), IMAGE)
        return {"pixel_values": _normal(small.transpose(2, 0, 1))}

    return read


def build_videomae(folder: Path) -> "PreTrainedModel":
    """VideoMAEModel on 16 frames of 32 x 32, tubes of 2 frames and 16 x 16 pixels."""
    from transformers import VideoMAEConfig, VideoMAEModel

    settings = _pixel_settings("VideoMAEImageProcessor", {"shortest_edge": FRAME})
    settings |= {"do_center_crop": True, "crop_size": {"height": FRAME, "width": FRAME}}
    write_json(folder / "preprocessor_config.json", settings)
    config = VideoMAEConfig(image_size=FRAME, patch_size=16, num_frames=FRAMES, tubelet_size=TUBE, **SHAPE)
    return VideoMAEModel(config)


def video_reader(folder: Path) -> Reader:
    """Videos as pixel_values [FRAMES, 3, FRAME, FRAME]: those of a file's frames that extraction takes."""
    world = World()
    times = frame_times(world)
    times = times[np.linspace(0, len(times) - 1, FRAMES).round().astype(int)]

    def read(rng: np.random.Generator, values: Mapping[str, str]) -> Arrays:
        frames = draw_frames(rng, world=world, times=times, **values)
        return {"pixel_values": _normal(np.stack([_shrink(frame, FRAME) for frame in frames]).transpose(0, 3, 1, 2))}

    return read


# -- sound -------------------------------------------------------------------------------------------------------------

MEAN, STD = -9.0, 4.0  # of the log-mel features, as a checkpoint's preprocessor_config.json states its own


def build_ast(folder: Path) -> "PreTrainedModel":
    """ASTModel on three seconds in 32 mel bands, patches of PATCH x PATCH side by side."""
    from transformers import ASTConfig, ASTModel

    settings = {
        "feature_extractor_type": "ASTFeatureExtractor",
        "sampling_rate": World().sample_rate,
        "num_mel_bins": MEL,
        "max_length": MEL_FRAMES,
        "do_normalize": True,
        "mean": MEAN,
        "std": STD,
    }
    write_json(folder / "preprocessor_config.json", settings)
    strides = {"patch_size": PATCH, "frequency_stride": PATCH, "time_stride": PATCH}
    return ASTModel(ASTConfig(num_mel_bins=MEL, max_length=MEL_FRAMES, **strides, **SHAPE))


def sound_reader(folder: Path) -> Reader:
    """Sounds as input_values [MEL_FRAMES, MEL]: log-mel features, filled up with zeros, normalised."""
    from sanrec.media.audio import kaldi_log_mel

    world = World()

    def read(rng: np.random.Generator, values: Mapping[str, str]) -> Arrays:
        features = kaldi_log_mel(draw_sound(rng, world=world, **values), world.sample_rate, MEL)[:MEL_FRAMES]
        padded = np.zeros((MEL_FRAMES, MEL), np.float32)
        padded[: len(features)] = features
        return {"input_values": (padded - MEAN) / (2 * STD)}

    return read


RECIPES: dict[str, Recipe] = {
    "bert": Recipe("title", build_bert, title_reader, "first", steps=180, batch_size=64),
    "vit": Recipe("cover", build_vit, cover_reader, "first", steps=120),
    "videomae": Recipe("video", build_videomae, video_reader, "mean", steps=220, examples=1800, learning_rate=1.5e-3),
    "ast": Recipe("audio", build_ast, sound_reader, "first", steps=500, examples=2000, learning_rate=1.5e-3),
}
