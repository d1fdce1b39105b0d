"""The demo's backbones: small members of the real classes, trained briefly on media drawn apart from the items.

Random narrow networks say too little through one token per layer; so each is trained, as the public checkpoints were
on ImageNet or AudioSet, to name what its medium shows: two factors, read off the pooled last state. The examples are
drawn in memory from other seeds than the items' and never stored. What is saved is what the hub would hold:
config.json, model.safetensors, and a tokenizer or a preprocessor_config.json.

Shapes: n examples, D width, V values of a factor.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sanrec.demo.draw import draw_cover, draw_frames, draw_sound, draw_title
from sanrec.demo.words import vocabulary
from sanrec.demo.world import FACTORS, World, generator, shown
from sanrec.errors import unknown
from sanrec.files import write_json

if TYPE_CHECKING:
    import torch
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
    "initializer_range": 0.1,  # the usual 0.02 is for widths ten times as large: narrow, it would leave all states alike
}
TOKENS, IMAGE, FRAME, FRAMES, TUBE, MEL, MEL_FRAMES, PATCH = 16, 32, 32, 16, 4, 32, 288, 32
HALF = [0.5, 0.5, 0.5]
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
TRAINING = 20  # the purpose of the generators of training examples, apart from all that `world` and `media` draw
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Recipe:
    """How a backbone is made: from which channel, how its inputs are drawn, and how long it is trained."""

    channel: str
    build: Callable[[Path], "PreTrainedModel"]
    """Makes the untrained model, and writes its tokenizer or preprocessor into the folder."""
    read: Callable[[Path, np.random.Generator, Mapping[str, str]], Arrays]
    """Draws one example as the model's inputs, prepared as extraction prepares them."""
    pooling: str
    steps: int
    batch_size: int = 32
    examples: int = 1500
    learning_rate: float = 1e-3


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
    accuracy = train(model, recipe, folder, steps)
    model.save_pretrained(folder)
    write_json(folder / "training.json", {"task": "naming factors", "steps": steps, "accuracy": accuracy})


def train(model: "PreTrainedModel", recipe: Recipe, folder: Path, steps: int) -> dict[str, float]:
    """Train on drawn examples; the accuracy per factor on examples held out."""
    import torch

    from sanrec.backbones.pooling import pool_final
    from sanrec.progress import bar

    names = shown(recipe.channel)
    inputs, labels = draw_examples(recipe, folder, recipe.examples)
    held = recipe.examples // 10
    heads = torch.nn.ModuleList(torch.nn.Linear(WIDTH, len(FACTORS[name].values)) for name in names)
    optimizer = torch.optim.AdamW([*model.parameters(), *heads.parameters()], recipe.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, max(steps, 2), pct_start=0.15)
    order = np.random.default_rng(0)

    def scores(rows: np.ndarray) -> "list[torch.Tensor]":
        batch = {key: torch.from_numpy(values[rows]) for key, values in inputs.items()}
        final = pool_final(model(**batch).last_hidden_state, batch.get("attention_mask"), recipe.pooling)
        return [head(final) for head in heads]

    model.train()
    for _ in bar(range(steps), unit="step", desc="training on drawn examples"):
        rows = order.integers(held, recipe.examples, recipe.batch_size)
        answers = torch.from_numpy(labels[rows])
        loss = sum(torch.nn.functional.cross_entropy(s, answers[:, k]) for k, s in enumerate(scores(rows)))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.inference_mode():
        said = [s.argmax(-1).numpy() for s in scores(np.arange(held))]
    accuracy = {name: float((said[k] == labels[:held, k]).mean()) for k, name in enumerate(names)}
    log.info("%s: named on examples held out: %s", folder.name, accuracy)
    return accuracy


def draw_examples(recipe: Recipe, folder: Path, count: int) -> tuple[Arrays, np.ndarray]:
    """Inputs [n, ...] and labels [n, factor] of examples drawn apart from the items."""
    names = shown(recipe.channel)
    rng = generator(World(), TRAINING, sum(map(ord, recipe.channel)))
    labels = np.stack([rng.integers(len(FACTORS[name].values), size=count) for name in names], axis=1)
    made = [
        recipe.read(folder, rng, {name: FACTORS[name].values[v] for name, v in zip(names, row, strict=True)})
        for row in labels
    ]
    return {key: np.stack([one[key] for one in made]) for key in made[0]}, labels


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


def read_title(folder: Path, rng: np.random.Generator, values: Mapping[str, str]) -> Arrays:
    """A title as token ids, padded to TOKENS."""
    tokenizer = _tokenizer(folder)
    done = tokenizer(draw_title(rng, **values), truncation=True, max_length=TOKENS, padding="max_length")
    return {key: np.array(done[key], np.int64) for key in ("input_ids", "attention_mask")}


_TOKENIZERS: dict[Path, Any] = {}


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    if folder not in _TOKENIZERS:
        _TOKENIZERS[folder] = AutoTokenizer.from_pretrained(folder)
    return _TOKENIZERS[folder]


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


def read_cover(folder: Path, rng: np.random.Generator, values: Mapping[str, str]) -> Arrays:
    """A cover as pixel_values [3, IMAGE, IMAGE]."""
    small = _shrink(draw_cover(rng, world=World(), **values), IMAGE)
    return {"pixel_values": _normal(small.transpose(2, 0, 1))}


def build_videomae(folder: Path) -> "PreTrainedModel":
    """VideoMAEModel on 16 frames of 32 x 32, tubes of 2 frames and 16 x 16 pixels."""
    from transformers import VideoMAEConfig, VideoMAEModel

    settings = _pixel_settings("VideoMAEImageProcessor", {"shortest_edge": FRAME})
    settings |= {"do_center_crop": True, "crop_size": {"height": FRAME, "width": FRAME}}
    write_json(folder / "preprocessor_config.json", settings)
    config = VideoMAEConfig(image_size=FRAME, patch_size=16, num_frames=FRAMES, tubelet_size=TUBE, **SHAPE)
    return VideoMAEModel(config)


def read_video(folder: Path, rng: np.random.Generator, values: Mapping[str, str]) -> Arrays:
    """A video as pixel_values [16, 3, 32, 32]: 16 of the frames that a file would hold, shrunk as from the file."""
    world = World()
    count = world.seconds * world.frames_per_second
    times = np.linspace(0, count - 1, FRAMES).round() / world.frames_per_second
    frames = draw_frames(rng, world=world, times=times, **values)
    return {"pixel_values": _normal(np.stack([_shrink(frame, FRAME) for frame in frames]).transpose(0, 3, 1, 2))}


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


def read_sound(folder: Path, rng: np.random.Generator, values: Mapping[str, str]) -> Arrays:
    """A sound as input_values [304, 32]: log-mel features, filled up with zeros, normalised."""
    from sanrec.media.audio import kaldi_log_mel

    world = World()
    features = kaldi_log_mel(draw_sound(rng, world=world, **values), world.sample_rate, MEL)[:MEL_FRAMES]
    padded = np.zeros((MEL_FRAMES, MEL), np.float32)
    padded[: len(features)] = features
    return {"input_values": (padded - MEAN) / (2 * STD)}


RECIPES: dict[str, Recipe] = {
    "bert": Recipe("title", build_bert, read_title, "first", steps=180, batch_size=64),
    "vit": Recipe("cover", build_vit, read_cover, "first", steps=120),
    "videomae": Recipe("video", build_videomae, read_video, "mean", steps=220, examples=1800, learning_rate=1.5e-3),
    "ast": Recipe("audio", build_ast, read_sound, "first", steps=400, examples=2500, learning_rate=1.5e-3),
}
