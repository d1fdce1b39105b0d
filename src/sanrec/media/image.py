"""Image files to RGB pixels, through Pillow."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from sanrec.media import MediaError, decoding

SIXTEEN_BIT_GREYS = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def read_image(file: str | Path, shortest_edge: int | None = None) -> Image.Image:
    """The image upright in RGB, whatever its mode: EXIF orientation applied, transparency laid on white.

    An animation gives its first frame. With `shortest_edge`, the size in pixels that the caller will shrink it to, a
    JPEG of at least four times that size is decoded at a half, quarter or eighth, never below twice the size asked
    for: then the result of the final resizing differs by less than JPEG's own noise (Pillow's `reducing_gap` of 2).

    Raises MediaError for a file that is missing, empty, no image, truncated, or larger than Pillow's limit of pixels
    against decompression bombs (`PIL.Image.MAX_IMAGE_PIXELS`).
    """
    with decoding(file), Image.open(file) as image:
        width, height = image.size
        if Image.MAX_IMAGE_PIXELS and width * height > Image.MAX_IMAGE_PIXELS:
            raise MediaError(file, f"{width} x {height} pixels are more than the limit of {Image.MAX_IMAGE_PIXELS}")
        if shortest_edge and image.format == "JPEG":
            # `draft` keeps each side at least as long as asked, and the shorter side decides
            image.draft(None, (2 * shortest_edge, 2 * shortest_edge))
        image.load()
        ImageOps.exif_transpose(image, in_place=True)  # a copy of each photo would be a tenth of its reading
        return to_rgb(image)


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image as RGB. Transparent parts become white; 16-bit greys keep their high byte."""
    if image.mode in SIXTEEN_BIT_GREYS:
        grey = np.asarray(image).astype(np.int64)
        image = Image.fromarray((grey.clip(0, 65535) >> 8).astype(np.uint8))
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def resized(image: Image.Image, size: tuple[int, int] | int, filter: Image.Resampling) -> Image.Image:
    """Resize to (height, width), or the shorter side to one number of pixels with the aspect kept (rounded down)."""
    if isinstance(size, int):
        width, height = image.size
        longest = int(size * max(width, height) / min(width, height))
        size = (longest, size) if width <= height else (size, longest)
    height, width = size
    return image.resize((width, height), resample=filter)


def center_crop(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle `height` x `width` of pixels [H, W, 3]; black is added where the image is smaller."""
    lacking_rows, lacking_columns = max(0, height - pixels.shape[0]), max(0, width - pixels.shape[1])
    if lacking_rows or lacking_columns:
        before = (-(-lacking_rows // 2), -(-lacking_columns // 2))
        pixels = np.pad(
            pixels, [(before[0], lacking_rows - before[0]), (before[1], lacking_columns - before[1]), (0, 0)]
        )
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]
