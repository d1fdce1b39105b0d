"""A world of items with hidden topics and of users who walk through them, drawn from one seed.

An item is a point in six independent factors. Each medium shows two of them and nothing of the others: one that no
other medium shows, one that another shows too. So the media complete each other and none suffices. A user is a state
in the same factors that moves a little at every step; the item chosen is one that agrees with the state, or a popular
one, or chance. Nothing here knows of models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from sanrec.config import Frozen
from sanrec.errors import unknown


@dataclass(frozen=True)
class Factor:
    """One hidden topic: the channels that show it and the values it takes, in the order of the users' walk."""

    channels: tuple[str, ...]
    values: tuple[str, ...]


FACTORS: Mapping[str, Factor] = MappingProxyType({
    "subject": Factor(("title",), ("cooking", "garden", "sea", "music", "city", "sport")),
    "mood": Factor(("title", "cover"), ("angry", "funny", "hopeful", "calm", "sad", "tender")),
    "texture": Factor(("cover",), ("rows", "rising", "columns", "falling", "checks", "rings")),
    "motion": Factor(("video",), ("right", "down", "left", "up", "growing", "shrinking")),
    "pace": Factor(("video", "audio"), ("lazy", "slow", "walking", "brisk", "fast", "frantic")),
    "pitch": Factor(("audio",), ("deep", "low", "middle", "raised", "high", "shrill")),
})  # fmt: skip


def shown(channel: str) -> tuple[str, ...]:
    """The names of the factors that a channel shows. Raises ConfigError for a channel that the world does not have."""
    channels = sorted({name for factor in FACTORS.values() for name in factor.channels})
    if channel not in channels:
        raise unknown("channel", channel, channels, "the demo world")
    return tuple(name for name, factor in FACTORS.items() if channel in factor.channels)


class World(Frozen):
    """All that decides the world and its files. A smaller one, for tests, is made by other numbers."""

    seed: int = Field(0, ge=0)
    """Seed of every draw."""
    items: PositiveInt = 480
    """Items, each with a title, a cover, a video and a sound."""
    users: PositiveInt = 3200
    """Users of the larger data set; the smaller one has the first half of them."""
    short_share: float = Field(0.04, ge=0, le=1)
    """Share of users with 2 to 4 items, whom the protocol's cut drops."""
    longest: int = Field(20, ge=5)
    """Most items of a user; no user meets an item twice."""
    agreement: PositiveFloat = 4.0
    """How strongly users choose by agreement: the log-odds that one factor in common adds to an item."""
    stay: float = Field(0.88, ge=0, le=1)
    """Chance per step and factor that a user's state stays as it is."""
    step: float = Field(0.08, ge=0, le=1)
    """Chance that it goes on to the factor's next value, round in a circle; the rest is a jump to any value."""
    popularity: float = Field(0.3, ge=0)
    """Standard deviation of the items' log-popularity, which no medium shows."""
    chance: float = Field(0.03, ge=0, le=1)
    """Share of choices made blindly, by popularity alone."""
    image_size: PositiveInt = 64
    """Height and width of covers, pixels."""
    frame_size: PositiveInt = 64
    """Height and width of videos, pixels (even: H.264 wants it)."""
    seconds: PositiveInt = 3
    """Length of videos and sounds."""
    frames_per_second: PositiveInt = 8
    """Frames per second of videos."""
    sample_rate: PositiveInt = 16000
    """Samples per second of sounds."""


def generator(world: World, *purpose: int) -> np.random.Generator:
    """A generator for one purpose, independent of those for others: what one draw takes moves no other."""
    return np.random.default_rng([world.seed, *purpose])


def draw_factors(world: World) -> np.ndarray:
    """The hidden factors of all items [items, factor], integers, columns in the order of `FACTORS`.

    Each column is independent of the others and balanced: every value has as many items as any other, give or take one.
    """
    rng = generator(world, 1)
    columns = [rng.permutation(np.arange(world.items) % len(factor.values)) for factor in FACTORS.values()]
    return np.stack(columns, axis=1)


def draw_lengths(world: World) -> np.ndarray:
    """How many items each user meets [users]: 2 to 4 for a few, else 5 and more with a thinning tail."""
    rng = generator(world, 2)
    longest = min(world.longest, world.items)
    usual = np.minimum(5 + rng.negative_binomial(2, 0.3, world.users), longest)
    short = rng.integers(2, 5, world.users)
    return np.minimum(np.where(rng.random(world.users) < world.short_share, short, usual), longest)


def walk(world: World, channels: Sequence[str] | None = None) -> list[np.ndarray]:
    """The items that each user meets, oldest first: one array of item rows (from 0) per user, without repeats.

    Users care for the factors that one of the `channels` shows, by default for all.
    """
    factors, lengths = draw_factors(world), draw_lengths(world)
    rng = generator(world, 3)
    sizes = np.array([len(factor.values) for factor in FACTORS.values()])
    cared_for = [f for f, one in enumerate(FACTORS.values()) if channels is None or set(one.channels) & set(channels)]
    popularity = rng.normal(0, world.popularity, world.items)
    state = rng.integers(sizes, size=(world.users, len(sizes)))
    met = np.zeros((world.users, world.items), bool)
    chosen = np.zeros((world.users, lengths.max()), np.int64)
    for position in range(chosen.shape[1]):
        agreeing = sum(state[:, [f]] == factors[:, f] for f in cared_for)
        liked = np.where(rng.random((world.users, 1)) < world.chance, 0, world.agreement * agreeing)
        # adding Gumbel noise and taking the largest draws from the softmax
        score = liked + popularity + rng.gumbel(size=met.shape)
        chosen[:, position] = np.where(met, -np.inf, score).argmax(axis=1)
        met[np.arange(world.users), chosen[:, position]] = True
        move = rng.random(state.shape)
        jump = rng.integers(sizes, size=state.shape)
        state = np.where(move < world.stay, state, np.where(move < world.stay + world.step, (state + 1) % sizes, jump))
    return [row[:length] for row, length in zip(chosen, lengths, strict=True)]
