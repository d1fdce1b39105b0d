"""A channel's items: what to read for each, what cannot be read and why, and reading ahead in the background."""

import csv
import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sanrec import artifacts
from sanrec.config import CAPTIONED, CHANNELS
from sanrec.errors import DataError
from sanrec.files import atomic
from sanrec.media import MediaError

Integers = dict[str, np.ndarray]
Begun = tuple["Future[Any]", Callable[[], Any]]
"""A reading that is under way, and what waits for its end."""
MARK_BYTES = 1 << 16
REPORT_COLUMNS = ("item", "channel", "path", "reason")


@dataclass(frozen=True)
class Sources:
    """One source per row of the items table: a text, or a media file's path; "" where there is none."""

    channel: str
    items: list[str]
    values: list[str]

    def __len__(self) -> int:
        return len(self.items)

    def first(self, count: int) -> "Sources":
        """Those of the first items alone."""
        return self.some(range(count))

    def some(self, rows: range) -> "Sources":
        """Those of neighbours alone."""
        return Sources(self.channel, self.items[rows.start : rows.stop], self.values[rows.start : rows.stop])

    def absent(self) -> MediaError:
        """What is wrong with an item that has no source."""
        if self.channel in CAPTIONED:
            return MediaError("", f"its {CAPTIONED[self.channel]} has no caption")
        return MediaError("", "no text" if CHANNELS[self.channel] == "text" else "no file")

    def fingerprint(self) -> str:
        """SHA-256 over item ids with their texts, or with their media files' paths and content marks, in order."""
        digest = hashlib.sha256()
        text = CHANNELS[self.channel] == "text"
        for item, value in zip(self.items, self.values, strict=True):
            mark = "" if text else _mark(value)
            for part in (item, value, mark):
                digest.update(f"{len(part)}:{part}".encode())
        return digest.hexdigest()

    def items_fingerprint(self) -> str:
        """SHA-256 over the item ids alone, in order."""
        return hashlib.sha256("".join(f"{len(item)}:{item}" for item in self.items).encode()).hexdigest()


def channel_sources(
    items_path: str | Path, corpus: str, channel: str, captions_path: str | Path | None = None
) -> Sources:
    """The sources of any channel of a corpus: of its items table, or of its captions (those of the workflow)."""
    if channel not in CAPTIONED:
        return read_sources(items_path, channel)
    return read_captions(captions_path or artifacts.captions(corpus, CAPTIONED[channel]), items_path, channel)


def read_sources(items_path: str | Path, channel: str) -> Sources:
    """The sources of a channel: its column of an items table. Raises DataError where table or column are missing."""
    return _read_column(items_path, channel, channel)


def read_captions(captions_path: str | Path, items_path: str | Path, channel: str) -> Sources:
    """The sources of a channel of captions: those of a table of captions, whose rows are the item table's.

    Raises DataError where a table is missing, or where the captions are of other items.
    """
    captions, titles = _read_column(captions_path, channel, "caption"), read_sources(items_path, "title")
    if captions.items != titles.items:
        raise DataError(
            f"{captions_path}: its captions are not of the items of {items_path}, or in another order. Remove it and "
            f"have it made again: snakemake {captions_path} --cores"
        )
    return captions


def _read_column(items_path: str | Path, channel: str, column: str) -> Sources:
    """A channel's sources from one column of a table of items."""
    import pandas as pd

    if not Path(items_path).is_file():
        raise DataError(f"{items_path}: no such file; make it with: snakemake {items_path} --cores")
    table = pd.read_parquet(items_path)
    if lacking := [name for name in ("item", column) if name not in table]:
        raise DataError(f"{items_path}: no column '{lacking[0]}'; it has {', '.join(map(str, table.columns))}")
    values = ["" if pd.isna(value) else str(value).strip() for value in table[column]]
    return Sources(channel, [str(item) for item in table["item"]], values)


def _mark(path: str) -> str:
    """A file's size with a digest of its first and last bytes; "" where there is no file.

    Whole videos are too much to read for this, a size alone is the same for all sounds of one length, and a time
    would change with every copy.
    """
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            head = file.read(MARK_BYTES)
            size = file.seek(0, 2)
            file.seek(max(size - MARK_BYTES, 0))
            return f"{size}:{hashlib.sha256(head + file.read()).hexdigest()}"
    except OSError:
        return ""


