"""Draw the covers of the posters, and compute some features of them, into the folder `data` beside this file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

DATA = Path(__file__).parent / "data"
COLOURS = {"p0": (90, 150, 60), "p1": (60, 110, 190), "p2": (190, 80, 150)}  # by the first digit of an id
WITHOUT_COVER, WITHOUT_LOOK = "p20", "p05"


def draw(item: str, rng: np.random.Generator) -> Image.Image:
    """A cover of 64 x 64 pixels: a colour, and a disc somewhere."""
    picture = Image.new("RGB", (64, 64), COLOURS[item[:2]])
    x, y = (int(place) for place in rng.integers(4, 40, 2))
    ImageDraw.Draw(picture).ellipse((x, y, x + 20, y + 20), fill="white")
    return picture


def main() -> None:
    """Write covers/*.png, looks.parquet (item, vector) and sounds.npy [items, 4]."""
    rng = np.random.default_rng(0)
    items = [line.split("\t")[0] for line in (DATA / "items.tsv").read_text().splitlines()]
    (DATA / "covers").mkdir(exist_ok=True)
    looks = {}
    for item in items:
        picture = draw(item, rng)
        small = np.asarray(picture.resize((2, 1)), dtype=np.float32).ravel() / 255
        if item != WITHOUT_COVER:
            picture.save(DATA / "covers" / f"{item}.png")
        if item != WITHOUT_LOOK:
            looks[item] = small.tolist()
    pq.write_table(pa.table({"item": list(looks), "vector": list(looks.values())}), DATA / "looks.parquet")
    np.save(DATA / "sounds.npy", rng.normal(size=(len(items), 4)).astype(np.float32))


if __name__ == "__main__":
    main()
