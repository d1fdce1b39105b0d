"""The page: all in one file, nothing unescaped, videos in it or linked, bad media said and survived."""

import base64
import io
import json
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from sanrec.demo.media import write_video
from sanrec.demo.world import World
from sanrec.serving import gallery
from sanrec.serving.gallery import to_html

WORLD = World(items=5, users=4)


class Page(HTMLParser):
    """What a browser would make of it, as far as it matters here."""

    VOID = {"meta", "link", "img"}

    def __init__(self, text):
        super().__init__()
        self.open, self.cards, self.addresses, self.texts, self.scripts = [], [], [], [], {}
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.addresses += [given[name] for name in ("src", "href", "data", "poster", "action") if name in given]
        if tag == "article":
            self.cards.append({"class": given["class"].split(), "text": "", "images": [], "video": None, "widths": []})
        if self.cards and "article" in self.open:
            card = self.cards[-1]
            card["video"] = given.get("data-video", card["video"])
            card["images"] += [given["src"]] if tag == "img" else []
            card["widths"] += [given["style"]] if "style" in given else []
        self.script = given.get("id", "code")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[self.script] = data
        else:
            self.texts.append(data)
            if "article" in self.open:
                self.cards[-1]["text"] += data


@pytest.fixture
def shown(by_hand, tmp_path, monkeypatch):
    """The five items with media: covers of the first three, one broken; videos of the last three."""
    monkeypatch.chdir(tmp_path)
    Path("raw").mkdir()
    rng = np.random.default_rng(0)
    for name in ("1.png", "3.jpg"):
        Image.fromarray(rng.integers(0, 256, (400, 300, 3), np.uint8)).save(f"raw/{name}")
    Path("raw/2.jpg").write_bytes(b"no picture")
    for name in ("3.mp4", "4 ä.mp4", "5.avi"):
        write_video(Path("raw/made.mp4"), np.full((4, 32, 32, 3), 128, np.uint8), np.zeros(8000), WORLD)
        Path("raw/made.mp4").rename(f"raw/{name}")
    table = by_hand.found.catalogue.table
    for kind, files in (
        ("cover", ["raw/1.png", "raw/2.jpg", "raw/3.jpg", None, None]),
        ("video", [None, None, "raw/3.mp4", "raw/4 ä.mp4", "raw/5.avi"]),
    ):
        table = table.set_column(table.column_names.index(kind), kind, pa.array(files))
    by_hand.found = replace(by_hand.found, catalogue=replace(by_hand.found.catalogue, table=table))
    return by_hand


def cards(page):
    """Cards by the id of their item."""
    return {next(word for word in card["text"].split() if word[0] == "i" and word[1:].isdigit()): card for card in page}


def test_the_page_holds_all_that_it_shows(shown):
    text = to_html(shown.config, shown.found)
    page = Page(text)
    assert "http://" not in text
    assert "https://" not in text
    links = [address for address in page.addresses if not address.startswith("data:")]
    assert links == ["raw/5.avi"]  # no browser plays it
    assert len(page.cards) == 2 + 2 + 1 + 2
    known, stranger = cards(page.cards[:4]), cards(page.cards[4:])
    for card in (known["i1"], known["i3"], known["i5"], stranger["i4"]):  # of i4 and i5 a frame of the video
        content = base64.b64decode(card["images"][0].removeprefix("data:image/jpeg;base64,"))
        assert max(Image.open(io.BytesIO(content)).size) in (240, 32)
    videos = json.loads(page.scripts["videos"])
    assert known["i1"]["video"] is None
    for item, file in (("i3", "3.mp4"), ("i4", "4 ä.mp4")):
        card = (known | stranger)[item]
        assert videos[card["video"]] == gallery.data_uri(Path("raw", file).read_bytes(), "video/mp4")
    assert len(videos) == 2


def test_the_truth_is_marked_and_weights_are_drawn(shown):
    page = Page(to_html(shown.config, shown.found))
    assert ["truth" in card["class"] for card in page.cards] == [False, False, False, True, False, False, False]
    assert "2. 青い魚" in page.cards[3]["text"]
    assert "held out: i5 青い魚, at place 2" in page.texts
    assert page.cards[0]["widths"] == ["width: 25.00%; background: #0072b2", "width: 75.00%; background: #e69f00"]
    assert "title 25% · cover 75%" in page.cards[0]["text"]
    assert "cover 100%" in page.cards[2]["text"]
    assert page.cards[3]["widths"] == []
    words = " ".join(page.texts)
    assert "fusion=momef" in words
    assert "No weights" not in words