@dataclass(frozen=True)
class Reading:
    """How items are read."""

    read: Callable[[str], Any]
    """From a text, or a media file's path, to what the model takes. Raises MediaError for a bad one."""
    workers: int
    """How many are read side by side."""
    seconds: float
    """How long one may take."""


def read_ahead(
    sources: Sources, rows: Iterable[int], reading: Reading, ahead: int
) -> Generator[tuple[int, Any], None, None]:
    """Each row with what was read of it, or with the MediaError that says what is wrong with its medium, in order.

    Up to `ahead` rows are read while the caller is busy: texts in threads, media in processes of their own, to which
    the reading function is pickled, and from which what it gives. What may be a passing fault is tried twice.
    """
    text = CHANNELS[sources.channel] == "text"
    queue: deque[tuple[int, Future[Any], Callable[[], Any]]] = deque()
    with ThreadPoolExecutor(reading.workers, thread_name_prefix="read") if text else nullcontext() as pool:
        try:
            for row in rows:
                queue.append(
                    (row, *(_in_thread(pool, sources, row, reading) if text else _apart(sources, row, reading)))
                )
                if len(queue) > ahead:
                    done, _, found = queue.popleft()
                    yield done, found()
            while queue:
                done, _, found = queue.popleft()
                yield done, found()
        finally:  # the caller stopped early: leave nothing running behind its back
            for _, future, _ in queue:
                future.cancel()


def _in_thread(pool: ThreadPoolExecutor, sources: Sources, row: int, reading: Reading) -> Begun:
    """Begin to read a row in one of the pool's threads."""
    future = pool.submit(_try_read, sources, row, reading.read)
    return future, future.result


def _apart(sources: Sources, row: int, reading: Reading) -> Begun:
    """The same in a process of its own."""
    from sanrec.media import apart

    file = sources.values[row]
    if not file:
        absent: Future[Any] = Future()
        absent.set_result(sources.absent())
        return absent, absent.result
    begin = partial(apart.begin, reading.read, file, reading.workers, reading.seconds)
    future = begin()

    def outcome() -> Any:
        found = apart.outcome(future, file, reading.seconds)
        if isinstance(found, MediaError) and found.passing:  # once more, when the machine may be less busy
            return apart.outcome(begin(), file, reading.seconds)
        return found

    return future, outcome


def _try_read(sources: Sources, row: int, read: Callable[[str], Any]) -> Any:
    value = sources.values[row]
    if not value:
        return sources.absent()
    try:
        return read(value)
    except MediaError as error:
        return error


@dataclass
class MissingMedia:
    """The items whose medium cannot be used, as they turn up; too many are an error."""

    sources: Sources
    corpus: str
    limit: float
    """Largest share of items that may be missing."""
    report: Path
    """The csv that lists them: item, channel, path, reason."""
    found: dict[int, MediaError] = field(default_factory=dict)

    def add(self, row: int, error: MediaError) -> None:
        """Record one. Raises DataError where that passes the limit."""
        self.found[row] = error
        self.check()

    def add_absent(self) -> None:
        """Record all items that have no source at all, so that a hopeless job ends before it begins."""
        for row, value in enumerate(self.sources.values):
            if not value:
                self.found[row] = self.sources.absent()
        self.check()

    def check(self) -> None:
        """Raise DataError, after writing the report, where more are missing than the limit allows."""
        total = len(self.sources)
        if len(self.found) <= self.limit * total:
            return
        self.write()
        some = sorted(self.found.items())[:3]
        first = "; ".join(f"item {self.sources.items[r]}: {e if e.file else e.reason}" for r, e in some)
        raise DataError(
            f"corpus '{self.corpus}': {len(self.found)} of {total} items so far have no usable {self.sources.channel} "
            f"({len(self.found) / total:.1%}), more than the limit of {self.limit:.1%}. The first: {first}. "
            f"All are in {self.report}. Mend them, or raise corpora.{self.corpus}.missing_limit in config.yaml"
        )

    def write(self) -> None:
        """Write the report, by row; with its header alone where nothing is missing."""
        with atomic(self.report) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(REPORT_COLUMNS)
            for row, error in sorted(self.found.items()):
                text = CHANNELS[self.sources.channel] == "text"
                path = "" if text else self.sources.values[row]
                writer.writerow([self.sources.items[row], self.sources.channel, path, error.reason])
