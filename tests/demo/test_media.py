"""The world's files: all there, readable by the decoders that extraction uses, and the same again from one seed."""

import csv
import wave

import av
import numpy as np
import pytest
from PIL import Image

from sanrec.data.registry import CORPORA, DATASETS
from sanrec.demo.draw import draw_cover, draw_frames, draw_sound, frame_times
from sanrec.demo.media import make_world, write_cover, write_video
from sanrec.demo.world import FACTORS, World, draw_factors
from sanrec.media.audio import read_waveform
from sanrec.media.video import read_frames

WORLD = World(items=12, users=31)
CORPUS = CORPORA["demo"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "raw"
    make_world(folder, WORLD)
    return folder


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def test_the_layout_is_the_one_that_the_corpus_names(raw):
    ids = {str(i) for i in range(1, WORLD.items + 1)}
    for folder, suffix in ((CORPUS.covers, ".jpg"), (CORPUS.videos, ".mp4"), (CORPUS.audios, ".wav")):
        assert {p.name for p in (raw / folder).iterdir()} == {i + suffix for i in ids}
    with (raw / CORPUS.titles).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["item", "title"]
    assert [row[0] for row in rows[1:]] == [str(i) for i in range(1, WORLD.items + 1)]
    assert all(len(title.split()) >= 3 for _, title in rows[1:])
    assert list(raw.parent.iterdir()) == [raw]  # nothing left beside it


def test_the_smaller_data_set_is_the_first_half_of_users(raw):
    whole, half = (lines(raw / DATASETS[name].pairs) for name in ("demo", "demo-half"))
    assert len(whole) == WORLD.users
    assert half == whole[: WORLD.users // 2]
    for number, line in enumerate(whole, 1):
        user, items = line.split("\t")
        assert user == str(number)
        assert all(1 <= int(item) <= WORLD.items for item in items.split(" "))


def test_the_truth_is_told_in_words(raw):
    with (raw / "truth.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, factors in zip(rows, draw_factors(WORLD), strict=True):
        assert [row[name] for name in FACTORS] == [f.values[v] for f, v in zip(FACTORS.values(), factors, strict=True)]


def test_videos_are_h264_with_aac_and_last_three_seconds(raw):
    with av.open(str(raw / CORPUS.videos / "5.mp4")) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert (picture.width, picture.height) == (WORLD.frame_size, WORLD.frame_size)
        assert picture.frames == WORLD.seconds * WORLD.frames_per_second
        assert float(picture.duration * picture.time_base) == pytest.approx(WORLD.seconds, abs=1e-3)
        assert float(sound.duration * sound.time_base) == pytest.approx(WORLD.seconds, abs=0.15)
        assert sum(1 for _ in container.decode(picture)) == picture.frames


def test_covers_and_sounds_open(raw):
    with Image.open(raw / CORPUS.covers / "3.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (WORLD.image_size, WORLD.image_size))
    with wave.open(str(raw / CORPUS.audios / "3.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (1, WORLD.sample_rate)
        assert file.getnframes() == WORLD.seconds * WORLD.sample_rate


def test_the_sound_of_a_video_is_its_sound_file(raw):
    """The film track, AAC, tells the same strokes: the loudness over time of both goes together."""
    for item in ("1", "7"):
        own = read_waveform(raw / CORPUS.audios / f"{item}.wav")
        track = read_waveform(raw / CORPUS.videos / f"{item}.mp4")
        loud = [np.abs(w[: len(w) // 800 * 800]).reshape(-1, 800).mean(1) for w in (own, track)]
        shortest = min(map(len, loud))
        assert np.corrcoef(loud[0][:shortest], loud[1][:shortest])[0, 1] > 0.8


def test_files_hold_what_was_drawn(tmp_path):
    """JPEG and H.264 lose little: under five of 255 steps of brightness on average."""
    pixels = draw_cover(np.random.default_rng(0), "calm", "rings", WORLD)
    write_cover(tmp_path / "one.jpg", pixels)
    with Image.open(tmp_path / "one.jpg") as image:
        back = np.asarray(image)
    assert np.abs(back.mean(2) - pixels.mean(2)).mean() < 5
    frames = draw_frames(np.random.default_rng(0), "up", "fast", WORLD, frame_times(WORLD))
    sound = draw_sound(np.random.default_rng(0), "fast", "deep", WORLD)
    write_video(tmp_path / "one.mp4", frames, sound, WORLD)
    back = read_frames(tmp_path / "one.mp4", count=len(frames))
    assert np.abs(back.mean(3) - frames.mean(3)).mean() < 5


def test_the_same_world_has_the_same_bytes(raw, tmp_path):
    make_world(tmp_path / "again", WORLD)
    files = sorted(p.relative_to(raw) for p in raw.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    for file in files:
        assert (raw / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file


def test_another_seed_has_other_media(raw, tmp_path):
    make_world(tmp_path / "other", WORLD.model_copy(update={"seed": 1}))
    for file in ("demo_pairs.tsv", "demo_titles.csv", "demo_covers/1.jpg", "demo_videos/1.mp4", "demo_audios/1.wav"):
        assert (raw / file).read_bytes() != (tmp_path / "other" / file).read_bytes(), file


def test_a_world_takes_the_place_of_an_older_one(tmp_path):
    make_world(tmp_path / "raw", World(items=3, users=4))
    make_world(tmp_path / "raw", World(items=2, users=4))
    assert {p.name for p in (tmp_path / "raw/demo_covers").iterdir()} == {"1.jpg", "2.jpg"}


def test_a_world_that_fails_leaves_the_older_one(tmp_path, monkeypatch):
    make_world(tmp_path / "raw", World(items=2, users=4))

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("sanrec.demo.media.write_video", fail)
    with pytest.raises(OSError, match="disk full"):
        make_world(tmp_path / "raw", World(items=3, users=4))
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]
    assert len(list((tmp_path / "raw/demo_covers").iterdir())) == 2


def test_a_still_world_has_titles_and_covers_alone(raw, tmp_path):
    make_world(tmp_path / "still", WORLD, moving=False)
    names = {path.name for path in (tmp_path / "still").iterdir()}
    assert names == {"demo_pairs.tsv", "demo-half_pairs.tsv", "demo_titles.csv", "demo_covers", "truth.csv"}
    for path in ("demo_titles.csv", "truth.csv", "demo_covers/7.jpg"):  # one seed makes one item, moving or not
        assert (tmp_path / "still" / path).read_bytes() == (raw / path).read_bytes()
    assert lines(tmp_path / "still" / "demo_pairs.tsv") != lines(raw / "demo_pairs.tsv")


@pytest.mark.parametrize("name", [name for name, corpus in CORPORA.items() if corpus.source == "demo"])
def test_every_demo_corpus_names_what_its_world_has(name):
    corpus = CORPORA[name]
    World(**corpus.world)
    moving = bool(corpus.videos or corpus.audios)
    channels = {"title", "cover", *(("video", "audio") if moving else ())}
    for dataset in (one for one in DATASETS.values() if one.corpus == name):
        assert {channel for channel in dataset.backbones if not channel.endswith("caption")} == channels
        assert dataset.pairs in ("demo_pairs.tsv", "demo-half_pairs.tsv")
    assert (corpus.titles, corpus.covers) == (CORPUS.titles, CORPUS.covers)
