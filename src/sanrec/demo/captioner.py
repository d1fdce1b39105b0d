"""Trains the demo's captioner on covers and videos drawn apart from the items, in two lessons.

First its vision tower learns to see: to name hue and pattern of a cover, and to measure where the figure of a video's
frame is and how large, all read off the picture's token by linear layers that are thrown away. Then, the tower frozen,
projector and language model learn to write the sentences of `sentences`, by the usual loss on the next word.

Direction and pace are no matter of one frame, and three frames are far apart: a fast figure has crossed the picture
twice between two of them. They follow from the ways between the frames, and from how these differ; the language model
has to work that out. It finds it soon where it is also made to recall, in its middle and by a layer that is thrown
away, what the tower measured in each frame; without that it was still guessing after all its steps.

Shapes: n pictures or items, F frames, H and W the model's height and width of a picture.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sanrec.captions.prompts import load_prompt
from sanrec.captions.registry import CAPTIONERS
from sanrec.demo.draw import draw_cover, frame_times, move_figure, paint_frames
from sanrec.demo.llava import IMAGE, build_llava
from sanrec.demo.sentences import read_caption, write_caption
from sanrec.demo.world import FACTORS, World, generator, shown
from sanrec.errors import unknown
from sanrec.files import write_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import LlavaNextForConditionalGeneration, LlavaNextProcessor

PURPOSE = 30  # of the generators of training pictures, apart from all that `world`, `media` and `naming` draw
MEDIA = ("cover", "video")
RECALLS = 2  # the block of the language model whose states are made to recall measures
WAVES = (1, 2, 4)  # how finely the tower learns to measure: sine and cosine of so many half turns over the whole way

MEASURES = 3 * (1 + 2 * len(WAVES))

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
        accuracy |= count_right(medium, said, pictures.values(lessons.held))
    log.info("%s: told rightly of pictures held out: %s", name, accuracy)
    model.save_pretrained(folder)
    write_json(folder / "training.json", {"task": "telling factors", "accuracy": accuracy})


# -- pictures ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pictures:
    """Drawn covers or videos with the truth about them."""

    medium: str
    pixels: np.ndarray
    """[n, F, H, W, 3], uint8."""
    labels: np.ndarray
    """The places of the values of the factors that the medium shows [n, 2]."""
    places: np.ndarray
    """Where each frame's figure is: x, y and radius [n, F, 3]; of covers nothing [n, F, 0]."""

    def values(self, count: int | None = None) -> list[dict[str, str]]:
        """The factors of the first `count` of them by name."""
        names = shown(self.medium)
        return [{k: FACTORS[k].values[v] for k, v in zip(names, row, strict=True)} for row in self.labels[:count]]


def _draw(medium: str, count: int) -> tuple[np.random.Generator, Pictures]:
    rng = generator(World(), PURPOSE, MEDIA.index(medium))
    labels = np.stack([rng.integers(len(FACTORS[name].values), size=count) for name in shown(medium)], axis=1)
    return rng, Pictures(medium, np.zeros(0), labels, np.zeros(0))


def draw_covers(count: int) -> Pictures:
    """Covers as the model sees them, F = 1."""
    rng, plan = _draw("cover", count)
    made = [shrink(draw_cover(rng, world=World(), **values))[None] for values in plan.values()]
    return Pictures("cover", np.stack(made), plan.labels, np.zeros((count, 1, 0), np.float32))


def draw_videos(count: int, frames: int = 3) -> Pictures:
    """Videos as the model sees them: the frames that captioning takes of a file."""
    from sanrec.media.video import moments

    rng, plan = _draw("video", count)
    times = frame_times(World())
    times = times[moments(len(times), frames)]
    places = [move_figure(rng, times=times, **values) for values in plan.values()]
    made = [np.stack([shrink(frame) for frame in paint_frames(rng, place, World())]) for place in places]
    return Pictures("video", np.stack(made), plan.labels, np.stack(places))


