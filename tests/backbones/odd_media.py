"""Media as they come: makers of odd and broken files, each with what is to become of it.

A maker writes a file. None stands for a file that is used; else it is what the reason for its absence says, as a
regular expression. Where decoders may differ from version to version, either is right and the entry says `EITHER`.
"""

import io
import os
import re
import struct
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

Maker = Callable[[Path], object]
EITHER = re.compile("")
BROKEN = "does not decode"
RNG = np.random.default_rng(0)


def picture(width: int = 60, height: int = 40) -> Image.Image:
    small = Image.fromarray(np.random.default_rng(width + height).integers(0, 256, (4, 6, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def encoded(kind: str, image: Image.Image | None = None, **options) -> bytes:
    file = io.BytesIO()
    (image or picture()).save(file, kind, **options)
    return file.getvalue()


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def writes(data: bytes | Callable[[], bytes]) -> Maker:
    return lambda path: path.write_bytes(data() if callable(data) else data)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded("JPEG", exif=exif)


def link_to_good(path: Path) -> None:
    target = path.with_name(f"elsewhere-{path.name}.data")
    target.write_bytes(encoded("JPEG"))
    path.symlink_to(target)


IMAGES: dict[str, tuple[str, Maker, str | re.Pattern | None]] = {
    "zero": (".jpg", writes(b""), "zero bytes"),
    "cut-at-two-bytes": (".jpg", writes(lambda: encoded("JPEG")[:2]), BROKEN),
    "cut-in-the-header": (".jpg", writes(lambda: cut(encoded("JPEG"), 0.1)), BROKEN),
    "cut-in-the-middle": (".jpg", writes(lambda: cut(encoded("JPEG"), 0.5)), BROKEN),
    "cut-at-the-end": (".jpg", writes(lambda: cut(encoded("JPEG"), 0.9)), BROKEN),
    "cut-png": (".png", writes(lambda: cut(encoded("PNG"), 0.6)), BROKEN),
    "text": (".jpg", writes(b"this is no picture\n" * 50), BROKEN),
    "html": (".jpg", writes(b"<!DOCTYPE html><html><body>404 Not Found</body></html>"), BROKEN),
    "noise": (".jpg", writes(RNG.bytes(5000)), BROKEN),
    "png-named-jpg": (".jpg", writes(lambda: encoded("PNG")), None),
    "webp-named-png": (".png", writes(lambda: encoded("WEBP")), None),
    "animated": (".gif", lambda p: picture().save(p, save_all=True, append_images=[picture(60, 41)] * 3), None),
    "cmyk": (".jpg", writes(lambda: encoded("JPEG", picture().convert("CMYK"))), None),
    "sixteen-bit": (
        ".png",
        lambda p: Image.fromarray(RNG.integers(0, 65536, (30, 40)).astype(np.uint16)).save(p),
        None,
    ),
    "palette": (".png", writes(lambda: encoded("PNG", picture().convert("P"), transparency=0)), None),
    "transparent": (".png", writes(lambda: encoded("PNG", picture().convert("RGBA"))), None),
    "grey-and-alpha": (".png", writes(lambda: encoded("PNG", picture().convert("LA"))), None),
    "one-bit": (".tiff", lambda p: picture().convert("1").save(p), None),
    "floating": (".tiff", lambda p: Image.fromarray(RNG.random((30, 40)).astype(np.float32)).save(p), EITHER),
    "lying": (".jpg", writes(lambda: turned(6)), None),
    "mirrored": (".jpg", writes(lambda: turned(5)), None),
    "bomb": (
        ".png",
        lambda p: Image.new("1", (30_000, 30_000)).save(p),
        "pixels are more than the limit|decompression bomb",
    ),
    "one-pixel": (".png", lambda p: picture(1, 1).save(p), None),
    "a-line": (".png", lambda p: picture(1, 900).save(p), None),
    "odd-size": (".jpg", lambda p: picture(37, 51).save(p), None),
    "progressive": (".jpg", writes(lambda: encoded("JPEG", progressive=True)), None),
    "garbage-behind": (".jpg", writes(lambda: encoded("JPEG") + RNG.bytes(999)), None),
    "a-link": (".jpg", link_to_good, None),
    "a-broken-link": (".jpg", lambda p: p.symlink_to("nowhere"), "no file"),
    "a-folder": (".jpg", lambda p: p.mkdir(), "no file"),
    "a-pipe": (".jpg", os.mkfifo, "no file"),
}


def film(
    path: Path,
    frames: int = 30,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    sound: bool = False,
    container: str | None = None,
    gaps: bool = False,
) -> None:
    """A video in which every frame differs."""
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.time_base = Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        tone = file.add_stream("aac", rate=16000, layout="mono") if sound else None
        time = 0
        for number in range(frames):
            colours = np.full((size[1], size[0], 3), (7 * number) % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(colours, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            time += 100 if not gaps else int(20 + 400 * (number % 3))
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if tone:
            samples = np.sin(np.arange(16000) / 9).astype(np.float32)[None]
            sound_frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            sound_frame.sample_rate, sound_frame.time_base, sound_frame.pts = 16000, Fraction(1, 16000), 0
            file.mux(tone.encode(sound_frame))
            file.mux(tone.encode(None))


def spoiled(path: Path, change: Callable[[bytes], bytes], **options) -> None:
    film(path, **options)
    path.write_bytes(change(path.read_bytes()))


def scrambled(data: bytes) -> bytes:
    """Noise over the middle of the frames."""
    middle = len(data) // 2
    return data[: middle - 200] + np.random.default_rng(1).bytes(400) + data[middle + 200 :]


def quarter_turned(data: bytes) -> bytes:
    """As a telephone held upright writes it: the display matrix of the track header turns every frame."""
    place = data.index(b"tkhd") + 44
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    return data[:place] + matrix + data[place + len(matrix) :]


def sound_alone(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as file:
        tone = file.add_stream("aac", rate=16000, layout="mono")
        samples = np.sin(np.arange(16000) / 9).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = 16000, Fraction(1, 16000), 0
        file.mux(tone.encode(frame))
        file.mux(tone.encode(None))


VIDEOS: dict[str, tuple[str, Maker, str | re.Pattern | None]] = {
    "zero": (".mp4", writes(b""), "zero bytes"),
    "cut-in-the-header": (".mp4", lambda p: spoiled(p, lambda d: d[:100]), BROKEN),
    "cut-in-the-middle": (".mp4", lambda p: spoiled(p, lambda d: cut(d, 0.5)), BROKEN),  # its index is at the end
    "cut-mkv": (".mkv", lambda p: spoiled(p, lambda d: cut(d, 0.8), codec="ffv1"), None),  # what is there decodes
    "scrambled": (".mp4", lambda p: spoiled(p, scrambled), EITHER),
    "text": (".mp4", writes(b"this is no film\n" * 50), BROKEN),
    "noise": (".mp4", writes(RNG.bytes(5000)), BROKEN),
    "sound-alone": (".mp4", sound_alone, "no video stream"),
    "mkv-named-mp4": (".mp4", lambda p: film(p, container="matroska"), None),
    "picture-named-mp4": (".mp4", writes(lambda: encoded("JPEG")), EITHER),
    "one-frame": (".mp4", lambda p: film(p, frames=1), None),
    "two-frames": (".mp4", lambda p: film(p, frames=2), None),
    "ten-bit": (".mp4", lambda p: film(p, pixels="yuv420p10le"), None),
    "odd-size": (".mp4", lambda p: film(p, size=(33, 17), pixels="yuv444p"), None),
    "narrow": (".mp4", lambda p: film(p, size=(16, 480)), None),
    "variable-rate": (".mp4", lambda p: film(p, gaps=True), None),
    "mpeg4-avi": (".avi", lambda p: film(p, codec="mpeg4"), None),
    "vp9-webm": (".webm", lambda p: film(p, codec="libvpx-vp9"), None),
    "motion-jpeg": (".mkv", lambda p: film(p, codec="mjpeg", pixels="yuvj420p"), None),
    "lossless": (".mkv", lambda p: film(p, codec="ffv1"), None),
    "turned": (".mp4", lambda p: spoiled(p, quarter_turned), None),
    "with-sound": (".mp4", lambda p: film(p, sound=True), None),
}


def sound(path: Path, seconds: float = 1.0, rate: int = 16000, channels: int = 1, width: int = 2) -> None:
    """A wav file with a tone."""
    samples = np.sin(np.arange(round(seconds * rate)) / 7)
    shaped = np.repeat(samples[:, None], channels, 1)
    data = {1: ((shaped + 1) * 127).astype(np.uint8), 2: (shaped * 32000).astype("<i2")}.get(width)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data.tobytes() if data is not None else (shaped * 2**31 * 0.9).astype("<i4").tobytes())


def compressed(path: Path, codec: str, layout: str = "mono", rate: int = 44100) -> None:
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        samples = np.repeat(np.sin(np.arange(rate) / 20)[None].astype(np.float32), channels, 0)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        fit = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate, frame_size=1024)
        for part in [*fit.resample(frame), *fit.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))


def not_a_number(path: Path) -> None:
    samples = np.full(16000, np.nan, "<f4")
    head = b"RIFF" + (36 + samples.nbytes).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += (3).to_bytes(2, "little") + (1).to_bytes(2, "little") + (16000).to_bytes(4, "little")
    head += (64000).to_bytes(4, "little") + (4).to_bytes(2, "little") + (32).to_bytes(2, "little")
    path.write_bytes(head + b"data" + samples.nbytes.to_bytes(4, "little") + samples.tobytes())


SOUNDS: dict[str, tuple[str, Maker, str | re.Pattern | None]] = {
    "zero": (".wav", writes(b""), "zero bytes"),
    "shorter-than-a-window": (".wav", lambda p: sound(p, 0.01), "less than one window"),
    "no-sample": (".wav", lambda p: sound(p, 0), "holds no sample|does not decode"),
    "text": (".wav", writes(b"this is no sound\n" * 50), BROKEN),
    "noise": (".mp3", writes(RNG.bytes(5000)), EITHER),
    "silent-film": (".m4a", lambda p: film(p, container="mp4"), "no sound track"),
    "cut": (".wav", lambda p: (sound(p), p.write_bytes(cut(p.read_bytes(), 0.5))), None),
    "low-rate": (".wav", lambda p: sound(p, rate=8000), None),
    "high-rate": (".wav", lambda p: sound(p, rate=96000), None),
    "eight-bit": (".wav", lambda p: sound(p, width=1), None),
    "thirty-two-bit": (".wav", lambda p: sound(p, width=4), None),
    "stereo": (".wav", lambda p: sound(p, channels=2), None),
    "six-channels": (".flac", lambda p: compressed(p, "flac", "5.1"), None),
    "mp3": (".mp3", lambda p: compressed(p, "libmp3lame"), None),
    "opus": (".opus", lambda p: compressed(p, "libopus", rate=48000), None),
    "aac": (".aac", lambda p: compressed(p, "aac", "stereo"), None),
    "no-numbers": (".wav", not_a_number, "no numbers"),
    "silence": (".wav", lambda p: (sound(p), p.write_bytes(p.read_bytes()[:44] + bytes(32000))), None),
}

TITLES: dict[str, tuple[bytes, str | None]] = {
    "empty": (b"", "no text"),
    "blank": (b" \t ", "no text"),
    "long": (b"a dog jumps over the box " * 4000, None),
    "longer-than-csv-readers-allow": (b"a dog jumps over the box " * 8000, None),
    "not-utf-8": (b"caf\xe9 \xff\xfe", None),
    "newlines": (b'"red\nblue\r\ngreen"', None),
    "quotes": (b'"the ""red"" cat\'s"', None),
    "shell": (b"$(rm -rf /) `touch x`; | & > < * ~ ! \\ {a,b}", None),
    "right-to-left": ("قطة حمراء \u202e".encode(), None),
    "emoji": ("🐱🏽\u200d🚀".encode(), None),
    "marks": ("e" + "\u0301" * 300, None),
    "nothing-known": ("§§§ ¤¤¤".encode(), None),
}
TITLES = {name: (title.encode() if isinstance(title, str) else title, said) for name, (title, said) in TITLES.items()}
