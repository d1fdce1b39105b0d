"""Progress bars with rate and remaining time: live on a terminal, a line a minute in a log file."""

import sys
import time
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

MINUTE = 60.0
SHORT = 2.0  # seconds before a step inside a step is worth a bar of its own on a terminal
AT_WORK = (
    "{desc}: {n_fmt}/{total_fmt} {unit} ({percentage:.0f} %), {elapsed} gone, {remaining} left, {rate_fmt}{postfix}"
)
AT_THE_END = "{desc}: {n_fmt}/{total_fmt} {unit} in {elapsed}, {rate_fmt}{postfix}"
OF_UNKNOWN = "{desc}: {n_fmt} {unit} in {elapsed}, {rate_fmt}{postfix}"


class LogLines(tqdm):
    """A bar for files: a whole line a minute, and one at the end unless `leave` is false; no carriage return."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options = {"file": sys.stderr, "mininterval": MINUTE, "maxinterval": MINUTE, "smoothing": 0.1} | options
        self._written_at = time.monotonic()
        super().__init__(*args, **options, gui=True)  # tqdm then leaves all drawing to its subclass

    def display(self, *_: Any, **__: Any) -> bool:
        """Write the state as a line, unless the last one is less than `mininterval` old: some libraries ask often."""
        now = time.monotonic()
        if due := now - self._written_at >= self.mininterval:
            self._written_at = now
            self._write(AT_WORK if self.total else OF_UNKNOWN, {})
        return due

    def clear(self, *_: Any, **__: Any) -> None:
        """Leave what is written: a line in a file stays."""

    def close(self) -> None:
        """Write the last line, with the rate of the whole."""
        if self.disable:
            return
        super().close()
        if self.leave:
            self._write(AT_THE_END if self.total else OF_UNKNOWN, {"rate": None})

    def _write(self, form: str, changed: dict[str, Any]) -> None:
        known = self.format_dict | {"ncols": None, "bar_format": form} | changed
        text = self.format_meter(**known)
        self.fp.write(" ".join(text.split()) + "\n")
        self.fp.flush()


def watched() -> bool:
    """Whether somebody looks on: standard error is a terminal."""
    return sys.stderr.isatty()


def bar(iterable: Iterable[Any] | None = None, **options: Any) -> tqdm:
    """A tqdm bar on standard error with rate and remaining time."""
    if not watched():
        return LogLines(iterable, **options)
    return tqdm(iterable, file=sys.stderr, **({"mininterval": 0.5, "dynamic_ncols": True, "smoothing": 0.1} | options))


def inner_bar(iterable: Iterable[Any] | None = None, **options: Any) -> tqdm:
    """The same for a step inside another, as an epoch's batches: seen only while it takes long, and gone afterwards."""
    return bar(iterable, **({"leave": False, "delay": SHORT if watched() else 0.0} | options))