def shrink(pixels: np.ndarray) -> np.ndarray:
    """A picture [height, width, 3], uint8, as large as the model sees it [H, W, 3]."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((IMAGE, IMAGE), Image.Resampling.BILINEAR))


def normal(pixels: np.ndarray) -> "Tensor":
    """Pixels [..., H, W, 3], uint8, as the tower takes them [..., 3, H, W], float32 from -1 to 1."""
    import torch

    return torch.from_numpy(pixels).movedim(-1, -3).float() / 127.5 - 1


# -- first lesson ------------------------------------------------------------------------------------------------------


def learn_to_see(
    model: "LlavaNextForConditionalGeneration", covers: Pictures, videos: Pictures, lessons: Lessons
) -> None:
    """Train the vision tower on single pictures: to name what covers show, and to measure figures in frames."""
    import torch
    from torch.nn.functional import cross_entropy, mse_loss

    tower = model.model.vision_tower
    width = tower.config.hidden_size
    names, measures = torch.nn.Linear(width, 12), torch.nn.Linear(width, MEASURES)
    parameters = [*tower.parameters(), *names.parameters(), *measures.parameters()]
    frames, places = videos.pixels.reshape(-1, *videos.pixels.shape[2:]), videos.places.reshape(-1, 3)
    rng, size = np.random.default_rng(0), lessons.batch_size
    first = lessons.held * videos.pixels.shape[1]
    for step in optimize(parameters, lessons.seeing, lessons.seeing_rate, "learning to see"):
        some, others = rng.integers(lessons.held, len(covers.pixels), size), rng.integers(first, len(frames), size)
        pictures = normal(np.concatenate([covers.pixels[some, 0], frames[others]]))
        tokens = tower(pictures, output_hidden_states=True).hidden_states[-1][:, 1]  # behind the class token
        said, answers = names(tokens[:size]), torch.from_numpy(covers.labels[some])
        naming = cross_entropy(said[:, :6], answers[:, 0]) + cross_entropy(said[:, 6:], answers[:, 1])
        measuring = mse_loss(measures(tokens[size:]), torch.from_numpy(waves(places[others])))
        step(naming + 10 * measuring)


def waves(places: np.ndarray) -> np.ndarray:
    """Places [..., 3], each number scaled to -1 to 1, with their sines and cosines [..., MEASURES]."""
    scaled = (places - [0, 0, 0.65]) / [1.3, 1.3, 0.55]  # of all that `move_figure` gives
    turns = [turn(np.pi * wave * scaled) for wave in WAVES for turn in (np.sin, np.cos)]
    return np.concatenate([scaled, *turns], axis=-1).astype(np.float32)


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
    frames = drawn["video"].pixels.shape[1]
    recalls = torch.nn.Linear(model.config.text_config.hidden_size, frames * MEASURES)
    parameters = [parameter for parameter in (*model.parameters(), *recalls.parameters()) if parameter.requires_grad]
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
        recalling = torch.zeros(())
        if medium == "video":
            measured = torch.from_numpy(waves(pictures.places[rows])).flatten(1)
            recalling = mse_loss(recalls(out.hidden_states[RECALLS][:, start - 1]), measured)
        step(out.loss + 10 * recalling)
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
    captions = [write_caption(pictures.medium, values) + tokenizer.eos_token for values in pictures.values()]
    told = tokenizer(captions, padding=True, padding_side="right", return_tensors="np")["input_ids"]
    return np.concatenate([np.broadcast_to(asked, (len(told), len(asked))), told], axis=1), len(asked)


def model_pictures(pixels: np.ndarray) -> "dict[str, Tensor]":
    """Pictures [n, F, H, W, 3] as the model takes them: each twice, as its own thumbnail and only tile."""
    import torch

    pictures = normal(pixels.reshape(-1, *pixels.shape[2:]))
    sizes = torch.full((len(pictures), 2), World().image_size)
    return {"pixel_values": pictures[:, None].expand(-1, 2, -1, -1, -1), "image_sizes": sizes}


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


def count_right(medium: str, said: Sequence[str | None], values: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """The share of captions that tell each factor of a medium as it is."""
    told = [read_caption(medium, caption) for caption in said]
    return {
        name: float(np.mean([one[name] == truth[name] for one, truth in zip(told, values, strict=True)]))
        for name in shown(medium)
    }
