"""Video files to a few frames, through PyAV (FFmpeg)."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from PIL import Image

from sanrec.media import CLIP_SECONDS, MediaError, decoding


def read_frames(
    file: str | Path,
    count: int = 16,
    seconds: float = CLIP_SECONDS,
    shrink: Callable[[Image.Image], np.ndarray] | None = None,
) -> np.ndarray:
    """`count` frames, evenly spread over the first `seconds` of a video, first and last included: uint8 [F, H, W, 3].

    A shorter video is spread over its length; one of fewer frames repeats some. Frames are turned upright where the
    file says how. Only the packets' time stamps are read ahead; decoding stops at the last frame that is wanted, and
    no more than the wanted ones are held. `shrink` is applied to each frame at once (RGB image to [H, W, 3]), so that
    a large video needs little memory.

    Raises MediaError: missing, empty, no video stream, does not decode.
    """
    with decoding(file):
        wanted = _wanted_times(file, count, seconds)
        frames: list[np.ndarray] = []
        last = None
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # files are decoded side by side, which scales better
            places = 0
            for frame in container.decode(stream):
                time = frame.pts if frame.pts is not None else frame.dts
                # every wanted time up to this frame that no earlier frame met
                due = sum(t <= time for t in wanted[places:]) if time is not None else 1
                if due or last is None:
                    last = _upright(frame, shrink)
                frames += [last] * min(due, count - len(frames))
                places += due
                if len(frames) >= count:
                    break
        if last is None:
            raise MediaError(file, "no frame decodes")
        # a stream that breaks off early leaves its last good frame for the rest
        frames += [last] * (count - len(frames))
        return np.stack(frames)


def _wanted_times(file: str | Path, count: int, seconds: float) -> list[int]:
    """Time stamps of the frames to take, ascending, read from the packets without decoding them."""
    with av.open(str(file)) as container:
        if not container.streams.video:
            raise MediaError(file, "no video stream")
        stream = container.streams.video[0]
        span = seconds / stream.time_base if stream.time_base else float("inf")
        times: list[int] = []
        for packet in container.demux(stream):
            time = packet.pts if packet.pts is not None else packet.dts
            if time is None or packet.is_discard:
                continue
            # packets come in decoding order: those of one second more settle which frames are the first ones
            if times and time - min(times) > span + 1 / stream.time_base:
                break
            times.append(time)
    if not times:
        raise MediaError(file, "no frame in the video stream")
    first = min(times)
    inside = sorted({t for t in times if t - first < span})
    return [inside[k] for k in np.linspace(0, len(inside) - 1, count).round().astype(int)]


def _upright(frame: av.VideoFrame, shrink: Callable[[Image.Image], np.ndarray] | None) -> np.ndarray:
    """The frame's RGB pixels, turned as its display matrix says (quarter turns only, as cameras write them)."""
    pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
    return shrink(Image.fromarray(np.ascontiguousarray(pixels))) if shrink else np.ascontiguousarray(pixels)
