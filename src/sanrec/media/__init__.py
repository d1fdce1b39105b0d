"""Media files to arrays. Knows files only: no model, no table of items.

Every reader here raises `MediaError`, and nothing else, for a file that is missing, empty or does not decode: an
extraction records it and goes on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sanrec.errors import SanrecError

CLIP_SECONDS = 3.0
"""How much of a video or sound is used, counted from its start."""


class MediaError(SanrecError):
    """One medium cannot be used: the file, the reason in words, and whether that may be `passing`."""

    def __init__(self, file: str | Path, reason: str, passing: bool = False) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = str(file)
        self.reason = reason
        self.passing = passing

    def __reduce__(self) -> tuple[type["MediaError"], tuple[str, str, bool]]:
        return MediaError, (self.file, self.reason, self.passing)  # it comes back from other processes


@contextmanager
def decoding(file: str | Path) -> Iterator[None]:
    """Turn whatever a decoder raises over a bad file into a MediaError.

    Any exception counts: over broken bytes, decoders raise what their parsers happen to stumble on (Pillow alone
    knows OSError, SyntaxError, ValueError and struct.error), and one bad file must not end an extraction.
    """
    path = Path(file)
    if not path.is_file():
        raise MediaError(file, "no such file")
    if path.stat().st_size == 0:
        raise MediaError(file, "zero bytes")
    try:
        yield
    except MediaError:
        raise
    except Exception as error:
        # av appends the file's name to its messages, and some of them span lines
        words = " ".join(str(error).replace(f": '{file}'", "").split())
        raise MediaError(file, f"does not decode ({type(error).__name__}: {words})") from error
