"""The grammar of captions in the demo's world: one sentence tells the two factors that a cover or a video shows.

Each value has a word of its own, which no other sentence uses, so that a caption can be held against the truth.
"""

from collections.abc import Mapping

from sanrec.demo.world import FACTORS, shown

SENTENCES = {
    "cover": "a {mood} cover with {texture}",
    "video": "a bright shape {motion} at a {pace} pace",
}
WORDS: dict[str, tuple[str, ...]] = {  # in the order of the factor's values
    "mood": ("red", "yellow", "green", "turquoise", "blue", "purple"),  # the hues of covers
    "texture": ("level stripes", "rising stripes", "upright stripes", "falling stripes", "checks", "rings"),
    "motion": ("moves right", "moves down", "moves left", "moves up", "grows", "shrinks"),
    "pace": FACTORS["pace"].values,
}


def write_caption(medium: str, values: Mapping[str, str]) -> str:
    """The sentence about a cover or video with these factors."""
    told = {name: WORDS[name][FACTORS[name].values.index(values[name])] for name in shown(medium)}
    return SENTENCES[medium].format(**told)


def read_caption(medium: str, caption: str | None) -> dict[str, str | None]:
    """The factors that a caption tells of; None for one that it does not tell, or tells in two ways."""
    words = f" {caption or ''} "
    said = {name: [v for v, w in zip(FACTORS[name].values, WORDS[name], strict=True) if f" {w} " in words]
            for name in shown(medium)}  # fmt: skip
    return {name: values[0] if len(values) == 1 else None for name, values in said.items()}


def caption_words() -> list[str]:
    """All words of the grammar, without repeats, in alphabetical order."""
    texts = [sentence.format(mood="", texture="", motion="", pace="") for sentence in SENTENCES.values()]
    phrases = [phrase for words in WORDS.values() for phrase in words]
    return sorted({word for text in (*texts, *phrases) for word in text.split()})
