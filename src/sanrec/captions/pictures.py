"""What a captioner is shown of a file. Apart from the captioner, for it runs in processes that have none."""

from typing import TYPE_CHECKING

from sanrec.media.image import read_image
from sanrec.media.video import read_moments

if TYPE_CHECKING:
    from PIL.Image import Image


def video_pictures(file: str, count: int) -> "list[Image]":
    """So many frames of a video, spread over it. Raises MediaError for a bad one."""
    from PIL import Image

    return [Image.fromarray(frame) for frame in read_moments(file, count)]


def cover_picture(file: str, longest: int) -> "list[Image]":
    """A cover, in about the size given at least. Raises MediaError for a bad one."""
    return [read_image(file, longest)]
