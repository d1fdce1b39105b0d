"""The demo's backbones: small members of the real classes, trained briefly on media drawn apart from the items.

Random narrow networks say too little through one token per layer; so each is trained, as the public checkpoints were
on ImageNet or AudioSet, to name what its medium shows: two factors, read off the pooled last state. The examples are
drawn in memory from other seeds than the items' and never stored. What is saved is what the hub would hold:
config.json, model.safetensors, and a tokenizer or a preprocessor_config.json.
"""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sanrec.demo.draw import draw_cover, draw_frames, draw_sound, frame_times
from sanrec.demo.naming import Arrays, Reader, Recipe, train
from sanrec.demo.text import (
    build_bert,
    build_caption_bert,
    build_llama,
    caption_reader,
    encoder_shape,
    title_reader,
)
from sanrec.demo.words import longest_title
from sanrec.demo.world import World
from sanrec.errors import unknown
from sanrec.files import write_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

WIDTH, BLOCKS = 64, 12
SHAPE = encoder_shape(WIDTH, BLOCKS)
IMAGE = 32  # height and width of the model's images; with patches of 16, four of them
FRAMES, FRAME, TUBE = 16, 32, 4  # frames, their height and width, and how many one token spans
MEL, MEL_FRAMES, PATCH = 32, 288, 32  # mel bands, spectrogram frames (10 ms each), and the side of a patch
HALF = [0.5, 0.5, 0.5]


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


short_titles = partial(title_reader, tokens=longest_title() + 2)  # padded no further than need be: they are dearer
RECIPES: dict[str, Recipe] = {
    "bert": Recipe("title", partial(build_bert, width=WIDTH, blocks=BLOCKS), title_reader, "first", 180, 64),
    "bert-deep": Recipe(
        "title", partial(build_bert, width=96, blocks=24, initial=0.05), short_titles, "first", 160, 32
    ),
    "llama": Recipe(
        "title", partial(build_llama, width=128, blocks=16), short_titles, "mean", 110, 64, learning_rate=2e-3
    ),
    "bert-captions": Recipe(
        "cover-caption+video-caption",
        partial(build_caption_bert, width=WIDTH, blocks=BLOCKS),
        caption_reader,
        "first",
        steps=150,
        batch_size=64,
    ),
    "vit": Recipe("cover", build_vit, cover_reader, "first", steps=120),
    "videomae": Recipe("video", build_videomae, video_reader, "mean", steps=220, examples=1800, learning_rate=1.5e-3),
    "ast": Recipe("audio", build_ast, sound_reader, "first", steps=500, examples=2000, learning_rate=1.5e-3),
}
