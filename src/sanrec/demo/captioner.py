"""Trains the demo's captioner on covers and videos drawn apart from the items, in two lessons.

First its vision tower learns to see: to name what is on a cover, to name shape and colour of the figure in a video's
frame, and to measure where it is and how large, all read off the picture's token by linear layers that are thrown away.
Then, the tower frozen, projector and language model learn to write the sentences of `sentences`, by the usual loss on
the next word.

Direction and pace are no matter of one frame, and three frames are far apart: a fast figure has crossed the picture
twice between two of them. They follow from the ways between the frames, and from how these differ; the language model
has to work that out. It finds it where it is also made to recall, by linear layers that are thrown away, in its second
block what the tower measured in each frame, and in its third how the figure got from each frame to the next. Without
that it was still guessing after all its steps; with the first alone it was right in two videos of three.

Shapes: n covers or videos, F frames, H and W the model's height and width of a picture.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sanrec.captions.prompts import load_prompt
from sanrec.captions.registry import CAPTIONERS
from sanrec.demo.draw import DETAILS
from sanrec.demo.llava import build_llava
from sanrec.demo.pictures import Pictures, draw_covers, draw_videos, model_pictures, normal
from sanrec.demo.sentences import TELLS, count_right, write_caption
from sanrec.demo.world import World
from sanrec.errors import unknown
from sanrec.files import write_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import LlavaNextForConditionalGeneration, LlavaNextProcessor

WAVES = (1, 2, 4)  # how finely the tower learns to measure: sine and cosine of so many half turns over the whole way
WAY_WAVES = (1, 2)  # and how finely the language model recalls the ways between frames
MEASURES = 3 * (1 + 2 * len(WAVES))
WAYS = 3 * 2 * len(WAY_WAVES)
PLACES_BLOCK, WAYS_BLOCK = 2, 3  # the blocks of the language model whose states are made to recall them
WEIGHT = 10  # of every such measure, beside a loss of words

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lessons:
    """How long, and on how many pictures, the captioner is trained."""

    covers: int = 4000
    videos: int = 12000
    held: int = 300
    """Of each medium so many are held out: what is said of them is counted."""
    seeing: int = 1000
    telling: int = 800
    batch_size: int = 48
    seeing_rate: float = 2e-3
    telling_rate: float = 2e-3


def make_captioner(name: str, folder: Path, lessons: Lessons | None = None) -> None:
    """Train the captioner and save it below `folder`, in Hugging Face format, with a training.json: how well it tells.

    Same bytes from the same number of threads on the same processor. Raises ConfigError for an unknown name.
    """
    import torch

    if name != "llava":
        raise unknown("demo captioner", name, ["llava"])
    lessons, folder = lessons or Lessons(), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(sum(map(ord, name)))
    model, processor = build_llava(folder)
    covers, videos = draw_covers(lessons.covers), draw_videos(lessons.videos)
    learn_to_see(model, covers, videos, lessons)
    drawn = {"cover": covers, "video": videos}
    learn_to_tell(model, processor, drawn, lessons)
    accuracy = {}
    for medium, pictures in drawn.items():
        said = tell(model, processor, medium, pictures.pixels[: lessons.held])
        accuracy |= count_right(medium, said, pictures.truth[: lessons.held])
    log.info("%s: told rightly of pictures held out: %s", name, accuracy)
    model.save_pretrained(folder)
    write_json(folder / "training.json", {"task": "telling factors", "accuracy": accuracy})


# -- first lesson ------------------------------------------------------------------------------------------------------


def learn_to_see(
    model: "LlavaNextForConditionalGeneration", covers: Pictures, videos: Pictures, lessons: Lessons
) -> None:
    """Train the vision tower on single pictures: to name what there is, and to measure figures in frames."""
    import torch
    from torch.nn.functional import cross_entropy, mse_loss

    tower = model.model.vision_tower
    width = tower.config.hidden_size
    seen = TELLS["cover"], DETAILS["video"]  # what a single cover shows, and a single frame
    kinds = [[len(values) for values in names.values()] for names in seen]
    layers = torch.nn.ModuleList(torch.nn.Linear(width, size) for size in (*map(sum, kinds), MEASURES))
    parameters = [*tower.parameters(), *layers.parameters()]
    labels = [torch.from_numpy(drawn.labels(list(names))) for drawn, names in zip((covers, videos), seen, strict=True)]
    frames, places = videos.pixels.reshape(-1, *videos.pixels.shape[2:]), videos.places.reshape(-1, 3)
    rng, size = np.random.default_rng(0), lessons.batch_size
    each = videos.pixels.shape[1]
    for step in optimize(parameters, lessons.seeing, lessons.seeing_rate, "learning to see"):
        some = rng.integers(lessons.held, len(covers.pixels), size)
        others = rng.integers(lessons.held * each, len(frames), size)
        pictures = normal(np.concatenate([covers.pixels[some, 0], frames[others]]))
        tokens = tower(pictures, output_hidden_states=True).hidden_states[-1][:, 1]  # behind the class token
        said = layers[0](tokens[:size]).split(kinds[0], 1), layers[1](tokens[size:]).split(kinds[1], 1)
        right = labels[0][some], labels[1][others // each]
        naming = sum(cross_entropy(one, right[i][:, k]) for i in (0, 1) for k, one in enumerate(said[i]))
        measuring = mse_loss(layers[2](tokens[size:]), torch.from_numpy(waves(places[others])))
        step(naming + WEIGHT * measuring)


def waves(places: np.ndarray) -> np.ndarray:
    """Places [..., 3], each number scaled to -1 to 1, with their sines and cosines [..., MEASURES]."""
    scaled = _scale(places)
    return np.concatenate([scaled, _turns(scaled, WAVES)], axis=-1).astype(np.float32)


def ways(places: np.ndarray) -> np.ndarray:
    """Of places [n, F, 3] the ways from each frame to the next, as sines and cosines [n, F - 1, WAYS].

    As a figure that leaves the picture comes in again on the other side, only the angle of its way is known.
    """
    return _turns(np.diff(_scale(places), axis=1), WAY_WAVES).astype(np.float32)


def _scale(places: np.ndarray) -> np.ndarray:
    return (places - [0, 0, 0.65]) / [1.3, 1.3, 0.55]  # over all that `move_figure` gives


def _turns(scaled: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    return np.concatenate([turn(np.pi * count * scaled) for count in counts for turn in (np.sin, np.cos)], axis=-1)


def optimize(parameters: "list[torch.nn.Parameter]", steps: int, rate: float, what: str) -> "Iterator[Any]":
    """Give `steps` times a function that takes a loss and does one step of AdamW down from it."""
    import torch

    from sanrec.progress import bar

    optimizer = torch.optim.AdamW(parameters, rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, max(steps, 2), pct_start=0.15)

    def step(loss: "Tensor") -> None:
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()

    for _ in bar(range(steps), unit="step", desc=what):
        yield step


# -- second lesson -----------------------------------------------------------------------------------------------------


def learn_to_tell(
    model: "LlavaNextForConditionalGeneration",
    processor: "LlavaNextProcessor",
    drawn: dict[str, Pictures],
    lessons: Lessons,
) -> None:
    """Train projector and language model to write captions, of videos in seven steps of eight."""
    import torch
    from torch.nn.functional import mse_loss

    model.train()
    model.model.vision_tower.requires_grad_(False).eval()
    frames, width = drawn["video"].pixels.shape[1], model.config.text_config.hidden_size
    recalls = {
        PLACES_BLOCK: (torch.nn.Linear(width, frames * MEASURES), waves),
        WAYS_BLOCK: (torch.nn.Linear(width, (frames - 1) * WAYS), ways),
    }
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    parameters += [parameter for layer, _ in recalls.values() for parameter in layer.parameters()]
    texts = {medium: encode_captions(processor, pictures) for medium, pictures in drawn.items()}
    rng = np.random.default_rng(1)
    for count, step in enumerate(optimize(parameters, lessons.telling, lessons.telling_rate, "learning to tell")):
        medium = "cover" if count % 8 == 7 else "video"
        pictures, (ids, start) = drawn[medium], texts[medium]
        rows = rng.integers(lessons.held, len(ids), lessons.batch_size)
        batch = {"input_ids": torch.from_numpy(ids[rows]), **model_pictures(pictures.pixels[rows])}
        labels = batch["input_ids"].clone()
        labels[:, :start] = -100
        labels[labels == processor.tokenizer.pad_token_id] = -100
        out = model(**batch, labels=labels, output_hidden_states=True)
        loss = out.loss
        if medium == "video":
            for block, (layer, measure) in recalls.items():
                measured = torch.from_numpy(measure(pictures.places[rows])).flatten(1)
                loss = loss + WEIGHT * mse_loss(layer(out.hidden_states[block][:, start - 1]), measured)
        step(loss)
    model.model.vision_tower.requires_grad_(True)
    model.eval()


def ask(processor: "LlavaNextProcessor", medium: str, frames: int) -> np.ndarray:
    """The tokens of the question about a picture or several [S], as captioning puts it."""
    from PIL import Image

    prompt = load_prompt(CAPTIONERS["llava"].prompts[medium]).text
    content = [*[{"type": "image"}] * frames, {"type": "text", "text": prompt}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    blank = Image.new("RGB", (World().image_size,) * 2)
    return processor(images=[blank] * frames, text=[text], return_tensors="np")["input_ids"][0]


def encode_captions(processor: "LlavaNextProcessor", pictures: Pictures) -> tuple[np.ndarray, int]:
    """Question and caption of each cover or video as tokens, padded on the right [n, S], and where captions begin."""
    asked, tokenizer = ask(processor, pictures.medium, pictures.pixels.shape[1]), processor.tokenizer
    captions = [write_caption(pictures.medium, values) + tokenizer.eos_token for values in pictures.truth]
    told = tokenizer(captions, padding=True, padding_side="right", return_tensors="np")["input_ids"]
    return np.concatenate([np.broadcast_to(asked, (len(told), len(asked))), told], axis=1), len(asked)


def tell(
    model: "LlavaNextForConditionalGeneration", processor: "LlavaNextProcessor", medium: str, pixels: np.ndarray
) -> list[str]:
    """What the model says of covers or videos [n, F, H, W, 3]."""
    import torch

    asked = torch.from_numpy(ask(processor, medium, pixels.shape[1]))
    said: list[str] = []
    for start in range(0, len(pixels), 100):
        some = pixels[start : start + 100]
        batch = {"input_ids": asked.expand(len(some), -1), **model_pictures(some)}
        out = model.generate(**batch, attention_mask=torch.ones_like(batch["input_ids"]), max_new_tokens=24)
        said += processor.tokenizer.batch_decode(out[:, len(asked) :], skip_special_tokens=True)
    return said