def test_a_truth_that_is_not_among_the_recommended_stands_below_them(shown):
    one = shown.found.people[0]
    found = replace(shown.found, people=(replace(one, items=one.items[:1], scores=one.scores[:1]),))
    last = Page(to_html(shown.config, found)).cards[-1]
    assert "truth" in last["class"]
    assert "held out, at place 2" in last["text"]
    assert "score" not in last["text"]


def test_titles_and_ids_are_escaped(shown):
    evil = '</script><img src=x onerror="alert(1)">'
    table = shown.found.catalogue.table
    table = table.set_column(0, "item", pa.array([evil, "i2", "i3", "i4", "i5"]))
    found = replace(shown.found, catalogue=replace(shown.found.catalogue, table=table))
    text = to_html(shown.config, found)
    assert "<img src=x" not in text
    page = Page(text)
    assert evil in page.cards[0]["text"]
    assert 'Fish & <b>chips</b> "now"' in page.cards[1]["text"]
    assert "<b>chips" not in text


def test_a_broken_cover_leaves_its_reason(shown):
    text = to_html(shown.config, shown.found)
    assert Page(text).cards[1]["images"] == []
    assert 'title="does not decode (UnidentifiedImageError' in text


def test_videos_that_are_too_large_are_links_beside_the_page(shown, monkeypatch):
    monkeypatch.setattr(gallery, "EMBEDDED_VIDEO", 10)
    page = Page(to_html(shown.config, shown.found, "pages/mine"))
    links = [address for address in page.addresses if not address.startswith("data:")]
    assert set(links) == {"../../raw/3.mp4", "../../raw/4%20%C3%A4.mp4", "../../raw/5.avi"}
    videos = json.loads(page.scripts["videos"])
    assert set(videos.values()) == {"../../raw/3.mp4", "../../raw/4%20%C3%A4.mp4"}  # still played under the pointer


def test_all_videos_together_have_a_limit(shown, monkeypatch):
    monkeypatch.setattr(gallery, "EMBEDDED_VIDEOS", Path("raw/3.mp4").stat().st_size)
    videos = json.loads(Page(to_html(shown.config, shown.found)).scripts["videos"])
    assert sorted(address.startswith("data:") for address in videos.values()) == [False, True]


def wait_until_it_plays(page):
    # not wait_for_function, which asks again by eval in the page, and that the page's policy forbids
    until = time.monotonic() + 20
    while not page.evaluate("document.querySelector('video')?.currentTime > 0"):
        assert time.monotonic() < until, "the video does not play"
        page.wait_for_timeout(50)


def test_in_a_browser_a_video_plays_under_the_pointer_and_goes_with_it(shown, visit):
    path = Path("gallery.html").absolute()
    path.write_text(to_html(shown.config, shown.found), encoding="utf-8")
    page = visit(path)  # which holds the page to no complaint, be it of its policy, and no request
    pictures = page.locator("[data-video]")
    assert pictures.count() == 3
    assert page.locator("video").count() == 0
    pictures.first.hover()
    wait_until_it_plays(page)
    assert pictures.first.locator("video").get_attribute("src").startswith("data:video/mp4;base64,")
    pictures.last.hover()
    wait_until_it_plays(page)
    assert page.locator("video").count() == 1
    assert pictures.last.locator("video").count() == 1
    page.get_by_role("heading", level=1).hover()
    assert page.locator("video").count() == 0
    pictures.first.focus()  # by keyboard
    wait_until_it_plays(page)
    pictures.first.blur()
    assert page.locator("video").count() == 0


def test_without_weights_the_page_says_why(shown):
    found = replace(shown.found, weights=None, towers=(), why_no_weights="nothing is weighed")
    page = Page(to_html(shown.config, found))
    assert "No weights: nothing is weighed." in page.texts
    assert not any(card["widths"] for card in page.cards)
