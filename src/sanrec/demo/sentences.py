"""The grammar of captions in the demo's world: one sentence tells all of a cover or a video that has a name.

That is the two factors which it shows, and two details that are chance, as `draw` knows them: without these, items of
the same two values could not be told apart by their captions. In a sentence each value has words of its own, so that a
caption can be held against the truth.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from sanrec.demo.draw import DETAILS
from sanrec.demo.world import FACTORS, shown

SENTENCES = {
    "cover": "a {mood} cover with {texture} and a {mark} at the {corner}",
    "video": "a {colour} {figure} {motion} at a {pace} pace",
}
TELLS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    medium: {name: FACTORS[name].values for name in shown(medium)} | dict(DETAILS[medium]) for medium in SENTENCES
}
"""What a medium's captions tell: two factors, then two details, with their values."""
WORDS: Mapping[str, tuple[str, ...]] = {  # in the order of the values; others are their own words
    "mood": ("red", "yellow", "green", "turquoise", "blue", "purple"),  # the hues of covers
    "texture": ("level stripes", "rising stripes", "upright stripes", "falling stripes", "checks", "rings"),
    "motion": ("moves right", "moves down", "moves left", "moves up", "grows", "shrinks"),
    "colour": ("reddish", "greenish", "bluish"),
}


def words_of(medium: str, name: str) -> tuple[str, ...]:
    """The words for the values of what a medium's captions tell, in their order."""
    return WORDS.get(name, TELLS[medium][name])


def write_caption(medium: str, values: Mapping[str, str]) -> str:
    """The sentence about a cover or video with these factors and details."""
    told = {name: words_of(medium, name)[known.index(values[name])] for name, known in TELLS[medium].items()}
    return SENTENCES[medium].format(**told)


def read_caption(medium: str, caption: str | None) -> dict[str, str | None]:
    """What a caption tells, by name; None for what it does not tell, or tells in two ways."""
    words = f" {caption or ''} "
    said = {name: [v for v, w in zip(known, words_of(medium, name), strict=True) if f" {w} " in words]
            for name, known in TELLS[medium].items()}  # fmt: skip
    return {name: values[0] if len(values) == 1 else None for name, values in said.items()}


def count_right(medium: str, said: Sequence[str | None], truth: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """The share of captions that tell each factor and detail of a medium as it is."""
    told = [read_caption(medium, caption) for caption in said]
    return {
        name: float(np.mean([one[name] == true[name] for one, true in zip(told, truth, strict=True)]))
        for name in TELLS[medium]
    }


def caption_words() -> list[str]:
    """All words of the grammar, without repeats, in alphabetical order."""
    texts = [text.format(**dict.fromkeys(TELLS[medium], "")) for medium, text in SENTENCES.items()]
    phrases = [phrase for medium, told in TELLS.items() for name in told for phrase in words_of(medium, name)]
    return sorted({word for text in (*texts, *phrases) for word in text.split()})
