"""The world's factors, walks and what each medium may know of them."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from sanrec.demo import world as worlds
from sanrec.demo.draw import draw
from sanrec.demo.media import CHANNELS, factor_values
from sanrec.demo.words import NOUNS, TONES, vocabulary, write_title
from sanrec.demo.world import FACTORS, World, draw_factors, draw_lengths, generator, shown, walk
from sanrec.errors import ConfigError

SMALL = World(items=50, users=120)


def test_the_default_world_is_large_enough():
    world = World()
    assert world.items >= 400
    assert (draw_lengths(world) >= 5).sum() >= 3000


def test_one_seed_makes_one_world():
    again, other = walk(SMALL), walk(SMALL.model_copy(update={"seed": 1}))
    assert all(np.array_equal(a, b) for a, b in zip(walk(SMALL), again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(again, other, strict=True))
    assert not np.array_equal(draw_factors(SMALL), draw_factors(SMALL.model_copy(update={"seed": 1})))


def test_walks_have_the_lengths_of_the_protocol_and_no_repeats():
    lengths = [len(w) for w in walk(World(items=60, users=600))]
    assert min(lengths) < 5  # for the cut to drop
    assert max(lengths) > 13  # for the cut to shorten
    assert max(lengths) <= World().longest
    for items in walk(SMALL):
        assert len(set(items)) == len(items)
        assert 0 <= min(items) <= max(items) < SMALL.items


def test_no_walk_is_longer_than_the_world():
    assert max(map(len, walk(World(items=7, users=40)))) <= 7


def test_factors_are_balanced_and_independent():
    factors = draw_factors(World())
    for column, factor in zip(factors.T, FACTORS.values(), strict=True):
        counts = np.bincount(column, minlength=len(factor.values))
        assert counts.max() - counts.min() <= 1
    alike = [np.corrcoef(factors[:, a], factors[:, b])[0, 1] for a in range(6) for b in range(a)]
    assert np.abs(alike).max() < 0.15


def test_users_stay_near_their_topics():
    """Neighbours in a walk share each factor far more often than two items at random, which share it once in six."""
    world = World(users=400)
    factors = draw_factors(world)
    pairs = np.concatenate([np.stack([items[:-1], items[1:]], 1) for items in walk(world)])
    shared = (factors[pairs[:, 0]] == factors[pairs[:, 1]]).mean(axis=0)
    assert (shared > 2 / 6).all()


def test_each_factor_alone_moves_the_walk(monkeypatch):
    """No factor is idle: with one taken from the world the same users walk otherwise."""
    whole = walk(SMALL)
    for name in FACTORS:
        fewer = MappingProxyType({k: (replace(f, values=f.values[:1]) if k == name else f) for k, f in FACTORS.items()})
        monkeypatch.setattr(worlds, "FACTORS", fewer)
        assert any(not np.array_equal(a, b) for a, b in zip(whole, walk(SMALL), strict=True)), name


def test_users_of_a_still_world_care_for_what_titles_and_covers_show():
    world = World(items=300, users=400, stay=1, step=0)
    factors = draw_factors(world)
    steps = [factors[row[:-1]] == factors[row[1:]] for row in walk(world, ("title", "cover"))]
    agreement = dict(zip(FACTORS, np.concatenate(steps).mean(0), strict=True))
    for name, factor in FACTORS.items():
        if {"title", "cover"} & set(factor.channels):
            assert agreement[name] > 0.4, name
        else:
            assert agreement[name] < 0.25, name  # chance is one in six
    everything = walk(world, ("title", "cover", "video", "audio"))
    assert all(map(np.array_equal, everything, walk(world)))


def test_every_factor_is_shown_and_no_channel_shows_all():
    assert {name for channel in CHANNELS for name in shown(channel)} == set(FACTORS)
    for channel in CHANNELS:
        assert len(shown(channel)) == 2
        others = {name for other in CHANNELS if other != channel for name in shown(other)}
        assert set(shown(channel)) - others, f"{channel} shows nothing of its own"


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_medium_shows_its_factors_and_no_others(channel):
    base = factor_values(draw_factors(SMALL)[0])

    def made(values):
        return draw(channel, values, generator(SMALL, 99), SMALL)

    for name, factor in FACTORS.items():
        for value in set(factor.values) - {base[name]}:
            same = np.array_equal(made(base), made({**base, name: value}))
            assert same == (name not in shown(channel)), f"{channel}: {name} {base[name]} -> {value}"


def test_media_have_the_sizes_of_the_world():
    world = World(image_size=40, frame_size=48, seconds=2, frames_per_second=5, sample_rate=8000)
    values = factor_values(draw_factors(world)[3])
    cover, video, sound = (draw(c, values, generator(world, 1), world) for c in ("cover", "video", "audio"))
    assert (cover.shape, cover.dtype) == ((40, 40, 3), np.uint8)
    assert (video.shape, video.dtype) == ((10, 48, 48, 3), np.uint8)
    assert (sound.shape, sound.dtype) == ((16000,), np.float32)
    assert 0.05 < np.abs(sound).max() <= 1


def test_titles_are_words_of_the_grammar_and_tell_both_factors():
    words = set(vocabulary())
    rng = np.random.default_rng(0)
    for subject in NOUNS:
        for mood in TONES:
            said = set(write_title(rng, subject, mood).lower().replace(":", " :").replace(",", " ,").split())
            assert said <= words
            assert said & set(NOUNS[subject])
            assert said & set(TONES[mood])


def test_no_word_means_two_things():
    spoken = [word for table in (NOUNS, TONES) for words in table.values() for word in words]
    assert len(set(spoken)) == len(spoken)
    assert set(NOUNS) == set(FACTORS["subject"].values)
    assert set(TONES) == set(FACTORS["mood"].values)


def test_an_unknown_channel_gets_the_nearest_one():
    with pytest.raises(ConfigError, match="did you mean 'cover'"):
        shown("covers")
