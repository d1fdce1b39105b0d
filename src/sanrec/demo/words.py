"""The grammar of the demo's titles: short English phrases that tell a subject and a mood.

A few patterns, and for each value of a factor several words that only it uses: an encoder has to learn which words
mean the same. Filling words say nothing.
"""

import numpy as np

NOUNS = {
    "cooking": ("soup", "noodles", "pancakes", "kitchen", "oven", "recipe", "dumplings", "bakery"),
    "garden": ("roses", "tomatoes", "greenhouse", "orchard", "seedlings", "hedge", "tulips", "compost"),
    "sea": ("lighthouse", "harbour", "waves", "island", "sailors", "whale", "ferry", "lagoon"),
    "music": ("violin", "choir", "drummer", "concert", "melody", "piano", "orchestra", "ballad"),
    "city": ("tram", "market", "rooftops", "subway", "avenue", "skyline", "taxi", "bridge"),
    "sport": ("marathon", "football", "goalkeeper", "boxing", "cyclists", "stadium", "tennis", "referee"),
}
TONES = {
    "angry": ("furious", "bitter", "grumpy", "raging", "hostile", "fuming"),
    "funny": ("hilarious", "silly", "goofy", "comical", "witty", "absurd"),
    "hopeful": ("promising", "bright", "cheerful", "eager", "optimistic", "radiant"),
    "calm": ("peaceful", "quiet", "serene", "gentle", "slow", "still"),
    "sad": ("lonely", "tearful", "gloomy", "mournful", "forgotten", "weary"),
    "tender": ("loving", "sweet", "affectionate", "caring", "warm", "devoted"),
}
PATTERNS = (
    "the {tone} {noun}",
    "a {tone} day with the {noun}",
    "{noun}: a {tone} story",
    "why we love the {tone} {noun}",
    "my {tone} {noun}, part {number}",
    "{tone} moments from the {noun}",
    "we found the most {tone} {noun}",
)
NUMBERS = ("one", "two", "three", "four", "five")


def write_title(rng: np.random.Generator, subject: str, mood: str) -> str:
    """A title with a word for the subject and a word for the mood; pattern and words are chance."""
    pattern, noun, tone, number = (str(rng.choice(words)) for words in (PATTERNS, NOUNS[subject], TONES[mood], NUMBERS))
    title = pattern.format(noun=noun, tone=tone, number=number)
    return title[0].upper() + title[1:]


def vocabulary() -> list[str]:
    """All words of the grammar in lower case and its punctuation, without repeats, in alphabetical order."""
    texts = [pattern.format(noun="", tone="", number="") for pattern in PATTERNS]
    words = {word for text in texts for word in text.replace(":", " : ").replace(",", " , ").split()}
    words.update(NUMBERS, *NOUNS.values(), *TONES.values())
    return sorted(words)


def longest_title() -> int:
    """How many words and punctuation marks the longest title has."""
    texts = [pattern.format(noun="noun", tone="tone", number="one") for pattern in PATTERNS]
    return max(len(text.replace(":", " : ").replace(",", " , ").split()) for text in texts)
