"""Sample data for a folder to begin with: titles and interactions of a still smaller world, as texts of files."""

import csv
import io

from sanrec.demo.draw import draw
from sanrec.demo.media import DRAWING, factor_values
from sanrec.demo.world import World, draw_factors, generator, walk

SMALL = World(seed=3, items=120, users=400, longest=10)
TITLE = ("title",)


def sample_files(world: World = SMALL) -> dict[str, str]:
    """The texts of `data/titles.csv` (`item,title`) and `data/pairs.tsv` (`user<TAB>item item ...`, oldest first).

    Users care for what titles show. The same world gives the same words.
    """
    titles = io.StringIO()
    writer = csv.writer(titles, lineterminator="\n")
    writer.writerow(("item", "title"))
    for row, factors in enumerate(draw_factors(world)):
        words = draw("title", factor_values(factors), generator(world, DRAWING, 0, row), world)
        writer.writerow((f"i{row + 1}", words))
    pairs = [
        f"u{user}\t{' '.join(f'i{item + 1}' for item in items)}\n" for user, items in enumerate(walk(world, TITLE), 1)
    ]
    return {"data/titles.csv": titles.getvalue(), "data/pairs.tsv": "".join(pairs)}
