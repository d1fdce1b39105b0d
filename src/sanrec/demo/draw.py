"""Draws one item's media in memory.

Each function is given the two factors that its medium shows, and a generator for all that means nothing: it cannot
show the other factors, because it is not told them.

Picture coordinates run from -1 to 1, x to the right, y downwards. Colours are 0 to 1 until the end.
"""

import colorsys
from collections.abc import Mapping

import numpy as np

from sanrec.demo.words import write_title
from sanrec.demo.world import FACTORS, World, shown

SIDES = (("upper left", "upper right"), ("lower left", "lower right"))
COLOURS = ("red", "green", "blue")
DETAILS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "cover": {"mark": ("disc", "box"), "corner": SIDES[0] + SIDES[1]},
    "video": {"colour": COLOURS, "figure": ("disc", "box")},
}
"""What can be said of a cover or a video beside its factors, and is chance."""


def place(factor: str, value: str) -> int:
    """The place of a value among its factor's values, from 0."""
    return FACTORS[factor].values.index(value)


def draw_title(rng: np.random.Generator, subject: str, mood: str) -> str:
    """A title (see `words`)."""
    return write_title(rng, subject, mood)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of pixel centres, x [1, size] and y [size, 1]."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    return line[None, :], line[:, None]


def _bytes(picture: np.ndarray) -> np.ndarray:
    """Colours 0 to 1 as uint8."""
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def draw_cover(rng: np.random.Generator, mood: str, texture: str, world: World) -> np.ndarray:
    """A cover [size, size, 3], uint8: the mood is its hue, the texture its pattern.

    Chance: where the pattern starts, how dense and how strong it is, saturation and light, a grey disc or box
    somewhere on it, grain.
    """
    return draw_known_cover(rng, mood, texture, world)[0]


def draw_known_cover(
    rng: np.random.Generator, mood: str, texture: str, world: World
) -> tuple[np.ndarray, dict[str, str]]:
    """The same cover, and what its details are (`DETAILS`): disc or box, and in which corner of the picture."""
    x, y = _grid(world.image_size)
    density, phase = rng.uniform(3.2, 4.2), rng.uniform(0, 2 * np.pi, 2)
    across = {
        "rows": y + 0 * x,
        "columns": x + 0 * y,
        "rising": (x + y) / np.sqrt(2),
        "falling": (x - y) / np.sqrt(2),
        "rings": np.hypot(x - rng.uniform(-0.3, 0.3), y - rng.uniform(-0.3, 0.3)),
    }
    if texture == "checks":
        wave = np.sin(np.pi * density * x + phase[0]) * np.sin(np.pi * density * y + phase[1])
    else:
        wave = np.sin(np.pi * density * across[texture] + phase[0])
    light = rng.uniform(0.5, 0.65) + rng.uniform(0.25, 0.35) * np.tanh(3 * wave)
    hue = (place("mood", mood) + rng.uniform(-0.2, 0.2)) / len(FACTORS["mood"].values)
    colour = np.array(colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.55, 0.9), 1), np.float32)
    picture = light[..., None] * colour
    cx, cy, radius = rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6), rng.uniform(0.15, 0.3)
    disc = rng.random() < 0.5
    distance = np.hypot(x - cx, y - cy) if disc else np.maximum(abs(x - cx), abs(y - cy))
    picture = np.where((distance < radius)[..., None], np.float32(rng.uniform(0, 1)), picture)
    details = {"mark": "disc" if disc else "box", "corner": SIDES[int(cy > 0)][int(cx > 0)]}
    return _bytes(picture + np.float32(0.03) * rng.standard_normal(picture.shape, np.float32)), details


def draw_frames(rng: np.random.Generator, motion: str, pace: str, world: World, times: np.ndarray) -> np.ndarray:
    """The frames of a video at `times` (seconds) [frame, size, size, 3], uint8.

    A disc or box crosses the picture, or grows or shrinks in its middle, again and again; the pace says how often.
    Chance: colours of figure and ground, its size and shape, where it starts, how far off the middle it moves, grain.
    """
    return paint_frames(rng, move_figure(rng, motion, pace, times), world)[0]


