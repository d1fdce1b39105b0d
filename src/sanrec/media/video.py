"""Video files to a few frames, through PyAV (FFmpeg)."""

from collections.abc import Callable
from contextlib import suppress
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
        inside = _frame_times(file, seconds)
        wanted = [inside[k] for k in np.linspace(0, len(inside) - 1, count).round().astype(int)]
        return _decode(file, wanted, shrink)


def read_moments(file: str | Path, count: int = 3) -> np.ndarray:
    """`count` frames, evenly spread over a whole video, from its first tenth to its last: uint8 [F, H, W, 3].

    First and last frame are often black or a title, so a tenth is left out at either end; one frame is the middle
    one. Of a long video only the pieces around the wanted frames are decoded. Raises MediaError as `read_frames` does.
    """
    with decoding(file):
        times = _frame_times(file, float("inf"))
        wanted = [times[k] for k in moments(len(times), count)]
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            met = [_seek(container, stream, time) for time in wanted]
        # what cannot be sought, or breaks off early, is decoded from its beginning
        return _decode(file, wanted, None) if any(one is None for one in met) else np.stack(met)


def _seek(container: av.container.InputContainer, stream: av.VideoStream, time: int) -> np.ndarray | None:
    """The frame at a time stamp, decoded from the key frame before it; None where seeking leads somewhere else."""
    with suppress(av.FFmpegError):
        container.seek(time, stream=stream)
        for frame in container.decode(stream):
            if frame.pts is None or frame.pts > time:
                break
            if frame.pts == time:
                return _upright(frame, None)
    return None


def moments(total: int, count: int) -> np.ndarray:
    """Which of a video's frames, from 0, `read_moments` takes [count]."""
    places = np.linspace(0.1, 0.9, count) if count > 1 else np.array([0.5])
    return (places * (total - 1)).round().astype(int)


def _decode(file: str | Path, wanted: list[int], shrink: Callable[[Image.Image], np.ndarray] | None) -> np.ndarray:
    """The frames [F, H, W, 3] shown at these time stamps, ascending, decoded from the beginning to the last of them."""
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
            frames += [last] * min(due, len(wanted) - len(frames))
            places += due
            if len(frames) >= len(wanted):
                break
    if last is None:
        raise MediaError(file, "no frame decodes")
    # a stream that breaks off early leaves its last good frame for the rest
    return np.stack(frames + [last] * (len(wanted) - len(frames)))


def _frame_times(file: str | Path, seconds: float) -> list[int]:
    """Time stamps of all frames in the first `seconds`, ascending, read from the packets without decoding them."""
    with av.open(str(file)) as container:
        if not container.streams.video:
            raise MediaError(file, "no video stream")
        stream = container.streams.video[0]
        span = seconds / stream.time_base if stream.time_base else float("inf")
        times: list[int] = []
        first = None
        for packet in container.demux(stream):
            time = packet.pts if packet.pts is not None else packet.dts
            if time is None or packet.is_discard:
                continue
            # packets come in decoding order: those of one second more settle which frames are the first ones
            if first is not None and time - first > span + 1 / stream.time_base:
                break
            times.append(time)
            first = time if first is None else min(first, time)
    if first is None:
        raise MediaError(file, "no frame in the video stream")
    return sorted({t for t in times if t - first < span})


def _upright(frame: av.VideoFrame, shrink: Callable[[Image.Image], np.ndarray] | None) -> np.ndarray:
    """The frame's RGB pixels, turned as its display matrix says (quarter turns only, as cameras write them)."""
    pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
    return shrink(Image.fromarray(np.ascontiguousarray(pixels))) if shrink else np.ascontiguousarray(pixels)
