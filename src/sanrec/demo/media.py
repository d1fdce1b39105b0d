"""The world's files, in the folder layout of MicroLens.

    demo_pairs.tsv, demo-half_pairs.tsv   user<TAB>item item ..., oldest first; the second has the first half of users
    demo_titles.csv                       item,title
    demo_covers/{item}.jpg                covers
    demo_videos/{item}.mp4                three seconds, H.264 with an AAC track of the item's sound
    demo_audios/{item}.wav                the same sound by itself
    truth.csv                             the hidden factors of every item, for tests and for whoever wants to look

The same world gives the same pixels, samples and words; also the same bytes where the same codecs are installed.
"""

import csv
import shutil
import tempfile
import wave
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from sanrec.demo.draw import draw
from sanrec.demo.world import FACTORS, World, draw_factors, generator, walk
from sanrec.progress import bar

STILL = ("title", "cover")
CHANNELS = (*STILL, "video", "audio")
DRAWING = 10  # the purpose, beside those of `world`, of the generator of an item's chance details


def factor_values(row: Sequence[int]) -> dict[str, str]:
    """An item's factors by name, from a row of `draw_factors`."""
    return {name: factor.values[place] for (name, factor), place in zip(FACTORS.items(), row, strict=True)}


def make_world(folder: Path, world: World | None = None, moving: bool = True) -> None:
    """Write all files of a world below `folder`, which appears when it is whole, in place of one that was there.

    Where it is not `moving`, its items have neither video nor sound, and users care for what titles and covers show.
    """
    world = world or World()
    channels = CHANNELS if moving else STILL
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        write_interactions(temporary, world, channels)
        write_items(temporary, world, channels)
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_interactions(folder: Path, world: World, channels: Sequence[str] = CHANNELS) -> None:
    """Write the pairs of all users, and those of the first half of them."""
    walked = walk(world, channels)
    lines = [f"{user}\t{' '.join(str(item + 1) for item in items)}\n" for user, items in enumerate(walked, 1)]
    (folder / "demo_pairs.tsv").write_text("".join(lines), encoding="utf-8")
    (folder / "demo-half_pairs.tsv").write_text("".join(lines[: len(lines) // 2]), encoding="utf-8")


def write_items(folder: Path, world: World, channels: Sequence[str] = CHANNELS) -> None:
    """Write every item's title and cover, with video and sound where they are among the channels, and the truth."""
    moving = "video" in channels
    for name in ("covers", "videos", "audios") if moving else ("covers",):
        (folder / f"demo_{name}").mkdir()
    titles, truth = [], []
    for row, factors in enumerate(bar(draw_factors(world), unit="item", desc="drawing the world")):
        item, values = row + 1, factor_values(factors)
        rngs = {channel: generator(world, DRAWING, number, row) for number, channel in enumerate(CHANNELS)}
        made = {channel: draw(channel, values, rngs[channel], world) for channel in channels}
        titles.append((item, made["title"]))
        truth.append((item, *values.values()))
        write_cover(folder / f"demo_covers/{item}.jpg", made["cover"])
        if moving:
            write_sound(folder / f"demo_audios/{item}.wav", made["audio"], world.sample_rate)
            write_video(folder / f"demo_videos/{item}.mp4", made["video"], made["audio"], world)
    _write_csv(folder / "demo_titles.csv", ("item", "title"), titles)
    _write_csv(folder / "truth.csv", ("item", *FACTORS), truth)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def write_cover(path: Path, pixels: np.ndarray) -> None:
    """Write pixels [height, width, 3], uint8, as JPEG."""
    from PIL import Image

    Image.fromarray(pixels).save(path, quality=90)


def write_sound(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write samples [n], -1 to 1, as 16-bit mono WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(_pcm(samples).tobytes())


def _pcm(samples: np.ndarray) -> np.ndarray:
    return np.round(samples * 32767).astype("<i2")


def write_video(path: Path, frames: np.ndarray, samples: np.ndarray, world: World) -> None:
    """Write frames [frame, height, width, 3], uint8, and samples [n], -1 to 1, as MP4: H.264 and AAC.

    One thread each: more would make the bytes depend on the machine.
    """
    import av

    with av.open(str(path), "w", format="mp4") as container:
        picture = container.add_stream(
            "libx264", rate=world.frames_per_second, options={"preset": "ultrafast", "crf": "18"}
        )
        picture.height, picture.width, picture.pix_fmt = *frames.shape[1:3], "yuv420p"
        picture.codec_context.thread_count = 1
        sound = container.add_stream("aac", rate=world.sample_rate, layout="mono")
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, world.frames_per_second)
            container.mux(picture.encode(frame))
        container.mux(picture.encode())
        heard = av.AudioFrame.from_ndarray(_pcm(samples)[None], format="s16", layout="mono")
        heard.sample_rate, heard.pts, heard.time_base = world.sample_rate, 0, Fraction(1, world.sample_rate)
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=world.sample_rate, frame_size=1024)
        for part in [*resampler.resample(heard), *resampler.resample(None)]:
            container.mux(sound.encode(part))
        container.mux(sound.encode())
