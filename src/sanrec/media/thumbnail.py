"""Small pictures of media, as JPEG bytes. Light: it runs in the processes of `apart` too."""

import io
from pathlib import Path

from PIL import Image

from sanrec.media import decoding
from sanrec.media.image import read_image

SIDE = 240  # most pixels of either side
QUALITY = 80


def cover_thumbnail(file: str | Path) -> bytes:
    """An image, at most SIDE pixels wide and high. Raises MediaError for a bad one."""
    return _jpeg(read_image(file, SIDE), file)


def video_thumbnail(file: str | Path) -> bytes:
    """The middle frame of a video, in the same way. Raises MediaError for a bad one."""
    from sanrec.media.video import read_moments

    return _jpeg(Image.fromarray(read_moments(file, 1)[0]), file)


def _jpeg(image: Image.Image, file: str | Path) -> bytes:
    with decoding(file):
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
