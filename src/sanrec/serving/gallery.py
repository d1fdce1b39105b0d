"""Recommendations as one page: covers, titles, videos that play under the pointer, and what each tower weighed.

All of it is in the page, but for videos that are too large: these are links to their files, relative to the page.
"""

import base64
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined

from sanrec.config import Config
from sanrec.media import MediaError, apart
from sanrec.media.thumbnail import cover_thumbnail, video_thumbnail
from sanrec.serving.catalogue import Catalogue
from sanrec.serving.recommend import Recommendations
from sanrec.serving.views import heading, record, truth_lines

EMBEDDED_VIDEO = 512 << 10  # bytes of the largest video that is put into the page
EMBEDDED_VIDEOS = 16 << 20  # bytes of all of them
TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm"}  # browsers play these
# one per tower, told apart also by those who see fewer colours (Okabe and Ito)
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#666666")


@dataclass
class Media:
    """What the page shows of items: pictures made once each, and videos by a key."""

    folder: Path
    """Where the page will lie."""
    pictures: dict[str, str] = field(default_factory=dict)
    """Data URIs by item; "" where no picture can be made."""
    lacking: dict[str, str] = field(default_factory=dict)
    """Why an item has no picture."""
    videos: dict[str, str] = field(default_factory=dict)
    """Data URIs, or relative addresses, by key."""
    keys: dict[str, str] = field(default_factory=dict)
    """Keys by item, of items that have a video that browsers play."""
    links: dict[str, str] = field(default_factory=dict)
    """Relative addresses by item, of videos that are not in the page."""
    embedded: int = 0
    """Bytes of the videos that are in the page so far."""

    def add_video(self, item: str, file: str) -> None:
        """Put a video into the page where it is small enough and playable, else a link to it."""
        kind, size = TYPES.get(PurePath(file).suffix.lower()), Path(file).stat().st_size
        key = f"v{len(self.keys)}"
        if kind and 0 < size <= EMBEDDED_VIDEO and self.embedded + size <= EMBEDDED_VIDEOS:
            self.embedded += size
            self.keys[item], self.videos[key] = key, data_uri(Path(file).read_bytes(), kind)
            return
        self.links[item] = quote(PurePath(os.path.relpath(file, self.folder)).as_posix())
        if kind:
            self.keys[item], self.videos[key] = key, self.links[item]


def to_html(config: Config, found: Recommendations, folder: str | Path = ".") -> str:
    """The page that is to lie in `folder`."""
    values = record(found)
    shown = {number for one in found.people for part in _parts(one) for number in part}
    media = read_media(config, found.catalogue, sorted(shown), Path(folder))
    colours = {tower: COLOURS[place % len(COLOURS)] for place, tower in enumerate(found.towers)}
    card = partial(_card, media=media, colours=colours)
    people = [
        {
            "heading": heading(person, values["dataset"]),
            "truth": truth_lines(person),
            "history": [card(item) for item in person["history"]],
            "recommended": [card(item) for item in person["recommended"]],
            "held_out": [card(item) for item in _not_recommended(person)],
        }
        for person in values["people"]
    ]
    text = resources.files("sanrec.serving").joinpath("gallery.html").read_text(encoding="utf-8")
    jinja = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    shown_as = {"people": people, "colours": colours, "videos": media.videos}
    return jinja.from_string(text).render(**values | shown_as) + "\n"


def _parts(one: Any) -> Iterable[Sequence[int]]:
    return one.person.history.tolist(), one.person.truth.tolist(), one.items.tolist()


def _not_recommended(person: dict[str, Any]) -> list[dict[str, Any]]:
    """The held-out items that are not among the recommended ones."""
    among = {item["item"] for item in person["recommended"]}
    return [{**item, "place": item["rank"], "truth": True} for item in person["truth"] if item["item"] not in among]


def _card(item: dict[str, Any], media: Media, colours: dict[str, str]) -> dict[str, Any]:
    """What the page shows of one item."""
    name = item["item"]
    weights = [
        {"tower": tower, "percent": 100 * share, "colour": colours[tower]}
        for tower, share in item.get("weights", {}).items()
        if share
    ]
    return {
        "item": name,
        "title": item["title"],
        "picture": media.pictures[name],
        "lacking": media.lacking.get(name, ""),
        "video": media.keys.get(name, ""),
        "link": media.links.get(name, ""),
        "weights": weights,
        "place": item.get("place"),
        "score": item.get("score"),
        "truth": item.get("truth", False),
    }


def read_media(config: Config, catalogue: Catalogue, numbers: Sequence[int], folder: Path) -> Media:
    """The pictures and videos of some items.

    A picture is the cover, or of an item without one its video's middle frame. Files that do not decode have none, and
    the page says why: they are read in processes of their own, for they may be anybody's.
    """
    corpus = config.corpora[config.datasets[catalogue.dataset].corpus]
    media, begun = Media(folder), {}
    for number in numbers:
        item, cover, video = catalogue.ids[number - 1], *(catalogue.medium(kind, number) for kind in ("cover", "video"))
        if file := cover or video:
            read = cover_thumbnail if cover else video_thumbnail
            begun[item] = file, apart.begin(read, file, config.threads.extract, corpus.seconds_per_item)
        if video and Path(video).is_file():
            media.add_video(item, video)
        media.pictures[item], media.lacking[item] = "", "no cover and no video"
    for item, (file, future) in begun.items():
        picture = apart.outcome(future, file, corpus.seconds_per_item)
        if isinstance(picture, MediaError):
            media.lacking[item] = picture.reason
        else:
            media.pictures[item], media.lacking[item] = data_uri(picture, "image/jpeg"), ""
    return media


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as an address that holds them."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
