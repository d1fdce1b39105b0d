"""Model-ready pixels of images and videos: see `readers` for the face that these classes share.

H and W are the model's image size, F its frames. Sizes, crops, means and the rest are read from the checkpoint's
preprocessor_config.json and applied with Pillow, to the same pixels as transformers' Pillow processors give.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from sanrec.backbones.checkpoints import Checkpoint
from sanrec.errors import ConfigError
from sanrec.media import CLIP_SECONDS, decoding
from sanrec.media.image import center_crop, read_image, resized
from sanrec.media.video import read_frames

KEEP_ASPECT = ("VideoMAE", "Bit", "CLIP")  # processors whose bare-number `size` is the shorter side, not a square


class ImageInputs:
    """Pixels after resizing and cropping, uint8 [3, H, W]; then scaled and normalised."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        p, where = checkpoint.preprocessor, checkpoint.folder / "preprocessor_config.json"
        kind = str(p.get("image_processor_type") or p.get("feature_extractor_type") or p.get("video_processor_type"))
        model_size = _height_width(checkpoint.config.get("image_size", 224), where)
        self.size = _read_size(p.get("size", model_size[0]), kind, p.get("default_to_square"), where)
        self.size = self.size if p.get("do_resize", True) else None
        crops = p.get("do_center_crop", kind.startswith(KEEP_ASPECT))
        self.crop = _height_width(p.get("crop_size", model_size), where) if crops else None
        self.filter = Image.Resampling(p.get("resample", Image.Resampling.BILINEAR))
        shape = self.crop or self.size
        if shape != model_size:
            raise ConfigError(f"{where}: makes images of {shape}, but the model's image_size is {model_size}")
        self.height, self.width = model_size
        self.scale = float(p.get("rescale_factor", 1 / 255)) if p.get("do_rescale", True) else 1.0
        normalises = p.get("do_normalize", True)
        self.mean = list(p.get("image_mean", [0.5] * 3)) if normalises else [0.0] * 3
        self.std = list(p.get("image_std", [0.5] * 3)) if normalises else [1.0] * 3
        self.settings = {"resize": self.size, "crop": self.crop, "resample": int(self.filter)}
        self.settings |= {"scale": self.scale, "mean": self.mean, "std": self.std}
        self.arrays: dict[str, tuple[str, tuple[int, ...]]] = {"pixels": ("uint8", (3, self.height, self.width))}

    @property
    def _edge(self) -> int | None:
        return min(self.size) if isinstance(self.size, tuple) else self.size

    def shrink(self, image: Image.Image) -> np.ndarray:
        """An RGB image to pixels [H, W, 3] of the model's size."""
        if self.size is not None:
            image = resized(image, self.size, self.filter)
        pixels = np.asarray(image)
        return center_crop(pixels, *self.crop) if self.crop else pixels

    def read(self, source: str) -> dict[str, np.ndarray]:
        """An image file to pixels [3, H, W]."""
        image = read_image(source, self._edge)
        with decoding(source):  # a side of one pixel can ask for more than there is
            pixels = self.shrink(image)
        return {"pixels": np.ascontiguousarray(pixels.transpose(2, 0, 1))}


class VideoInputs(ImageInputs):
    """Frames from the first three seconds, each prepared as an image: uint8 [F, 3, H, W]."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.frames = int(checkpoint.config.get("num_frames", 16))
        self.settings |= {"frames": self.frames, "seconds": CLIP_SECONDS}
        self.arrays = {"pixels": ("uint8", (self.frames, 3, self.height, self.width))}

    def read(self, source: str) -> dict[str, np.ndarray]:
        """A video file to pixels [F, 3, H, W]."""
        frames = read_frames(source, self.frames, CLIP_SECONDS, self.shrink)
        return {"pixels": np.ascontiguousarray(frames.transpose(0, 3, 1, 2))}


def _height_width(size: Any, where: Any) -> tuple[int, int]:
    """(height, width) from a number, a pair, or a mapping with both."""
    if isinstance(size, Mapping) and {"height", "width"} <= set(size):
        return int(size["height"]), int(size["width"])
    if isinstance(size, int):
        return size, size
    if isinstance(size, list | tuple) and len(size) == 2:
        return int(size[0]), int(size[1])
    raise ConfigError(f"{where}: a size is a number or has height and width, not {size!r}")


def _read_size(size: Any, kind: str, square: bool | None, where: Any) -> tuple[int, int] | int:
    """What images are resized to: (height, width), or the length of the shorter side."""
    if isinstance(size, Mapping) and "shortest_edge" in size and size.get("longest_edge") is None:
        return int(size["shortest_edge"])
    if isinstance(size, int) and not (not kind.startswith(KEEP_ASPECT) if square is None else square):
        return size
    return _height_width(size, where)
