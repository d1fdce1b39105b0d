"""How a step stands by its log: the command at its head, progress and messages, and how it ended in its last line."""

import re
from dataclasses import dataclass
from pathlib import Path

TAIL = 16_384  # bytes of a log's end that are read
DONE = re.compile(r"^sanrec [\w-]+: done in ")
COMPLAINT = re.compile(r"^sanrec [\w-]+: (.*)$")
TRACEBACK = "Traceback (most recent call last):"
HEAD = "$ sanrec "


@dataclass(frozen=True)
class Log:
    """What a log says: when it was last written to, its last line, and how the step ended, if it has."""

    written: float
    """Seconds since the epoch."""
    last: str
    done: bool
    error: str
    """What went wrong; empty where nothing did, or nothing is said of it."""

    @property
    def ended(self) -> bool:
        """Whether the step itself said that it is over."""
        return self.done or bool(self.error)


def read_log(path: str | Path) -> Log | None:
    """A step's log; None where there is none, or it is not one of sanrec's."""
    try:
        with Path(path).open("rb") as file:
            if file.read(len(HEAD)) != HEAD.encode():
                return None
            size, written = (stat := Path(path).stat()).st_size, stat.st_mtime
            file.seek(max(0, size - TAIL))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return None
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    last = lines[-1].strip() if lines else ""
    done = bool(DONE.match(last))
    return Log(written, last, done, "" if done else _error(lines))


def _error(lines: list[str]) -> str:
    """The complaint that a log ends with: the user's to mend in words, any other by its traceback's last line."""
    if TRACEBACK in (line.strip() for line in lines):
        return lines[-1].strip()
    for place, line in enumerate(reversed(lines)):
        if found := COMPLAINT.match(line):  # a complaint may go on over several lines
            return " ".join([found[1], *(rest.strip() for rest in lines[len(lines) - place :])])
    return ""
