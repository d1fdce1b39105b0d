"""The documentation's pages and their fenced blocks, each with the mark that says what tests do with it.

A mark is a comment in the line before the block, `<!-- test: run -->`; CONTRIBUTING.md lists them.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELL, YAML = {"console", "sh", "bash", "shell"}, {"yaml", "yml"}
MARKS = {
    **{language: {"run", "plan", "fails", "skip"} for language in SHELL},
    **{language: {"config", "part", "table", "figure", "parse", "skip"} for language in YAML},
    "python": {"run", "skip"},
}
FENCE = re.compile(
    r"(?:^ *<!-- test: (?P<mark>.*?) -->\n\n?)?"
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: `place` is `page:line`, `mark` what stands before it, `reason` what follows a comma in that."""

    place: str
    language: str
    mark: str
    reason: str
    text: str

    @property
    def commands(self) -> str:
        """What is typed: the lines behind `$ `, with what goes on in the next line; all of them where none has that."""
        typed = re.findall(r"^\$ ((?:.*\\\n)*.*)$", self.text, re.M)
        return "\n".join(typed) if typed else self.text


def pages() -> list[str]:
    """Every page's path in the repository, README first: it is what people read first."""
    return ["README.md", "CONTRIBUTING.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    content, found = (ROOT / page).read_text(encoding="utf-8"), []
    for match in FENCE.finditer(content):
        line = content.count("\n", 0, match.start("indent")) + 1
        mark, _, reason = (match["mark"] or "").partition(", ")
        text = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.M)
        found.append(Block(f"{page}:{line}", match["language"], mark, reason, text))
    return found


def marked(page: str, *marks: str) -> list[Block]:
    """The blocks of a page that have one of these marks."""
    return [block for block in blocks(page) if block.mark in marks]
