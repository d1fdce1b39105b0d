"""What the site adds to mkdocs: the repository's own pages, links that lead out of docs/, and marks that are for tests.

README.md, CONTRIBUTING.md and CHANGELOG.md are pages too, written once. Links are written so that they work in the
repository: those between pages work in the site as well, where a page's title stands for its file's name; those to
other files of the repository, for which the site has no address, keep their text alone.
"""

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
IMAGE = re.compile(r"(!\[[^\]]*\])\(([^)\s:]+)()\)")
MARK = re.compile(r"^ *<!-- test: .*? -->\n", re.M)
FENCE = re.compile(r"^( *)```.*?^\1```$", re.M | re.S)


def root_of(config: MkDocsConfig) -> Path:
    """The repository."""
    return Path(config.config_file_path).parent


def title_of(page: Path) -> str:
    """A page's first heading; nothing where there is none."""
    heading = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.M) if page.is_file() else None
    return heading[1] if heading else ""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the repository's own pages."""
    for name, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, content=(root_of(config) / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Take tests' marks out, and turn links into the site's, outside code blocks."""
    root, docs = root_of(config), Path(config.docs_dir)
    written = next((root / name for name, made in ROOT_PAGES.items() if made == page.file.src_uri), None)
    here = (written or docs / page.file.src_uri).parent

    def place(target: str) -> str | None:
        """A file's place in the site, from this page; None where it has none; the target itself where no file is."""
        file = Path(os.path.normpath(here / target))
        if file.parent == root and file.name in ROOT_PAGES:
            file = docs / ROOT_PAGES[file.name]
        elif not file.exists():
            return target
        if not file.is_relative_to(docs):
            return None
        return Path(os.path.relpath(file, (docs / page.file.src_uri).parent)).as_posix()

    def turned(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        found = place(target)
        if found is None:
            return text
        if text.endswith(".md") and Path(text).name == Path(target).name:
            text = title_of(here / target) or text
        return f"{text if text.startswith('!') else f'[{text}]'}({found}{anchor})"

    parts, end = [], 0
    markdown = MARK.sub("", markdown)
    for fence in [*FENCE.finditer(markdown), None]:
        prose = markdown[end : fence.start() if fence else len(markdown)]
        code = (
            fence[0].replace("```console", "```sh", 1) if fence else ""
        )  # commands without a prompt: else all is grey
        parts += [IMAGE.sub(turned, LINK.sub(turned, prose)), code]
        end = fence.end() if fence else end
    return "".join(parts)
