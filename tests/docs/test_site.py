"""The site: every page is in it, links and anchors lead somewhere, and nothing is fetched from the network."""

import subprocess
import sys
from html.parser import HTMLParser

import pytest
import yaml

from tests.docs.pages import ROOT


class Nav(yaml.SafeLoader):
    """Reads mkdocs.yml without acting on its tags."""


Nav.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
FETCHING = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
}
WITHOUT_FETCHING = {"canonical", "next", "prev", "alternate"}  # kinds of <link> that browsers do not load


def leaves(nav):
    for entry in nav:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from leaves(value) if isinstance(value, list) else [value]


def settings():
    return yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Nav)


def test_every_page_is_in_the_navigation_once():
    listed = list(leaves(settings()["nav"]))
    assert len(listed) == len(set(listed))
    written = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert written - set(listed) == set(), "give each a line under `nav` in mkdocs.yml"
    assert set(listed) - written == {"index.md", "contributing.md", "changelog.md"}  # made by docs/hooks.py


def test_every_module_is_on_a_page_of_the_code():
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs/api").glob("*.md"))
    shown = {line.removeprefix("::: ") for line in text.splitlines() if line.startswith("::: ")}
    top = {
        p.stem if p.suffix else p.name
        for p in (ROOT / "src/sanrec").iterdir()
        if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    lacking = {f"sanrec.{name}" for name in top if not name.startswith("__")} - shown
    assert lacking == set(), "give each a line `::: NAME` on a page below docs/api"


class Fetched(HTMLParser):
    """What a page loads when it is opened."""

    def __init__(self):
        super().__init__()
        self.urls = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "link" and WITHOUT_FETCHING & set((values.get("rel") or "").split()):
            return
        if url := values.get(FETCHING.get(tag, "")):
            self.urls.append(url)


@pytest.mark.slow
def test_the_site_builds_strictly_and_fetches_nothing(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    made = sorted((tmp_path / "site").rglob("*.html"))
    assert len(made) > 20
    for page in made:
        parser = Fetched()
        parser.feed(page.read_text(encoding="utf-8"))
        assert len(parser.urls) > 2
        assert [url for url in parser.urls if "//" in url] == [], page
    for sheet in (tmp_path / "site").rglob("*.css"):
        text = sheet.read_text(encoding="utf-8").replace(" ", "")
        assert "url(http" not in text, sheet
        assert "url(//" not in text, sheet
    home = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert "<!-- test:" not in home
    assert 'href="config.html"' in home  # the README's link to docs/config.md