def move_figure(rng: np.random.Generator, motion: str, pace: str, times: np.ndarray) -> np.ndarray:
    """Where a video's figure is at `times` (seconds), and how large: x, y and radius [frame, 3], float32."""
    # crossings in three seconds; the fastest still moves less than a third of its way between two of 16 frames
    rounds = 0.6 * 1.55 ** place("pace", pace) * rng.uniform(0.93, 1.07)
    way = (rng.uniform(0, 1) + rounds * times / 3) % 1  # how far along, 0 to 1
    travel, aside, radius = 2.6 * way - 1.3, rng.uniform(-0.35, 0.35), rng.uniform(0.3, 0.42)
    still, same = np.full_like(way, aside), radius + 0 * way
    places = {
        "right": (travel, still, same),
        "left": (-travel, still, same),
        "down": (still, travel, same),
        "up": (still, -travel, same),
        "growing": (still, still, 0.1 + 1.1 * way),
        "shrinking": (still, still, 1.2 - 1.1 * way),
    }[motion]
    return np.stack(places, axis=1).astype(np.float32)


def paint_frames(rng: np.random.Generator, places: np.ndarray, world: World) -> tuple[np.ndarray, dict[str, str]]:
    """The frames of a video whose figure is at `places` [frame, 3]: [frame, size, size, 3], uint8; and its details.

    They are disc or box, and which of the three primary colours is the strongest in the figure's.
    """
    size = world.frame_size
    x, y = _grid(size)
    centre_x, centre_y, radii = (one[:, None, None] for one in places.T)
    dx, dy = abs(x - centre_x), abs(y - centre_y)
    disc = rng.random() < 0.5
    distance = np.hypot(dx, dy) if disc else np.maximum(dx, dy)
    inside = np.clip((radii - distance) * np.float32(size / 2) + np.float32(0.5), 0, 1)[..., None]
    ground, figure = rng.uniform(0, 0.35, 3).astype(np.float32), rng.uniform(0.65, 1, 3).astype(np.float32)
    picture = ground + inside * (figure - ground)
    details = {"colour": COLOURS[figure.argmax()], "figure": "disc" if disc else "box"}
    return _bytes(picture + np.float32(0.02) * rng.standard_normal(picture.shape, np.float32)), details


def draw_sound(rng: np.random.Generator, pace: str, pitch: str, world: World) -> np.ndarray:
    """A sound [samples], float32 within -1 and 1: notes of one pitch, struck more often the higher the pace.

    Chance: tuning, overtones, how long notes ring, loudness of note and stroke, when the first comes, hiss.
    """
    time = np.arange(world.seconds * world.sample_rate, dtype=np.float32) / world.sample_rate
    frequency = 130 * 1.75 ** (place("pitch", pitch) + rng.uniform(-0.2, 0.2))
    strokes = 0.8 * 1.6 ** (place("pace", pace) + rng.uniform(-0.15, 0.15))  # per second
    since = (time * strokes + rng.uniform(0, 1)) % 1 / strokes  # seconds since the last stroke
    ring = rng.uniform(0.3, 0.5) / strokes
    envelope = np.minimum(since / 0.01, 1) * np.exp(-since / ring)
    tone = np.zeros_like(time)
    for overtone, strength in enumerate((1, rng.uniform(0.1, 0.5), rng.uniform(0, 0.3)), 1):
        tone += strength * np.sin(2 * np.pi * overtone * frequency * time + np.float32(rng.uniform(0, 6.3)))
    sound = rng.uniform(0.25, 0.5) * envelope * tone
    noise = rng.standard_normal(time.shape, np.float32)
    click = rng.uniform(0.1, 0.2) * np.exp(-since / 0.012)  # the stroke itself, heard in all bands
    return np.clip(sound + noise * (click + rng.uniform(0.002, 0.008)), -1, 1).astype(np.float32)


def frame_times(world: World) -> np.ndarray:
    """When each frame of a video is shown [frame], seconds."""
    return np.arange(world.seconds * world.frames_per_second) / world.frames_per_second


def draw(channel: str, values: Mapping[str, str], rng: np.random.Generator, world: World) -> str | np.ndarray:
    """What an item with these factors brings in one channel: a title, or an array as the functions above give it.

    Only the factors that the channel shows are handed on. Raises ConfigError for an unknown channel.
    """
    told = {name: values[name] for name in shown(channel)}
    match channel:
        case "title":
            return draw_title(rng, **told)
        case "cover":
            return draw_cover(rng, world=world, **told)
        case "video":
            return draw_frames(rng, world=world, times=frame_times(world), **told)
        case _:
            return draw_sound(rng, world=world, **told)
