"""The prompts that captioners are given: text files, of sanrec's own or of the user's.

A prompt is what a person would type beneath the pictures. The checkpoint's own chat template puts the pictures before
it and the marks of a conversation around both.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sanrec.errors import ConfigError, unknown

FOLDER = Path(__file__).with_name("prompts")


@dataclass(frozen=True)
class Prompt:
    """A prompt by the name that config gives it."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of its text: two captions with the same digest answer the same words."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def prompt_names() -> list[str]:
    """The names of sanrec's own prompts."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def load_prompt(name: str) -> Prompt:
    """The prompt of that name, or in that file where it ends in .txt; without white space around it.

    Raises ConfigError for an unknown name, a missing file, and one that is empty or no text.
    """
    path = Path(name)
    if path.suffix != ".txt":
        if name not in prompt_names():
            raise unknown("prompt", name, prompt_names(), "captioners (or the path of a .txt file)")
        path = FOLDER / f"{name}.txt"
    if not path.is_file():
        raise ConfigError(f"prompt {name}: there is no such file as {path.absolute()}")
    try:
        text = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise ConfigError(f"prompt {name}: {path} is no UTF-8 text ({error.reason}, byte {error.start})") from None
    if not text:
        raise ConfigError(f"prompt {name}: {path} is empty")
    return Prompt(name, text)
