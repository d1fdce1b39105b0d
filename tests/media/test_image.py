import numpy as np
import pytest
from PIL import Image

from sanrec.media import MediaError
from sanrec.media.image import center_crop, read_image, resized


def photo(height=40, width=60, seed=0):
    """Smooth colours, so that lossy formats keep them."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * y / height, 255 * x / width, 127 + 100 * np.sin(seed + x / 9)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK", "YCbCr", "LAB", "HSV"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr", "LAB") else "a.png")
    image = Image.fromarray(photo())
    if mode == "HSV":
        image.save(path)
    elif mode == "LAB":
        Image.new("LAB", (60, 40)).save(path)
    else:
        image.convert(mode).save(path)
    read = read_image(path)
    assert (read.mode, read.size) == ("RGB", (60, 40))


def test_transparency_is_laid_on_white(tmp_path):
    pixels = np.zeros((2, 2, 4), dtype=np.uint8)
    pixels[0] = [200, 10, 10, 255]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.asarray(read_image(tmp_path / "a.png")).tolist() == [[[200, 10, 10]] * 2, [[255, 255, 255]] * 2]
    palette = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode=None).convert("P")
    palette.info["transparency"] = 1
    palette.save(tmp_path / "p.png", transparency=1)
    assert np.asarray(read_image(tmp_path / "p.png"))[0, 1].tolist() == [255, 255, 255]


def test_sixteen_bit_grey_keeps_its_high_byte(tmp_path):
    Image.fromarray(np.array([[0, 256, 65535]], dtype=np.uint16)).save(tmp_path / "a.png")
    assert np.asarray(read_image(tmp_path / "a.png"))[0, :, 0].tolist() == [0, 1, 255]


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_applied(tmp_path, orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo()).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png")), np.rot90(photo(), turns))


def test_a_large_jpeg_is_decoded_small_with_the_same_result(tmp_path):
    Image.fromarray(photo(1600, 2400)).save(tmp_path / "a.jpg", quality=95)
    small = read_image(tmp_path / "a.jpg", shortest_edge=224)
    whole = read_image(tmp_path / "a.jpg")
    assert small.size == (1200, 800)  # a half: a quarter would be less than twice the 224
    pair = [np.asarray(resized(image, (224, 224), Image.Resampling.BILINEAR)).astype(int) for image in (small, whole)]
    assert np.abs(pair[0] - pair[1]).mean() < 1
    assert read_image(tmp_path / "a.jpg", shortest_edge=900).size == (2400, 1600)


@pytest.mark.parametrize("content", ["zero", "text", "cut", "none", "png"])
def test_bad_files_say_which_and_why(tmp_path, content):
    path = tmp_path / "bad.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)).save(tmp_path / "good.jpg")
    good = (tmp_path / "good.jpg").read_bytes()
    contents = {
        "zero": b"",
        "text": b"no image at all",
        "cut": good[: len(good) // 2],
        "png": b"\x89PNG\r\n\x1a\n" + bytes(99),
    }
    if content != "none":
        path.write_bytes(contents[content])
    with pytest.raises(MediaError) as caught:
        read_image(path)
    reasons = {"zero": "zero bytes", "none": "no such file"}
    assert str(path) in str(caught.value)
    assert reasons.get(content, "does not decode") in caught.value.reason


def test_decompression_bombs_are_refused(tmp_path, monkeypatch):
    Image.fromarray(photo(100, 100)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5001)  # Pillow itself warns from here, and raises at twice as many
    with pytest.raises(MediaError, match=r"limit|decode"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(("height", "width"), [(30, 50), (31, 20), (20, 31), (19, 19), (25, 24)])
def test_resize_and_crop_are_those_of_transformers(height, width):
    from transformers.image_transforms import center_crop as their_crop

    transformers = pytest.importorskip("transformers")
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    theirs = their_crop(pixels, (24, 25), input_data_format="channels_last")
    assert np.array_equal(center_crop(pixels, 24, 25), theirs)
    processor = transformers.BitImageProcessorPil(
        size={"shortest_edge": 22}, crop_size={"height": 20, "width": 20}, do_rescale=False, do_normalize=False
    )
    theirs = processor(Image.fromarray(pixels), return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
    ours = center_crop(np.asarray(resized(Image.fromarray(pixels), 22, Image.Resampling.BICUBIC)), 20, 20)
    assert np.array_equal(ours, theirs)


def test_real_photos_and_covers_decode(real_data):
    files = [*(real_data / "media").glob("*.jpg"), *(real_data / "microlens-media" / "covers").glob("*.jpg")]
    assert len(files) >= 16
    for file in files:
        assert min(read_image(file, 224).size) >= 100
