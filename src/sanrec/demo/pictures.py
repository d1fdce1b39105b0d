"""Draws the covers and videos that the demo's captioner learns from, apart from the items, as the model sees them.

Shapes: n covers or videos, F frames, H and W the model's height and width of a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sanrec.demo.draw import draw_known_cover, frame_times, move_figure, paint_frames
from sanrec.demo.llava import IMAGE
from sanrec.demo.sentences import TELLS
from sanrec.demo.world import FACTORS, World, generator, shown

if TYPE_CHECKING:
    from torch import Tensor

PURPOSE = 30  # of the generators of training pictures, apart from all that `world`, `media` and `naming` draw
MEDIA = ("cover", "video")


@dataclass(frozen=True)
class Pictures:
    """Drawn covers or videos with the truth about them."""

    medium: str
    pixels: np.ndarray
    """[n, F, H, W, 3], uint8."""
    truth: list[dict[str, str]]
    """What captions are to tell of each of the n: two factors and two details."""
    places: np.ndarray
    """Where each frame's figure is: x, y and radius [n, F, 3]; of covers nothing [n, 1, 0]."""

    def labels(self, names: Sequence[str]) -> np.ndarray:
        """The places of the values of some of these among all such values [n, names], integers."""
        known = TELLS[self.medium]
        return np.array([[known[name].index(values[name]) for name in names] for values in self.truth])


def _plan(medium: str, count: int) -> tuple[np.random.Generator, list[dict[str, str]]]:
    rng = generator(World(), PURPOSE, MEDIA.index(medium))
    names = shown(medium)
    rows = zip(*(rng.integers(len(FACTORS[name].values), size=count) for name in names), strict=True)
    return rng, [{k: FACTORS[k].values[v] for k, v in zip(names, row, strict=True)} for row in rows]


def draw_covers(count: int) -> Pictures:
    """Covers as the model sees them, F = 1."""
    rng, planned = _plan("cover", count)
    made = [draw_known_cover(rng, world=World(), **values) for values in planned]
    truth = [values | details for values, (_, details) in zip(planned, made, strict=True)]
    pixels = np.stack([shrink(cover)[None] for cover, _ in made])
    return Pictures("cover", pixels, truth, np.zeros((count, 1, 0), np.float32))


def draw_videos(count: int, frames: int = 3) -> Pictures:
    """Videos as the model sees them: the frames that captioning takes of a file."""
    from sanrec.media.video import moments

    rng, planned = _plan("video", count)
    times = frame_times(World())
    times = times[moments(len(times), frames)]
    places = [move_figure(rng, times=times, **values) for values in planned]
    made = [paint_frames(rng, place, World()) for place in places]
    truth = [values | details for values, (_, details) in zip(planned, made, strict=True)]
    pixels = np.stack([[shrink(frame) for frame in video] for video, _ in made])
    return Pictures("video", pixels, truth, np.stack(places))


def shrink(pixels: np.ndarray) -> np.ndarray:
    """A picture [height, width, 3], uint8, as large as the model sees it [H, W, 3]."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((IMAGE, IMAGE), Image.Resampling.BILINEAR))


def normal(pixels: np.ndarray) -> "Tensor":
    """Pixels [..., H, W, 3], uint8, as the tower takes them [..., 3, H, W], float32 from -1 to 1."""
    import torch

    return torch.from_numpy(pixels).movedim(-1, -3).float() / 127.5 - 1


def model_pictures(pixels: np.ndarray) -> "dict[str, Tensor]":
    """Pictures [n, F, H, W, 3] as the whole model takes them: each twice, as its own thumbnail and only tile."""
    import torch

    pictures = normal(pixels.reshape(-1, *pixels.shape[2:]))
    sizes = torch.full((len(pictures), 2), World().image_size)
    return {"pixel_values": pictures[:, None].expand(-1, 2, -1, -1, -1), "image_sizes": sizes}
