import struct
from pathlib import Path

import av
import numpy as np
import pytest

from sanrec.media import MediaError
from sanrec.media.video import moments, read_frames, read_moments


def write_video(path: Path, frames: int, rate: int = 10, codec: str = "libx264", **more: str) -> None:
    """A clip whose k-th frame is grey of brightness 4k + 2, with B-frames where the codec makes them."""
    height, width = 48, 64
    options = {"qmin": "1", "qmax": "1"} if codec == "mpeg4" else {"crf": "4", "x265-params": "log-level=none"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options | more)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for k in range(frames):
            pixels = np.full((height, width, 3), 4 * k + 2, dtype=np.uint8)
            pixels[: height // 2, : width // 2] = 255 - pixels[: height // 2, : width // 2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def shown(frames: np.ndarray) -> list[int]:
    """Which frame each one is, by its brightness."""
    return [round((float(f[-8:, -8:].mean()) - 2) / 4) for f in frames]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
def test_frames_are_spread_over_three_seconds(tmp_path, codec):
    write_video(tmp_path / "a.mp4", 55, codec=codec)  # 5.5 s at 10 per second: frames 0 to 29 count
    frames = read_frames(tmp_path / "a.mp4", 16)
    assert frames.shape == (16, 48, 64, 3)
    assert frames.dtype == np.uint8
    assert shown(frames) == np.linspace(0, 29, 16).round().astype(int).tolist()


@pytest.mark.parametrize("length", [1, 2, 7, 16, 29, 30, 31])
def test_a_shorter_video_is_spread_over_its_length(tmp_path, length):
    write_video(tmp_path / "a.mp4", length)
    last = min(length, 30) - 1
    assert shown(read_frames(tmp_path / "a.mp4", 16)) == np.linspace(0, last, 16).round().astype(int).tolist()


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".ts", ".webm"])
def test_other_containers(tmp_path, suffix):
    codec = {".avi": "mpeg4", ".webm": "libvpx"}.get(suffix, "libx264")
    write_video(tmp_path / f"a{suffix}", 40, codec=codec)
    assert shown(read_frames(tmp_path / f"a{suffix}", 4)) == [0, 10, 19, 29]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
def test_moments_are_spread_over_the_whole_video_but_for_its_ends(tmp_path, codec):
    write_video(tmp_path / "a.mp4", 60, codec=codec)  # 5.9 s from its first frame to its last
    assert shown(read_moments(tmp_path / "a.mp4")) == [6, 30, 53]
    assert shown(read_moments(tmp_path / "a.mp4", 5)) == [6, 18, 30, 41, 53]
    assert shown(read_moments(tmp_path / "a.mp4", 1)) == [30]


@pytest.mark.parametrize("length", [1, 2, 3, 10])
def test_moments_of_a_short_video_repeat(tmp_path, length):
    write_video(tmp_path / "a.mp4", length)
    assert shown(read_moments(tmp_path / "a.mp4")) == moments(length, 3).tolist()


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".ts", ".webm"])
def test_moments_in_other_containers(tmp_path, suffix):
    codec = {".avi": "mpeg4", ".webm": "libvpx"}.get(suffix, "libx264")
    write_video(tmp_path / f"a{suffix}", 60, codec=codec)
    assert shown(read_moments(tmp_path / f"a{suffix}")) == [6, 30, 53]


@pytest.fixture
def decoded(monkeypatch):
    """All frames that are decoded."""
    decoded = []
    real = av.container.InputContainer.decode

    class Counting:
        def __init__(self, container):
            self.container = container

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.container.close()

        def __getattr__(self, name):
            return getattr(self.container, name)

        def decode(self, *streams):
            for frame in real(self.container, *streams):
                decoded.append(frame)
                yield frame

    opened = av.open
    monkeypatch.setattr(av, "open", lambda path, *mode: opened(path, *mode) if mode else Counting(opened(path)))
    return decoded


def test_decoding_stops_behind_the_last_wanted_frame(tmp_path, decoded):
    write_video(tmp_path / "a.mp4", 60)
    read_frames(tmp_path / "a.mp4", 16)
    assert len(decoded) == 30


def test_only_the_pieces_around_moments_are_decoded(tmp_path, decoded):
    write_video(tmp_path / "a.mp4", 60, g="10")  # a key frame every ten
    assert shown(read_moments(tmp_path / "a.mp4")) == [6, 30, 53]
    assert len(decoded) <= 20  # up to the last one it would be 54


def test_shrink_is_applied_to_each_frame(tmp_path):
    write_video(tmp_path / "a.mp4", 30)
    small = read_frames(tmp_path / "a.mp4", 4, shrink=lambda image: np.asarray(image.resize((8, 6))))
    assert small.shape == (4, 6, 8, 3)


@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), 3), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_a_turned_video_is_turned_upright(tmp_path, matrix, turns):
    write_video(tmp_path / "a.mp4", 5)
    upright = read_frames(tmp_path / "a.mp4", 2)
    content = bytearray((tmp_path / "a.mp4").read_bytes())
    place = content.index(b"tkhd") + 44  # version and flags 4, times 8, track 4, reserved 4, duration 4, then 16 more
    a, b, c, d = (value << 16 for value in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(content)
    turned = read_frames(tmp_path / "turned.mp4", 2)
    assert np.array_equal(turned, np.rot90(upright, turns, axes=(1, 2)))


def test_bad_files_say_why(tmp_path):
    write_video(tmp_path / "good.mp4", 30)
    good = (tmp_path / "good.mp4").read_bytes()
    (tmp_path / "zero.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "cut.mp4").write_bytes(good[: len(good) // 3])
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    reasons = {"none": "no such file", "zero": "zero bytes", "text": "does not decode", "cut": "does not decode"}
    for name, reason in {**reasons, "sound": "no video stream"}.items():
        for read in (read_frames, read_moments):
            with pytest.raises(MediaError) as caught:
                read(tmp_path / f"{name}.mp4")
            assert reason in caught.value.reason


def test_real_videos(real_data):
    microlens = sorted((real_data / "microlens-media" / "videos").glob("*.mp4"))
    assert len(microlens) >= 2
    for file in (*microlens, real_data / "media" / "h265_video.mp4", real_data / "media" / "bikes-no-audio.mp4"):
        frames = read_frames(file)
        assert frames.shape[0] == 16
        assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 0.5  # something moves
        few = read_moments(file)
        assert few.shape == (3, *frames.shape[1:])
        assert np.abs(few[0].astype(int) - few[-1]).mean() > 0.5
    with pytest.raises(MediaError, match="does not decode"):
        read_frames(real_data / "media" / "corrupted.mp4")
