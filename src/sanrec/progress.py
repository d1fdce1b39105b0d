"""Progress bars: live on a terminal, one line a minute in a log file."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def bar(iterable: Iterable[Any] | None = None, **options: Any) -> tqdm:
    """A tqdm bar on standard error with rate and remaining time; seldom updated where nobody watches."""
    watched = sys.stderr.isatty()
    defaults = {"mininterval": 0.5 if watched else 60.0, "dynamic_ncols": watched, "smoothing": 0.1}
    return tqdm(iterable, file=sys.stderr, **(defaults | options))
